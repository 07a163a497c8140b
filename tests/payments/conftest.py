"""The payment providers that are tested: the sandbox, localstripe as a process of its own, and the double of Stripe."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.ports import free_ports
from tests.support.stripe_double import StripeDouble, serving_double

# localstripe's own command listens on IPv6 only.
SERVE = """
import sys
from aiohttp import web
from localstripe.server import app
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
"""
START_SECONDS = 20


@pytest.fixture(scope="session")
def localstripe() -> Iterator[str]:
    """The address of a localstripe for the run."""
    [port] = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx.get(f"{url}/v1/customers", auth=("sk_test_1", ""))
            break
        except httpx.TransportError:
            assert time.monotonic() < deadline and process.poll() is None, "localstripe did not start"
            time.sleep(0.1)
    yield url
    process.kill()
    process.wait()


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    """A double of Stripe with an empty book."""
    with serving_double() as running:
        yield running
