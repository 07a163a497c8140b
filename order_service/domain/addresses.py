"""Which IP addresses are public: reachable over the internet, and none of a private network or of this machine."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

# IPv4: what is not globally reachable by IANA's registry, whatever the version of Python knows of it.
_SPECIAL_IPV4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)
# IPv6: only this is handed out to hosts on the internet.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_SPECIAL_IPV6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# A gateway turns these into the IPv4 address of their last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(text: str) -> bool:
    """Return whether the text is a public IP address.

    An IPv6 address that carries an IPv4 one, and that a host or a gateway would send there, is public when that one is.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    carried = _carried(address)
    if carried is not None:
        return all(map(_is_public_itself, carried))
    return _is_public_itself(address)


def _carried(address: Address) -> tuple[IPv4Address, ...] | None:
    """Return the IPv4 addresses within an IPv6 one: mapped, 6to4, Teredo or NAT64; None without any."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    return (IPv4Address(int(address) & 0xFFFFFFFF),) if address in _NAT64 else None


def _is_public_itself(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _SPECIAL_IPV4)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _SPECIAL_IPV6)
