"""Which URLs an endpoint can have, and which addresses are public."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from order_service.domain.addresses import is_public
from order_service.domain.webhook_url import BadUrl, Target, parse


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/")),
        ("https://example.com/hooks?key=1", Target("https", "example.com", 443, "/hooks?key=1")),
        ("https://example.com?key=1", Target("https", "example.com", 443, "/?key=1")),
        ("HTTPS://Hooks.Example.COM:8443/In", Target("https", "hooks.example.com", 8443, "/In")),
        ("https://example.com./", Target("https", "example.com", 443, "/")),
        ("https://93.184.216.34/", Target("https", "93.184.216.34", 443, "/")),
        ("https://[2606:4700::1111]:444/x", Target("https", "2606:4700::1111", 444, "/x")),
        ("https://xn--bcher-kva.example/", Target("https", "xn--bcher-kva.example", 443, "/")),
    ],
)
def test_a_public_https_url_is_taken_apart(url: str, target: Target) -> None:
    assert parse(url, allow_private=False) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "http://example.com/",
        "ftp://example.com/",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com/#part",
        "https://example.com/#",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/\r\nHost: other",
        "https://b\u00fccher.example/",
        "https://example\u3002com/",
        "https://exa%6Dple.com/",
        "https://-example-.com/",
        "https://example..com/",
        "https://[::1",
        "https://[93.184.216.34]/",
        "https://[fe80::1%25eth0]/",
        "https://[2606:4700::1111]x/",
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_what_is_no_plain_url_is_refused(url: str, allow_private: bool) -> None:
    if allow_private and url == "http://example.com/":
        return
    with pytest.raises(BadUrl):
        parse(url, allow_private=allow_private)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost.",
        "a.localhost",
        "printer.local",
        "metadata.google.internal",
        "router.home.arpa",
        "intranet",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fd00::1]",
    ],
)
def test_a_host_that_is_not_public_is_refused(host: str) -> None:
    with pytest.raises(BadUrl):
        parse(f"https://{host}/", allow_private=False)


def test_for_development_plain_http_and_private_hosts_are_taken() -> None:
    assert parse("http://127.0.0.1:8000/x", allow_private=True) == Target("http", "127.0.0.1", 8000, "/x")
    assert parse("http://localhost/", allow_private=True) == Target("http", "localhost", 80, "/")


def test_the_host_header_names_the_port_when_it_is_not_the_schemes() -> None:
    assert parse("https://example.com/", allow_private=False).authority == "example.com"
    assert parse("https://example.com:444/", allow_private=False).authority == "example.com:444"
    assert parse("https://[2606:4700::1111]/", allow_private=False).authority == "[2606:4700::1111]"


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "4000::1",
        "",
        "example.com",
        "127.1",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
@example(IPv4Address("192.0.0.9"))
def test_no_ipv4_address_is_public_that_pythons_own_list_has_as_not_global(address: IPv4Address) -> None:
    if is_public(str(address)):
        assert address.is_global and not address.is_multicast
    assert is_public(f"::ffff:{address}") == is_public(f"64:ff9b::{address}") == is_public(str(address))


@given(st.ip_addresses(v=6, network="2000::/3"))
def test_no_ipv6_address_is_public_that_pythons_own_list_has_as_not_global(address: IPv6Address) -> None:
    if is_public(str(address)):
        assert address.is_global or address.sixtofour is not None


@given(st.text(max_size=60).map(lambda text: f"https://{text}"))
@example("https://a@b")
@example("https://[::ffff:1.2.3.4]:1")
def test_whatever_is_taken_has_a_host_without_a_user_a_space_or_a_fragment(url: str) -> None:
    with contextlib.suppress(BadUrl):
        target = parse(url, allow_private=True)
        assert target.host and not set(target.host) & set("@ #/?\\")
        assert target.path.startswith("/") and target.path.isascii() and target.path.isprintable()
