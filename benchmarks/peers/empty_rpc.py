"""A limit: a grpcio server whose one handler does nothing. `python -m benchmarks.peers.empty_rpc PORT METHOD`."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

# The threads of a worker of the product, if not set otherwise.
THREADS = 4


class _Empty(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # not generic when it runs
    """Answers every call of one method with an empty message; neither side is taken apart."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """See GenericRpcHandler."""
        return self._handler if handler_call_details.method == self._method else None


def main() -> None:
    """Serve until SIGTERM."""
    port, method = sys.argv[1:]
    server = grpc.server(ThreadPoolExecutor(THREADS), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((_Empty(method),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(0))
    server.wait_for_termination()


if __name__ == "__main__":
    main()
