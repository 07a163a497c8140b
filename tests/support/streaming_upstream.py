"""EventService as a process of its own, with many streams: `python -m tests.support.streaming_upstream PORT SECONDS`.

Its streams send an event at once, and then a comment every SECONDS. ListEvents returns the number of open streams as its
`next`. A stream with the `Last-Event-ID` `flood` sends without a pause.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from google.api.httpbody_pb2 import HttpBody
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from marketplace.event.v1 import event_pb2, event_pb2_grpc
from servicekit.aio import AIO_OPTIONS
from servicekit.server import OPTIONS
from tests.support.edge import ROOT

FLOOD_BYTES = 4_096


def message(data: bytes) -> HttpBody:
    """Return a message of a stream."""
    return HttpBody(content_type="text/event-stream", data=data)


class _Events(event_pb2_grpc.EventServiceServicer):
    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._open = 0

    async def WatchSse(self, request: Any, context: Any) -> AsyncIterator[HttpBody]:  # type: ignore[override]
        self._open += 1
        try:
            last_id = dict(context.invocation_metadata()).get("last-event-id")
            yield message(b"id: 1\nevent: order\ndata: {}\n\n")
            while last_id == "flood":
                yield message(b":" + b"x" * FLOOD_BYTES + b"\n\n")
            while True:
                await asyncio.sleep(self._pause)
                yield message(b":\n\n")
        finally:
            self._open -= 1

    async def ListEvents(self, request: Any, context: Any) -> event_pb2.ListEventsResponse:  # type: ignore[override]
        return event_pb2.ListEventsResponse(next=str(self._open))


async def _serve(port: int, pause: float) -> None:
    server = grpc.aio.server(options=[*OPTIONS, *AIO_OPTIONS])
    event_pb2_grpc.add_EventServiceServicer_to_server(_Events(pause), server)
    healthy = health.aio.HealthServicer()
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    await server.wait_for_termination()


class StreamingWorker:
    """The process of such a service."""

    def __init__(self, port: int, pause: float = 15) -> None:
        self.port = port
        command = [sys.executable, "-m", "tests.support.streaming_upstream", str(port), str(pause)]
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"serving\n"
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._stub = event_pb2_grpc.EventServiceStub(self._channel)

    def open_streams(self) -> int:
        """Return the number of its open streams."""
        return int(self._stub.ListEvents(event_pb2.ListEventsRequest(), timeout=10).next)

    def kill(self) -> None:
        """Kill the process, as the kernel would."""
        self._channel.close()
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
