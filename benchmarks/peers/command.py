"""`python -m benchmarks peers`: see the package."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers import report
from benchmarks.peers.measuring import Size, crashed, drained, idle
from benchmarks.peers.peer import Peer, peers
from benchmarks.peers.report import Seen
from tests.servers.postgres import PostgresServer, postgres_server

_PARTS = ("drain", "idle", "crash")


def main(arguments: Sequence[str]) -> int:
    """Status 1 where a peer could not be measured; what was measured is shown all the same."""
    given = _parser().parse_args(arguments)
    if given.show:
        told = json.loads(given.show.read_text())
        report.show(list(peers().values()), told["versions"], told["runs"])
        return 0
    chosen = _chosen(given.peers)
    size = Size(jobs=given.jobs, single=min(2000, given.jobs // 4))
    seen: Seen = {}
    failed = False
    with postgres_server() as postgres:
        machine = report.machine(postgres)
    for run in range(given.runs):
        print(f"run {run + 1} of {given.runs}", file=sys.stderr)
        with postgres_server(durable=True) as postgres:  # freshly started, as the line is
            for peer in _turned(chosen, run):
                failed |= not asyncio.run(_measured(peer, postgres, size, given.only, seen))
        if given.json:  # after each run: what was measured outlives a run that is broken off
            told = report.document(chosen, seen, size, machine)
            given.json.write_text(json.dumps(told, indent=1) + "\n")
    report.show(chosen, {peer.name: peer.version for peer in chosen}, seen)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks peers")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", default="", help="some of them: names, with commas")
    parser.add_argument("--only", choices=_PARTS, action="append", help="parts of it")
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    parser.add_argument("--show", type=Path, help="measure nothing: the tables of such a file")
    return parser


def _chosen(names: str) -> list[Peer]:
    known = peers()
    wanted = [name for name in names.split(",") if name] or list(known)
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"there is no peer {unknown[0]!r}; there are: {', '.join(known)}")
    missing = [known[name].title for name in wanted if not known[name].is_there]
    if missing:
        print(f"NOT measured: {', '.join(missing)}; run: make bench-peers", file=sys.stderr)
    return [known[name] for name in wanted if known[name].is_there]


def _turned(chosen: list[Peer], run: int) -> list[Peer]:
    """Another one is first in each run, so that nobody always has the warm machine."""
    start = run % len(chosen) if chosen else 0
    return chosen[start:] + chosen[:start]


async def _measured(
    peer: Peer, postgres: PostgresServer, size: Size, only: list[str] | None, seen: Seen
) -> bool:
    figures: dict[str, float] = {}
    well = True
    for part in only or _PARTS:
        try:
            figures |= await _part(part, peer, postgres, size)
        except (RuntimeError, TimeoutError) as error:
            print(f"  {peer.title}, {part}: {error}", file=sys.stderr)
            well = False
    for name, value in figures.items():
        seen.setdefault(peer.name, {}).setdefault(name, []).append(value)
    shown = ", ".join(f"{name} {value:,.1f}" for name, value in figures.items())
    print(f"  {peer.title} {peer.version}: {shown}", file=sys.stderr)
    return well


async def _part(part: str, peer: Peer, postgres: PostgresServer, size: Size) -> dict[str, float]:
    match part:
        case "drain":
            return await drained(peer, postgres, size)
        case "crash":
            return await crashed(peer, postgres, size)
    took = await idle(peer, postgres, size)
    return {"p50": statistics.median(took), "p99": sorted(took)[int(len(took) * 0.99)]}
