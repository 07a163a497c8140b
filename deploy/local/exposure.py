"""Notes on a stack that other machines can reach: the URLs of images, and plain HTTP."""

import ipaddress
import socket

import psutil

from deploy.local.settings import StackSettings


def notes(settings: StackSettings) -> list[str]:
    """Return what the user must know of the address of the edge, with remedies; nothing for one on loopback."""
    host = ipaddress.ip_address(settings.edge_host)
    if host.is_loopback:
        return []
    found = []
    if host.is_unspecified and settings.media_base.startswith(f"{settings.edge_url}/"):
        addresses = _addresses(host.version)
        url = f"{settings.scheme}://{addresses[0] if addresses else 'HOST'}:{settings.port}"
        others = f" (this machine's addresses: {', '.join(addresses)})" if len(addresses) > 1 else ""
        found.append(
            f"The URLs of images begin with {settings.media_base}, which only this machine can open. "
            f"Give the edge's URL for clients: PUBLIC_URL={url}{others}."
        )
    if settings.scheme == "http" and not (settings.public_url or "").startswith("https://"):
        found.append(
            f"The edge speaks plain HTTP on {settings.edge_host}: everyone on the way reads access tokens. "
            "On a network that you do not trust, set TLS_CERTIFICATE and TLS_PRIVATE_KEY, or put TLS in front: see "
            "docs/security.md."
        )
    return found


def _addresses(version: int) -> list[str]:
    """Return the machine's addresses that others may reach, as they stand in a URL."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    found = [
        ipaddress.ip_address(address.address.partition("%")[0])
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family == family
    ]
    return [
        f"[{address}]" if version == 6 else str(address)
        for address in found
        if not address.is_loopback and not address.is_link_local
    ]
