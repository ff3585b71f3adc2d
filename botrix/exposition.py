"""What is measured, in the words of Prometheus or of OpenMetrics, as whoever scrapes prefers.

Names and units are those of their conventions: seconds and bytes, `_total` for what only grows. No
label has values without bound: never a job, an account or a user.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as plainly
from prometheus_client.openmetrics.exposition import generate_latest as openly
from prometheus_client.registry import Collector

from botrix import __version__, process
from botrix.histogram import Histogram

OPENLY = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAINLY = CONTENT_TYPE_PLAIN_0_0_4
Labels = Sequence[str]
Key = TypeVar("Key", bound=tuple[str, ...])
"""The values of labels."""
_PROCESS = {
    "process_cpu_seconds_total": "Processor time that this process has used.",
    "process_start_time_seconds": "When this process began, since 1970.",
    "process_max_fds": "Files and connections that it may have open; -1 for any number.",
    "process_open_fds": "Files and connections that it has open.",
    "process_virtual_memory_bytes": "Addresses that it has reserved.",
    "process_resident_memory_bytes": "Memory that it occupies.",
}


class _Once(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def rendered(metrics: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """The text, and its type."""
    if _prefers_openmetrics(accept):
        return openly(_Once(metrics)), OPENLY  # type: ignore[no-untyped-call]
    return plainly(_Once(metrics)), PLAINLY


def _prefers_openmetrics(accept: str) -> bool:
    """An Accept header that cannot be read asks for nothing in particular."""
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for one in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in one.split(";"))
        if kind in best:
            best[kind] = max(best[kind], _quality(parameters))
    return best["application/openmetrics-text"] > best["text/plain"]


def _quality(parameters: Sequence[str]) -> float:
    given = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return min(1.0, max(0.0, float(given)))
    except ValueError:
        return 0.0


def gauge(name: str, what: str, values: Mapping[Key, float], labels: Labels = ()) -> Metric:
    """values: by the values of the labels."""
    family = GaugeMetricFamily(name, what, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def one(name: str, what: str, value: float) -> Metric:
    """Without labels."""
    return gauge(name, what, {(): value})


def counter(name: str, what: str, values: Mapping[Key, float], labels: Labels = ()) -> Metric:
    """name: with its `_total`."""
    family = CounterMetricFamily(name, what, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def histogram(name: str, what: str, values: Mapping[Key, Histogram], labels: Labels = ()) -> Metric:
    """Of seconds."""
    family = HistogramMetricFamily(name, what, labels=labels)
    for key, value in values.items():
        family.add_metric(key, buckets=value.buckets(), sum_value=value.sum)
    return family


def of_process(lag: Histogram, **labels: str) -> Iterator[Metric]:
    """Of every process of Botrix. labels: more of `botrix_build_info`."""
    names = {"version": __version__, "python": platform.python_version(), **labels}
    yield gauge(
        "botrix_build_info", "Always 1; which program this is.",
        {tuple(names.values()): 1.0}, tuple(names),
    )  # fmt: skip
    yield histogram(
        "botrix_event_loop_lag_seconds", "How late the event loop ran what was due.", {(): lag}
    )
    for name, value in process.measured().items():
        made = counter if name.endswith("_total") else gauge
        yield made(name, _PROCESS[name], {(): value})
