"""The table and the JSON of a run."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
from collections.abc import Sequence
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
    "p50": ("pickup at idle, p50, ms", False),
    "p99": ("pickup at idle, p99, ms", False),
    "cpu worker": ("CPU of the worker, ms for 1,000 jobs", False),
    "cpu broker": ("CPU of the broker, ms for 1,000 jobs", False),
    "rss": ("memory of the worker, RSS, MiB", False),
    "pss": ("memory of the worker, shared once, MiB", False),
    "bytes": ("broker, bytes a queued job", False),
    "recovery": ("after SIGKILL, s until all was done", False),
    "lost": ("jobs that had not run 120 s after it", False),
    "doubled": ("jobs that ran more than once", False),
}
"""Of each: how it is called, and whether more is better."""

_RATIOS = [name for name in MEASURES if name not in ("lost", "doubled")]


def medians(seen: Seen) -> dict[str, dict[str, float]]:
    return {
        peer: {name: statistics.median(values) for name, values in figures.items()}
        for peer, figures in seen.items()
    }


def ratios(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Each Botrix beside the best of the peers: above 1, Botrix is the better one by so much."""
    ours = {name: figures for name, figures in found.items() if name.startswith("botrix")}
    others = [figures for name, figures in found.items() if name not in ours]
    told: dict[str, dict[str, float]] = {}
    for name, figures in ours.items():
        told[name] = {}
        for measure in _RATIOS:
            theirs = [other[measure] for other in others if measure in other]
            if measure not in figures or not theirs:
                continue
            more = MEASURES[measure][1]
            best, own = (max if more else min)(theirs), figures[measure]
            above, below = (own, best) if more else (best, own)
            told[name][measure] = above / below if below else 1.0
    return told


def show(peers: Sequence[Peer], seen: Seen) -> None:
    """A table in Markdown, as docs/PERFORMANCE.md has it; medians, and ranges in brackets."""
    found = medians(seen)
    told = ratios(found)
    shown = [peer for peer in peers if peer.name in found]
    beside = [peer for peer in shown if peer.name in told]
    heads = [f"{peer.title} {peer.version}" for peer in shown]
    heads += [f"{peer.title}: of the best peer" for peer in beside]
    print(_row(["what", *heads]))
    print(_row(["---"] * (1 + len(heads))))
    for measure, (title, _) in MEASURES.items():
        cells = [_cell(seen[peer.name].get(measure)) for peer in shown]
        cells += [_ratio(told[peer.name].get(measure)) for peer in beside]
        if any(cells):
            print(_row([title, *cells]))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(values: Sequence[float] | None) -> str:
    if not values:
        return ""
    middle, least, most = _short(statistics.median(values)), min(values), max(values)
    return middle if len(values) == 1 else f"{middle} ({_short(least)} to {_short(most)})"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f} x"


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
