"""EventService as a process of its own, with many streams: `python -m tests.support.streaming_upstream PORT SECONDS`.

Its streams send an event at once, and then a comment every SECONDS. One with the `Last-Event-ID` `flood` sends without
a pause. ListEvents returns the number of open streams as its `next`.
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

from marketplace.event.v1 import event_pb2, event_pb2_grpc
from servicekit.aio import AIO_OPTIONS
from servicekit.health import Health
from servicekit.server import OPTIONS
from tests.support.edge import ROOT

FLOOD_BYTES = 4_096


def message(data: bytes) -> HttpBody:
    """Return a message of a stream."""
    return HttpBody(content_type="text/event-stream", data=data)


class _Events:
    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._open = 0

    async def watch(self, request: Any, context: Any) -> AsyncIterator[HttpBody]:
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

    async def list_events(self, request: Any, context: Any) -> event_pb2.ListEventsResponse:
        return event_pb2.ListEventsResponse(next=str(self._open))


async def _serve(port: int, pause: float) -> None:
    server = grpc.aio.server(options=[*OPTIONS, *AIO_OPTIONS])
    events, service = _Events(pause), event_pb2.DESCRIPTOR.services_by_name["EventService"].full_name
    handlers = {
        "WatchSse": grpc.unary_stream_rpc_method_handler(
            events.watch, event_pb2.WatchSseRequest.FromString, HttpBody.SerializeToString
        ),
        "ListEvents": grpc.unary_unary_rpc_method_handler(
            events.list_events,
            event_pb2.ListEventsRequest.FromString,
            event_pb2.ListEventsResponse.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    health = Health(service)
    health.add_to_aio(server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    health.serve()
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
