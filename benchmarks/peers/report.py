"""The tables and the JSON of a run."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.measuring import Size
from benchmarks.peers.peer import Peer
from botrix.line.server import LineServer
from tests.servers.postgres import PostgresServer

Seen = dict[str, dict[str, list[float]]]
"""By peer and measure, a figure of each run."""

MEASURES = {
    "drain": ("drained, jobs/s", True),
    "single": ("put in one by one, jobs/s", True),
    "bulk": ("put in by many, jobs/s", True),
    "p50": ("pickup, p50, ms", False),
    "p99": ("pickup, p99, ms", False),
    "cpu worker": ("CPU of the worker, ms for 1,000 jobs", False),
    "cpu broker": ("CPU of the broker, ms for 1,000 jobs", False),
    "rss": ("RSS, MiB", False),
    "pss": ("RSS, shared once, MiB", False),
    "bytes": ("broker, bytes a job", False),
    "recovery": ("s until all was done", False),
    "lost": ("not run 120 s after it", False),
    "doubled": ("run more than once", False),
}
"""Of each: how it is called, and whether more is better."""

_RATIOS = [name for name in MEASURES if name not in ("lost", "doubled")]
_TABLES = (
    ("How fast", ("drain", "single", "bulk", "p50", "p99")),
    ("At what cost", ("cpu worker", "cpu broker", "rss", "pss", "bytes")),
    ("After SIGKILL, 1,000 jobs", ("recovery", "lost", "doubled")),
)


def medians(seen: Seen) -> dict[str, dict[str, float]]:
    return {
        peer: {name: statistics.median(values) for name, values in figures.items()}
        for peer, figures in seen.items()
    }


def ratios(found: dict[str, dict[str, float]]) -> dict[str, dict[str, dict[str, float]]]:
    """Each Botrix beside each peer: above 1, Botrix is the better one by so much."""
    others = {name: figures for name, figures in found.items() if not _is_ours(name)}
    return {
        name: {other: _beside(figures, theirs) for other, theirs in others.items()}
        for name, figures in found.items()
        if _is_ours(name)
    }


def _beside(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    told: dict[str, float] = {}
    for measure in _RATIOS:
        if measure in ours and measure in theirs:
            pair = (ours[measure], theirs[measure])
            above, below = pair if MEASURES[measure][1] else reversed(pair)
            told[measure] = above / below if below else 1.0
    return told


def _is_ours(name: str) -> bool:
    return name.startswith("botrix")


def show(peers: Sequence[Peer], versions: Mapping[str, str], seen: Seen) -> None:
    """Tables in Markdown, as docs/PERFORMANCE.md has them; medians, and ranges in brackets."""
    named = {
        peer.name: f"{peer.title} {versions[peer.name]}" for peer in peers if peer.name in seen
    }
    for title, every in _TABLES:
        if measures := [one for one in every if any(one in figures for figures in seen.values())]:
            rows = {named[one]: [_cell(seen[one].get(m)) for m in measures] for one in named}
            _table(title, measures, rows)
    for ours, beside in ratios(medians(seen)).items():
        rows = {named[one]: [_ratio(told.get(m)) for m in _RATIOS] for one, told in beside.items()}
        if rows:
            _table(f"{named[ours]} beside each (above 1: Botrix is better)", _RATIOS, rows)


def _table(title: str, measures: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    heads = [MEASURES[one][0] for one in measures]
    print(f"\n{_row([title, *heads])}\n{_row(['---'] * (1 + len(heads)))}")
    for name, cells in rows.items():
        print(_row([name, *cells]))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(values: Sequence[float] | None) -> str:
    if not values:
        return ""
    middle, least, most = _short(statistics.median(values)), min(values), max(values)
    return middle if len(values) == 1 else f"{middle} ({_short(least)} to {_short(most)})"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def document(
    peers: Sequence[Peer], seen: Seen, size: Size, machine: dict[str, Any]
) -> dict[str, Any]:
    found = medians(seen)
    return {
        "machine": machine,
        "size": vars(size),
        "versions": {peer.name: peer.version for peer in peers},
        "settings": {peer.name: {s.name: s.value for s in peer.settings} for peer in peers},
        "runs": seen,
        "medians": found,
        "ratios": ratios(found),
    }


def machine(postgres: PostgresServer) -> dict[str, Any]:
    """What it ran on. load: before it began; more than 0.3 or so means that others were at work."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "node": _says("node", "--version"),
        "sqlite": sqlite3.sqlite_version,
        "postgresql": _says(str(postgres.programs / "postgres"), "--version"),
        "line": _line(),
    }


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _line() -> str:
    from botrix.line import server

    return _says(str(LineServer.binary or server._binary()), "--version")  # noqa: SLF001


def _says(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"
