"""The processes of services as clients reach them: with an identity's certificate, or in plain text."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from servicekit.internal_tls import AUTHORITIES, CERTIFICATE, PRIVATE_KEY, host_name

OPTIONS: list[tuple[str, Any]] = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]


@dataclass(frozen=True)
class Worker:
    """A process. `server` is its identity, `folder` has the files of the client's; without it all is in plain text."""

    address: str
    server: str = ""
    folder: Path | None = None

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The address in its parts."""
        host, _, port = self.address.rpartition(":")
        return host, int(port)

    def channel(self) -> grpc.Channel:
        """Return a channel of its own."""
        if self.folder is None:
            return grpc.insecure_channel(self.address, options=OPTIONS)
        return grpc.secure_channel(self.address, self._credentials(self.folder), options=self._options())

    def aio_channel(self) -> grpc.aio.Channel:
        """Return a channel of grpc.aio."""
        if self.folder is None:
            return grpc.aio.insecure_channel(self.address, options=OPTIONS)
        return grpc.aio.secure_channel(self.address, self._credentials(self.folder), options=self._options())

    def connect(self, seconds: float = 10) -> socket.socket:
        """Return a connection on which a test speaks HTTP/2 as it likes."""
        connection = socket.create_connection(self.host_and_port, timeout=seconds)
        if self.folder is None:
            return connection
        return client_context(self.folder).wrap_socket(connection, server_hostname=host_name(self.server))

    def _options(self) -> Sequence[tuple[str, Any]]:
        return [*OPTIONS, ("grpc.ssl_target_name_override", host_name(self.server))]

    @staticmethod
    def _credentials(folder: Path) -> grpc.ChannelCredentials:
        names = (AUTHORITIES, PRIVATE_KEY, CERTIFICATE)
        return grpc.ssl_channel_credentials(*((folder / name).read_bytes() for name in names))


def client_context(folder: Path) -> ssl.SSLContext:
    """Return a context of HTTP/2 with the files of an identity."""
    context = ssl.create_default_context(cafile=folder / AUTHORITIES)
    context.load_cert_chain(folder / CERTIFICATE, folder / PRIVATE_KEY)
    context.set_alpn_protocols(["h2"])
    return context
