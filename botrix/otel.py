"""The SDK of OpenTelemetry, behind `botrix.traces`; loaded only where spans are wanted. It reads
its own variables (`OTEL_…`): where to, how much, how it is called.

Spans wait in a queue of bounded length for a thread that sends them; what does not fit is dropped.
So a collector that hangs or is away costs nobody more than its spans, and says so once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextvars import Token
from threading import Thread
from types import TracebackType
from typing import Self

from opentelemetry import context as contexts
from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)

from botrix import __version__
from botrix.traceparent import current, ids, write

_log = logging.getLogger(__name__)
Attributes = Mapping[str, "str | int | float | bool"]
_KINDS = {kind.name.lower(): kind for kind in api.SpanKind}
_NANO = 1e9


class OneSpan:
    """A span that is current between enter and exit."""

    __slots__ = ("_said", "_span", "_token", "traceparent")

    def __init__(self, span: api.Span) -> None:
        self._span = span
        now = span.get_span_context()
        sampled = bool(now.trace_flags & api.TraceFlags.SAMPLED)
        self.traceparent = write(now.trace_id, now.span_id, sampled=sampled)
        self._said: Token[str | None] | None = None
        self._token: object = None

    def __enter__(self) -> Self:
        self._token = contexts.attach(api.set_span_in_context(self._span))
        if self._span.get_span_context().is_valid:
            self._said = current.set(self.traceparent)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._said is not None:
            current.reset(self._said)
        contexts.detach(self._token)  # type: ignore[arg-type]
        if kind is not None:  # its text may name somebody
            self.went_wrong(kind.__name__)
        self._span.end()

    def named(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def went_wrong(self, how: str) -> None:
        self._span.set_attribute("error.type", how)
        self._span.set_status(api.StatusCode.ERROR)


class Spans:
    """Begins spans, and sends those that ended."""

    def __init__(self, exporter: SpanExporter, resource: Resource) -> None:
        # Not at exit: the SDK's own end may take half a minute.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("botrix", __version__)

    def span(
        self,
        name: str,
        parent: str | None,
        kind: str,
        attributes: Attributes,
        links: Sequence[str],
        began: float | None,
    ) -> OneSpan:
        context = Context()
        if parent is not None:
            context = api.set_span_in_context(api.NonRecordingSpan(_context(parent)), context)
        span = self._tracer.start_span(
            name, context, _KINDS[kind], attributes, [api.Link(_context(one)) for one in links],
            None if began is None else int(began * _NANO),
        )  # fmt: skip
        return OneSpan(span)

    def note(self, attributes: Attributes) -> None:
        api.get_current_span().set_attributes(attributes)

    def close(self, within: float) -> None:
        ending = Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(within)


class Told(SpanExporter):
    """Says once that spans do not get through, and once that they do again. The url is not shown:
    it may hold a password."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                _log.info("traces get through again; %d spans were lost", self._lost)
            self._lost = 0
            return result
        if not self._lost:
            _log.warning(
                "traces do not get through and are dropped; is a collector for OTLP over HTTP at "
                "OTEL_EXPORTER_OTLP_ENDPOINT? (usually port 4318)"
            )
        self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def open_tracer(exporter: str, service: str, worker: str) -> Spans:
    """Raises ImportError where a part of the extra is missing, ValueError for what cannot be
    used."""
    for noisy in ("opentelemetry", "urllib3"):  # `Told` says what there is to say
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    return Spans(_exporter(exporter), _resource(service, worker))


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter()
    if name != "otlp":
        raise ValueError(
            f"OTEL_TRACES_EXPORTER={name!r} cannot be used; give otlp, console or none"
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return Told(OTLPSpanExporter())


def _resource(service: str, worker: str) -> Resource:
    """What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes first."""
    said = Resource.create().attributes
    own = {"service.name": service, "service.version": __version__, "botrix.worker": worker}
    named = not str(said.get("service.name", "")).startswith("unknown_service")
    kept = {name: value for name, value in said.items() if name != "service.name" or named}
    return Resource({**{name: value for name, value in own.items() if value}, **kept})


def _context(traceparent: str) -> api.SpanContext:
    trace, span, sampled = ids(traceparent)
    flags = api.TraceFlags(api.TraceFlags.SAMPLED if sampled else api.TraceFlags.DEFAULT)
    return api.SpanContext(trace, span, is_remote=True, trace_flags=flags)
