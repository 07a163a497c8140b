"""The environment's proxies serve calls to the outside alone."""

from __future__ import annotations

import urllib.request

import pytest
import requests
from botocore.utils import get_environ_proxies as botocore_proxies

from servicekit.proxies import bypass_for_loopback

PROXY = "http://proxy.test:3128"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "" if "no_" in name.lower() else PROXY)


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_loopback_is_asked_without_a_proxy_and_the_outside_through_it(host: str) -> None:
    bypass_for_loopback()

    for url, expected in ((f"http://{host}:9000/jwks", False), ("https://api.stripe.com/v1", True)):
        assert bool(requests.utils.get_environ_proxies(url)) is expected
        assert bool(botocore_proxies(url)) is expected
        assert urllib.request.proxy_bypass(url.split("/")[2]) is not expected


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_what_the_environment_excludes_stays_excluded(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "internal.test, 10.0.0.1")

    bypass_for_loopback()
    bypass_for_loopback()

    assert not requests.utils.get_environ_proxies("http://internal.test/")
    assert not requests.utils.get_environ_proxies("http://127.0.0.1/")
    assert requests.utils.get_environ_proxies("http://other.test/")


@pytest.mark.usefixtures("proxied")
def test_an_environment_that_excludes_everything_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")

    bypass_for_loopback()

    assert not requests.utils.get_environ_proxies("https://api.stripe.com/")
