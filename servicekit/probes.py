"""The health of a process on a port of its own, and nothing else there: for probes that have no certificate."""

from __future__ import annotations

import grpc

from servicekit.call_pool import CallPool
from servicekit.health import Health

# Probes come one at a time, every few seconds.
CONNECTIONS = 16
OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 4096),
    ("grpc.max_concurrent_streams", CONNECTIONS),
    ("grpc.max_allowed_incoming_connections", CONNECTIONS),
    ("grpc.http2.settings_timeout", 5_000),
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.max_connection_idle_ms", 60_000),
    ("grpc.max_metadata_size", 4096),
    ("grpc.absolute_max_metadata_size", 8192),
]


def serve(listen: str | None, health: Health) -> grpc.Server | None:
    """Serve the health, without TLS, and return the server; None without an address.

    Raises RuntimeError when the address is taken.
    """
    if listen is None:
        return None
    server = grpc.server(CallPool(1, CONNECTIONS, "probes"), options=OPTIONS)
    health.add_to(server)
    server.add_insecure_port(listen)
    server.start()
    return server


def stop(server: grpc.Server | None) -> None:
    """Stop the server, if there is one."""
    if server is not None:
        server.stop(None).wait()
