"""`python -m deploy.local.trace_collector PORT [UID:GID]`: the stack's own receiver of traces, for `make trace`.

It takes OTLP over gRPC on loopback, keeps the newest traces in bounded memory and sends them to those who ask.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from deploy.local.trace_store import TraceStore
from servicekit import privileges
from servicekit.signal_event import SignalEvent

# The one method beside OTLP's. The request is `background`, or empty; each response is one trace, the newest first.
SERVICE, READ = "marketplace.local.Traces", "Read"
WITH_BACKGROUND = b"background"
_MAX_MESSAGE_BYTES = 8 * 1024 * 1024
_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", 64),
    ("grpc.max_allowed_incoming_connections", 128),
]
_THREADS = 4
_STOP_SECONDS = 0.5


class Collector(TraceServiceServicer):
    """Puts received spans into a store."""

    def __init__(self, store: TraceStore) -> None:
        self._store = store

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802  # an RPC
        """Keep spans."""
        self._store.add(request)
        return ExportTraceServiceResponse()

    def read(self, request: bytes, context: Any) -> Iterator[bytes]:
        """Yield traces, the newest first, until the reader has enough."""
        for spans in self._store.newest(background=request == WITH_BACKGROUND):
            yield TracesData(resource_spans=spans).SerializeToString()


def serve(port: int, store: TraceStore) -> grpc.Server:
    """Start a collector on a port of loopback. Raises RuntimeError when the port is taken."""
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=_OPTIONS, maximum_concurrent_rpcs=64)
    collector = Collector(store)
    add_TraceServiceServicer_to_server(collector, server)
    read = grpc.unary_stream_rpc_method_handler(collector.read)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {READ: read}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = SignalEvent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if len(sys.argv) > 2:
        privileges.drop(sys.argv[2])
    server = serve(int(sys.argv[1]), TraceStore())
    stop.wait()
    server.stop(_STOP_SECONDS).wait()


if __name__ == "__main__":
    main()
