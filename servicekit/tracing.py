"""OpenTelemetry's spans of calls, statements and background work. Imported only when traces are on: see docs/traces.md.

The official instrumentations make the spans. gRPC's server interceptors are not given to the server, which would run
them on its one thread for each call: each method is wrapped by them once, when it is registered.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import grpc
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import aio_server_interceptor, client_interceptor, server_interceptor
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased
from opentelemetry.trace import StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from servicekit.span_export import BATCH_SECONDS, EXPORT_SECONDS, MAX_BATCH, MAX_WAITING, Outbound
from servicekit.span_sampling import RootSampler
from servicekit.spans import Spans, install

F = TypeVar("F", bound=Callable[..., Any])

STOP_SECONDS = 1.0
# The spans of one run of background work that are held until it is known whether the run changes anything.
MAX_HELD = 500

_CHANGE = re.compile(r"\b(?:INSERT|DELETE|MERGE)\b|(?<!FOR )(?<!KEY )\bUPDATE\b", re.IGNORECASE)


@dataclass
class _Work:
    """Background work under way: its spans are held until it has done something."""

    spans: list[ReadableSpan] = field(default_factory=list)
    has_done: bool = False


_work: ContextVar[_Work | None] = ContextVar("work", default=None)


class _Details(NamedTuple):
    """What an interceptor reads of a call."""

    method: str
    invocation_metadata: tuple[Any, ...] = ()


def start(endpoint: str, ratio: float, service: str, worker: str) -> None:
    """Send spans to the endpoint from now on. Of traces that begin here, `ratio` is sampled."""
    # They report a receiver that is away with every batch; `Outbound` does once a minute.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    # Baggage would be texts of a client's that travel along.
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    # Any: its types know options with texts alone.
    options: Any = (("grpc.enable_http_proxy", 0),)
    exporter = OTLPSpanExporter(endpoint, insecure=True, timeout=EXPORT_SECONDS, channel_options=options)
    install(Tracing(Outbound(exporter), ratio, service, worker))


class Tracing(Spans):
    """The spans of a process of a service."""

    def __init__(self, outbound: Outbound, ratio: float, service: str, worker: str) -> None:
        resource = Resource({"service.name": service, "service.instance.id": worker})
        self._provider = TracerProvider(ParentBased(RootSampler(ratio)), resource, shutdown_on_exit=False)
        batch = BatchSpanProcessor(
            outbound,
            # More than `Outbound` lets wait.
            max_queue_size=2 * MAX_WAITING,
            schedule_delay_millis=BATCH_SECONDS * 1000,
            max_export_batch_size=MAX_BATCH,
        )
        self._outbound = outbound
        self._provider.add_span_processor(_Holding(outbound, batch))
        self._tracer = self._provider.get_tracer("servicekit")
        self._server = server_interceptor(self._provider)
        self._aio_server = aio_server_interceptor(self._provider)
        Psycopg2Instrumentor().instrument(tracer_provider=self._provider)

    def around(self, method: str, serve: F) -> F:
        """See Spans."""
        handler = grpc.unary_unary_rpc_method_handler(serve)
        traced = self._server.intercept_service(lambda _: handler, _Details(f"/{method}")).unary_unary
        if hasattr(serve, "experimental_thread_pool"):
            traced.experimental_thread_pool = serve.experimental_thread_pool
        return traced  # type: ignore[no-any-return]

    def around_async(self, method: str, serve: F) -> F:
        """See Spans. The method returns the response, or None after it has written its responses itself."""
        handler = grpc.stream_unary_rpc_method_handler(serve)

        async def continuation(_: object) -> Any:
            return handler

        wrapping = self._aio_server.intercept_service(continuation, _Details(f"/{method}"))
        try:
            # It waits for nothing.
            wrapping.send(None)
        except StopIteration as finished:
            return finished.value.stream_unary  # type: ignore[no-any-return]
        raise RuntimeError("OpenTelemetry's interceptor waits while a method is registered")

    def on_channel(self, channel: grpc.Channel) -> grpc.Channel:
        """See Spans."""
        return intercept_channel(channel, client_interceptor(self._provider))  # type: ignore[no-any-return]

    @contextmanager
    def work(self, name: str, attributes: Mapping[str, str | int] | None = None) -> Iterator[None]:
        """See Spans."""
        token = _work.set(_Work(has_done="outbox.topic" in (attributes or {})))
        try:
            # An empty context: the work belongs to no call.
            with self._tracer.start_as_current_span(name, Context(), attributes=attributes):
                yield
        finally:
            _work.reset(token)

    def prepared(self, name: str, sql: str) -> None:
        """See Spans."""
        self._outbound.statements.add(name, sql)

    def changed(self, sql: str, rows: int) -> None:
        """See Spans."""
        work = _work.get()
        if work is not None and rows > 0 and not work.has_done and _CHANGE.search(sql):
            work.has_done = True

    def trace_id(self) -> str | None:
        """See Spans."""
        context = trace.get_current_span().get_span_context()
        return f"{context.trace_id:032x}" if context.trace_flags.sampled else None

    def stop(self) -> None:
        """See Spans."""
        # The SDK's own bound is 30 seconds.
        stopping = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        stopping.start()
        stopping.join(STOP_SECONDS)


class _Holding(SpanProcessor):
    """Passes spans on to be sent, but those of background work that has only looked for something to do."""

    def __init__(self, outbound: Outbound, batch: SpanProcessor) -> None:
        self._outbound = outbound
        self._batch = batch

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        self._batch.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        work = _work.get()
        if work is None:
            self._send(span)
            return
        if span.status.status_code is StatusCode.ERROR or "rpc.system" in (span.attributes or {}):
            work.has_done = True
        work.spans.append(span)
        if work.has_done or len(work.spans) >= MAX_HELD:
            work.has_done = True
            spans, work.spans = work.spans, []
            for each in spans:
                self._send(each)

    def _send(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled and self._outbound.take_place():
            self._batch.on_end(span)

    def shutdown(self) -> None:
        self._batch.shutdown()
