"""The environment's HTTP proxies: they are for calls to the outside, never for addresses of this machine."""

import os

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def bypass_for_loopback() -> None:
    """Add this machine's names to `no_proxy`, which the libraries that call the outside read, in both spellings.

    Channels between the services ignore proxies altogether: see `servicekit.clients`.
    """
    names = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if names.strip() == "*":
        return
    listed = [name.strip() for name in names.split(",") if name.strip()]
    listed += [name for name in LOOPBACK if name not in listed]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(listed)
