"""The long column of the matrix, for as long as there is time; goes on where it was ended.

    python -m tests.faults.long --budget 1h --seed 7

The fault that is furthest behind its plan is next, so that all advance together. What was done is
kept in a file beside the seed; a finding is kept in a folder, to be checked and looked at again.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import re
import signal
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.fault import Fault, Report
from tests.faults.matrix import FAULTS, Postgres, quantile, shared_postgres, tried

_UNITS = {"s": 1, "m": 60, "h": 3600}
_IN_ONE_GO = 25
COLUMNS = ("fault", "what", "trials", "planned", "violations", "below", "p50 s", "p99 s", "max s")


class Storm:
    """state: a JSON file of reports by fault."""

    def __init__(self, faults: list[Fault], seed: str, state: Path, server: Postgres) -> None:
        self.reports = {fault.id: Report(fault.id) for fault in faults}
        self._faults = {fault.id: fault for fault in faults}
        self._seed = seed
        self._state = state
        self._server = server
        self._begun: dict[str, int] = {}
        if state.exists():
            for report in json.loads(state.read_text())[seed]:
                if report["fault"] in self.reports:
                    self.reports[report["fault"]] = Report(**report)
        self._begun = {ident: report.trials for ident, report in self.reports.items()}

    async def run(self, until: float, side_by_side: int, over: asyncio.Event) -> None:
        await asyncio.gather(*(self._worlds(until, over) for _ in range(side_by_side)))

    async def _worlds(self, until: float, over: asyncio.Event) -> None:
        while time.monotonic() < until and not over.is_set():
            fault = self._furthest_behind()
            if fault is None:
                return
            first = self._begun[fault.id]
            trials = min(self._portion(fault), fault.long - first)
            self._begun[fault.id] += trials
            report = await tried(fault, trials, f"{self._seed}:{first}", self._server)
            self.reports[fault.id].add(report)
            self._save()
            print(self._told(fault, report), flush=True)

    def _furthest_behind(self) -> Fault | None:
        left = [f for f in self._faults.values() if self._begun[f.id] < f.long]
        return min(left, key=lambda f: self._begun[f.id] / f.long, default=None)

    def _portion(self, fault: Fault) -> int:
        return fault.long if fault.id == "F1-large" else min(_IN_ONE_GO, fault.per_world)

    def _save(self) -> None:
        known = json.loads(self._state.read_text()) if self._state.exists() else {}
        known[self._seed] = [dataclasses.asdict(report) for report in self.reports.values()]
        self._state.parent.mkdir(parents=True, exist_ok=True)
        self._state.write_text(json.dumps(known))

    def _told(self, fault: Fault, report: Report) -> str:
        done = self.reports[fault.id].trials
        line = f"{time.strftime('%H:%M:%S')}  {fault.id:12} {done:5} of {fault.long:5}"
        return "\n".join([f"{line}  in {report.seconds:4.0f} s", *report.violations])

    def rows(self) -> list[list[str]]:
        """Under COLUMNS. Of no violation in n trials the rate is below 3/n, at 95 % (the rule of
        three; Hanley and Lippman-Hand, 1983)."""
        rows = []
        for ident, report in self.reports.items():
            fault, times = self._faults[ident], report.recoveries
            bad, n = len(report.violations), report.trials
            bound = f"{3 / n:.4f}" if n and not bad else ""
            shown = [f"{quantile(times, q):.2f}" if times else "" for q in (0.5, 0.99, 1.0)]
            counts = (n * fault.each, fault.long * fault.each, bad)
            rows.append([ident, fault.title, *(f"{count:,}" for count in counts), bound, *shown])
        return rows

    def table(self) -> Table:
        table = Table(*COLUMNS)
        for row in self.rows():
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        ruled = [list(COLUMNS), ["---"] * 2 + ["---:"] * (len(COLUMNS) - 2), *self.rows()]
        return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


async def _storm(storm: Storm, seconds: float, side_by_side: int) -> None:
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await storm.run(time.monotonic() + seconds, side_by_side, over)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None:
        raise argparse.ArgumentTypeError("write a time like 90s, 20m or 1h")
    return float(match[1]) * _UNITS[match[2]]


def main() -> int:
    parser = argparse.ArgumentParser(description="Faults for as long as there is time.")
    parser.add_argument("--budget", type=_seconds, default="1h", help="such as 20m or 1h")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", nargs="*", choices=FAULTS, help="these faults alone")
    parser.add_argument("--side-by-side", type=int, default=2, help="worlds at a time (2)")
    parser.add_argument("--state", type=Path, default=Path(".storm/state.json"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="the table, for a page")
    given = parser.parse_args()
    wanted = [FAULTS[ident] for ident in given.only or FAULTS]
    for fault in wanted:
        if reason := fault.needs():
            print(f"{fault.id} is NOT tried: {reason}", file=sys.stderr)
    can = [fault for fault in wanted if fault.needs() is None]
    print(f"seed {given.seed}; {len(can)} faults; Ctrl-C ends it after the worlds under way")
    with shared_postgres() as server:
        storm = Storm(can, given.seed, given.state, server)
        asyncio.run(_storm(storm, given.budget, given.side_by_side))
    if given.markdown:
        print(storm.markdown())
    elif given.json:
        print(json.dumps([dataclasses.asdict(report) for report in storm.reports.values()]))
    else:
        Console(width=120).print(storm.table())
    return 1 if any(report.violations for report in storm.reports.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
