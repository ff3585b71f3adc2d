"""Traces that cannot be had harm nothing, and are told of in one line."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from threading import Event

import pytest
import pytest_asyncio
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from botrix.otel import Spans
from tests.servers.collector import Collector
from tests.servers.system import FAST, System, free_port, until

_SOON = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_BSP_SCHEDULE_DELAY": "100"}
_LINE = "traces do not get through"
_SET_UP = """
import sys
from botrix import log, traces
from botrix.settings import Settings
for name in sys.argv[1:]:
    sys.modules[name] = None
settings = Settings.read()
log.set_up(settings, "worker-1")
traces.set_up(settings, "botrix-worker")
print(traces.active())
"""
Make = Callable[[dict[str, str]], System]


def text_of(log: Path) -> str:
    return log.read_text()


def lines(log: Path, text: str) -> list[dict[str, str]]:
    found = [json.loads(line) for line in text_of(log).splitlines() if line.startswith("{")]
    return [line for line in found if text in line["event"]]


@pytest_asyncio.fixture
async def made(folder: Path) -> AsyncIterator[Make]:
    systems: list[System] = []

    def make(environ: dict[str, str]) -> System:
        systems.append(System(folder, {**FAST, **_SOON, **environ}, log=folder / "log"))
        return systems[-1]

    yield make
    for one in systems:
        await one.stop()


async def _works_and_ends(system: System, log: Path) -> None:
    """Each process has something to send, and cannot."""
    await system.worker()
    for _ in range(3):
        assert (await system.final(await system.generate(2)))["created"] == 2

    async def told() -> bool:
        return {line["process"] for line in lines(log, _LINE)} == {"api", "worker-1"}

    await until(told, 20, "both say so")
    assert (await system.final(await system.generate(5)))["created"] == 5
    before = time.monotonic()
    assert await system.terminate("worker-1") == 0
    api = system.supervisor.processes["api"]
    await system.http.close()
    api.terminate()
    assert await asyncio.wait_for(api.wait(), 20) in (0, -signal.SIGTERM)
    assert time.monotonic() - before < 10
    assert len(lines(log, _LINE)) == 2, "each says so once"
    assert "Traceback" not in text_of(log)


@pytest.mark.suite("Valkey")
async def test_a_collector_that_is_away(made: Make, folder: Path) -> None:
    system = made({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:s3cret@127.0.0.1:{free_port()}"})
    await system.start()
    await _works_and_ends(system, folder / "log")
    assert "s3cret" not in text_of(folder / "log")


@pytest.mark.suite("Valkey")
async def test_a_collector_that_hangs(made: Make, folder: Path, collector: Collector) -> None:
    collector.hangs = True
    system = made(collector.environ)
    await system.start()
    await _works_and_ends(system, folder / "log")


@pytest.mark.suite("Valkey")
async def test_a_collector_that_comes_back(made: Make, folder: Path, collector: Collector) -> None:
    collector.status = 500
    system = made(collector.environ)
    await system.start()
    await system.worker()
    await system.final(await system.generate())

    async def told() -> bool:
        return len(lines(folder / "log", _LINE)) == 2

    await until(told, 20, "both say so")
    collector.status = 200
    await system.final(await system.generate())

    async def told_again() -> bool:
        return len(lines(folder / "log", "traces get through again")) == 2

    await until(told_again, 20, "both say so")


@pytest.mark.suite("Valkey")
async def test_where_nobody_asked_for_traces_there_are_none(
    made: Make, folder: Path, collector: Collector
) -> None:
    system = made({"OTEL_EXPORTER_OTLP_ENDPOINT": ""})
    await system.start()
    await system.worker()
    header = f"00-{'a' * 32}-{'b' * 16}-01"
    job = await system.post("/api/accounts/generate", {"count": 1}, 202, traceparent=header)
    await system.final(job["id"])
    assert system.rows("SELECT traceparent FROM jobs") == [(header,)], "a worker may trace"
    assert collector.asked == 0
    assert not lines(folder / "log", "traces")


def set_up(environ: dict[str, str], *missing: str) -> tuple[str, str]:
    """What it says, and whether anything is traced."""
    done = subprocess.run(
        (sys.executable, "-c", _SET_UP, *missing),
        env={"PATH": "", "LOG_FORMAT": "text", **environ},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stderr, done.stdout.strip()


@pytest.mark.parametrize(
    "missing", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http.trace_exporter"]
)
def test_an_extra_that_is_missing_is_one_line(missing: str) -> None:
    said, active = set_up({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, missing)
    assert active == "False"
    (line,) = said.splitlines()
    assert "warning: no traces: " in line
    assert line.endswith("is not installed; pip install 'botrix[otel]'")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "give otlp, console or none"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "positive"),
    ],
)
def test_what_cannot_be_used_is_one_line(environ: dict[str, str], said: str) -> None:
    found, active = set_up(environ)
    (line,) = found.splitlines()
    assert "no traces: " in line
    assert said in line
    assert active == "False"


@pytest.mark.parametrize(
    ("environ", "active"),
    [
        ({}, "False"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, "False"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, "True"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "True"),
    ],
)
def test_they_are_off_unless_somebody_wants_them(environ: dict[str, str], active: str) -> None:
    assert set_up(environ) == ("", active)


class _Hangs(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        Event().wait(30)
        return SpanExportResult.FAILURE


def test_the_end_waits_no_longer_than_it_may() -> None:
    spans = Spans(_Hangs(), Resource({}))
    with spans.span("one", None, "internal", {}, [], None):
        pass
    before = time.monotonic()
    spans.close(0.2)
    assert time.monotonic() - before < 5
