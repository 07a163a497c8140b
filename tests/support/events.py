"""The process of watches and the feed, as it runs in a stack, and clients that watch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from marketplace.event.v1 import event_pb2_grpc
from order_service.events.process import build
from order_service.settings import EventSettings
from servicekit.aio import SEND_SECONDS, AioPipeline
from servicekit.database import Database
from tests.support.aio import AioServer
from tests.support.eventually import eventually
from tests.support.folders import temporary_folder
from tests.support.identity import USER_AUDIENCE, USER_ISSUER, jwks_file, verifier
from tests.support.ports import free_ports
from tests.support.postgres import ROOT, url_of
from tests.support.rpc import Answer

START_SECONDS = 120


class EventProcess:
    """`python -m order_service.events` on a database. Its settings can be given as variables."""

    def __init__(self, database: Database, **environment: str) -> None:
        self._folder = temporary_folder()
        folder = Path(self._folder.name)
        self._log = folder / "log"
        self.files_dir, self.upload_dir = folder / "files", folder / "uploads"
        self.files_dir.mkdir()
        # Under root the process becomes another user.
        self.files_dir.chmod(0o777)
        self.port, metrics_port = free_ports(2)
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "LISTEN": f"127.0.0.1:{self.port}",
            "METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
            "ORDER_DATABASE_URL": url_of(database),
            "USER_JWKS": str(jwks_file(folder, "user")),
            "USER_JWT_ISSUER": USER_ISSUER,
            "USER_JWT_AUDIENCE": USER_AUDIENCE,
            "SERVICE_JWKS": str(jwks_file(folder, "service")),
            "FILES_DIR": str(folder / "files"),
            "FILE_UPLOAD_DIR": str(folder / "uploads"),
            "LOG_FORMAT": "json",
            "INTERNAL_TLS": "off",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> EventProcess:
        """Start the process and wait until it serves."""
        with self._log.open("ab") as output:
            command = [sys.executable, "-m", "order_service.events"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=output, stderr=output)
        eventually(self.is_healthy, START_SECONDS)
        return self

    def is_healthy(self) -> bool:
        """Return whether the process says that it serves. Raises RuntimeError with its log when it has ended."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(self._log.read_text())
        with self.channel() as channel:
            try:
                response = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
            except grpc.RpcError:
                return False
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of its log."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def kill(self) -> None:
        """End the process at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """Ask the process to stop."""
        assert self.process is not None
        self.process.terminate()

    def close(self) -> None:
        """End the process and remove its files."""
        if self.process is not None:
            self.kill()
        self._folder.cleanup()

    def channel(self) -> grpc.Channel:
        """Return a new connection to it."""
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options=[("grpc.use_local_subchannel_pool", 1)])


@contextmanager
def event_process(database: Database, **environment: str) -> Iterator[EventProcess]:
    """Run a process for the block."""
    process = EventProcess(database, **environment)
    try:
        yield process.start()
    finally:
        process.close()


class EventServer(AioServer):
    """The same in this process, on a thread."""

    def __init__(self, database: Database, *, send_seconds: float = SEND_SECONDS, **changes: Any) -> None:
        self._database = Database(url_of(database))
        self._folder = temporary_folder()
        folder = Path(self._folder.name)
        self.files_dir, self.upload_dir = folder / "files", folder / "uploads"
        self.files_dir.mkdir()
        self.upload_dir.mkdir()
        settings = event_settings(**{"files_dir": self.files_dir, **changes})
        self.spec = build(settings, self._database, self.upload_dir)
        service, *others = self.spec.services
        pipeline = AioPipeline(verifier(), places=1000, send_seconds=send_seconds)
        super().__init__(
            service.servicer, service.descriptor, service.register, pipeline, self.spec.background, others=others
        )

    def channel(self) -> grpc.Channel:
        """Return a new connection to it."""
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options=[("grpc.use_local_subchannel_pool", 1)])


def event_settings(**changes: Any) -> EventSettings:
    """Return the settings of the process, with these changes."""
    values: dict[str, Any] = {
        "internal_tls": "off",
        "listen": "127.0.0.1:1",
        "metrics_listen": "127.0.0.1:2",
        "user_jwks": "user.json",
        "user_jwt_issuer": "me",
        "user_jwt_audience": "you",
        "service_jwks": Path("service.json"),
        "order_database_url": "postgresql:///orders",
        "files_dir": Path("files"),
    }
    return EventSettings(**{**values, **changes})


class Watcher:
    """A client of a stream, which reads it in a thread of its own on a connection of its own."""

    def __init__(
        self, server: EventServer | EventProcess, rpc: str, request: Any, sent_token: str, **metadata: str
    ) -> None:
        self.responses: list[Any] = []
        self._channel = server.channel()
        sent = [(key.replace("_", "-"), value) for key, value in metadata.items()]
        sent.append(("authorization", f"Bearer {sent_token}"))
        self._call = getattr(event_pb2_grpc.EventServiceStub(self._channel), rpc)(request, timeout=100, metadata=sent)
        self.is_over = threading.Event()
        self.answer: Answer | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(grpc.RpcError):
            for response in self._call:
                self.responses.append(response)
        trailers = {entry.key: entry.value for entry in self._call.trailing_metadata() or ()}
        self.answer = Answer(None, self._call.code(), self._call.details() or "", trailers)
        self.is_over.set()

    def end(self, seconds: float = 20) -> Answer:
        """Wait for the end of the stream and return its status."""
        assert self.is_over.wait(seconds), f"the stream is still open, after {self.responses}"
        assert self.answer is not None
        return self.answer

    def wait_for(self, count: int) -> list[Any]:
        """Wait for so many responses and return all."""
        eventually(lambda: len(self.responses) >= count)
        return list(self.responses)

    def has_begun(self) -> bool:
        """Wait until the stream has sent something or ended; return whether it is open."""
        eventually(lambda: self.responses or self.is_over.is_set())
        return not self.is_over.is_set()

    def close(self) -> None:
        """Cancel the stream."""
        self._call.cancel()
        self._channel.close()

    def text(self) -> str:
        """Return what came over HTTP."""
        return b"".join(response.data for response in list(self.responses)).decode()

    def sent_events(self) -> list[dict[str, Any]]:
        """Return the server-sent events that a client sees, parsed as the HTML standard says."""
        return parse(self.text())


def parse(text: str) -> list[dict[str, Any]]:
    """Return the events of a text/event-stream: `id`, `event` and `data`, which is read as JSON.

    An event without data only sets the last id, and is not in the list.
    """
    events: list[dict[str, Any]] = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if "data" in fields:
            events.append({**fields, "data": json.loads(fields["data"])})
    return events


def last_id(text: str) -> str:
    """Return the last event id of a text/event-stream."""
    ids = [line.removeprefix("id: ") for line in text.split("\n") if line.startswith("id: ")]
    return ids[-1] if ids else ""
