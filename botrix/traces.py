"""Spans of OpenTelemetry, where the operator asked for them and the extra `otel` is installed; else
each costs one comparison. What a span says is chosen here: ids, numbers and kinds, never a name of
a person, an address or a secret, nor a text of somebody else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from botrix.settings import Settings
from botrix.traceparent import current

_log = logging.getLogger(__name__)
Attributes = Mapping[str, "str | int | float | bool"]
EXTRA = "pip install 'botrix[otel]'"


class Span(Protocol):
    """Use as a context manager; what is done in it belongs to it. traceparent: "" of none."""

    @property
    def traceparent(self) -> str: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def named(self, name: str) -> None: ...

    def note(self, attributes: Attributes) -> None: ...

    def went_wrong(self, how: str) -> None:
        """how: a kind of error, by a word of ours."""
        ...


class _Nothing:
    traceparent = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def named(self, name: str) -> None:
        pass

    def note(self, attributes: Attributes) -> None:
        pass

    def went_wrong(self, how: str) -> None:
        pass


NOTHING: Span = _Nothing()


class Tracer(Protocol):
    """What `botrix.otel` has."""

    def span(
        self,
        name: str,
        parent: str | None,
        kind: str,
        attributes: Attributes,
        links: Sequence[str],
        began: float | None,
    ) -> Span: ...

    def note(self, attributes: Attributes) -> None: ...

    def close(self, within: float) -> None: ...


_tracer: Tracer | None = None


def set_up(settings: Settings, service: str, worker: str = "") -> None:
    """Called once by each program, after its log was set up. Whatever is wrong with it is said in
    one line, and nothing is traced."""
    global _tracer  # noqa: PLW0603  one a process, as its log is
    if not settings.traces:
        return
    try:
        from botrix.otel import open_tracer

        _tracer = open_tracer(settings.traces, service, worker)
    except ImportError as error:
        _log.warning("no traces: %s is not installed; %s", error.name, EXTRA)
    except ValueError as error:
        _log.warning("no traces: %s", error)


def close(within: float) -> None:
    """Sends what is left, for so many seconds at most."""
    if _tracer is not None:
        _tracer.close(within)


def active() -> bool:
    """Whether anything is traced."""
    return _tracer is not None


def span(
    name: str,
    parent: str | None = None,
    *,
    kind: str = "internal",
    root: bool = False,
    attributes: Attributes | None = None,
    links: Sequence[str] = (),
    began: float | None = None,
) -> Span:
    """parent: a traceparent, if not what is being done now. None is begun where there is neither,
    unless it is to be a root. kind: server, client, producer, consumer, internal. began: when, by
    time.time(), if not now."""
    if _tracer is None:
        return NOTHING
    parent = parent or current.get()
    if parent is None and not root:
        return NOTHING
    return _tracer.span(name, parent, kind, attributes or {}, links, began)


def note(attributes: Attributes) -> None:
    """On the span of what is being done now."""
    if _tracer is not None:
        _tracer.note(attributes)
