"""Prometheus metrics of a worker, at `/metrics` on a port of its own."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

CALLS = Counter("marketplace_calls_total", "Calls answered.", ("method", "code"))
SECONDS = Histogram(
    "marketplace_call_seconds",
    "How long calls took, in seconds, without the wait for a free thread.",
    ("method",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
WORKER = Gauge("marketplace_worker_info", "Which worker this is.", ("worker",))


def observe(method: str, code: str, seconds: float) -> None:
    """Count one call and record its time."""
    CALLS.labels(method, code).inc()
    SECONDS.labels(method).observe(seconds)


def serve(host: str, port: int, worker: str) -> None:
    """Serve `/metrics` from a thread of its own."""
    WORKER.labels(worker).set(1)
    start_http_server(port, addr=host)
