"""The payment providers under test: the sandbox, localstripe as a process of its own, and the double of Stripe."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from order_service.payments.stripe.gateway import StripeGateway
from tests.support.eventually import eventually
from tests.support.ports import free_ports
from tests.support.stripe_double import StripeDouble, serving_double

# localstripe's own command listens on IPv6 only, and it writes its records to a file in /tmp, which it would share with
# other runs and other users of the machine. It does not know the parameter for Stripe.js, and it lists payments without
# a filter of their creation.
SERVE = """
import sys
from aiohttp import web
from localstripe.resources import PaymentIntent, Store
from localstripe.server import app

Store.dump_to_disk = lambda self: None
create = PaymentIntent._api_create
list_all = PaymentIntent._api_list_all.__func__

def list_created(cls, url, created, **others):
    page = list_all(cls, url, **others)
    page._list = [each for each in page._list if int(created["gte"]) <= each.created < int(created["lt"])]
    return page

PaymentIntent._api_create = lambda use_stripe_sdk=None, **data: create(**data)
PaymentIntent._api_list_all = classmethod(list_created)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
"""
START_SECONDS = 120


@pytest.fixture(scope="session")
def localstripe() -> Iterator[str]:
    """Start localstripe for the session and yield its URL."""
    [port] = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert process.poll() is None, "localstripe did not start"
        try:
            httpx.get(f"{url}/v1/customers", auth=("sk_test_1", ""))
        except httpx.TransportError:
            return False
        return True

    eventually(is_up, START_SECONDS, every=0.1)
    yield url
    process.kill()
    process.wait()


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    """Yield a double of Stripe without any records."""
    with serving_double() as running:
        yield running


@pytest.fixture
def stripe(double: StripeDouble) -> StripeGateway:
    """Return a gateway to the double."""
    return StripeGateway("sk_test_1", "USD", double.url)
