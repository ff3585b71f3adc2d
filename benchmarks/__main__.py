"""`make bench`: every figure beside the reference that it is a ratio of, as medians of several runs
that are interleaved, so that a machine's good and bad minutes fall on all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from benchmarks import (
    dashboard,
    directories,
    limits,
    listeners,
    lists,
    measures,
    plans,
    scale,
    submitting,
)  # fmt: skip
from benchmarks.peers import command
from benchmarks.peers.peer import peers
from tests.servers.postgres import PostgresServer, postgres_server

Figures = dict[str, float]


@dataclass(frozen=True)
class Line:
    """One line of the table; bar: what it should reach, least: whether it is a lower bound."""

    what: str
    figure: float
    unit: str
    bar: float
    least: bool = True

    @property
    def reached(self) -> bool:
        return self.figure >= self.bar if self.least else self.figure <= self.bar


async def _round(postgres: PostgresServer, only: str) -> Figures:
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "drain dramatiq": measures.dramatiq,
        "drain sqlite": lambda: measures.drain(None),
        "drain postgres": lambda: measures.drain(postgres),
        "big sqlite": lambda: measures.big_jobs(None),
        "raw sqlite": lambda: measures.raw_batches(None),
        "big postgres": lambda: measures.big_jobs(postgres),
        "raw postgres": lambda: measures.raw_batches(postgres),
        "pickup sqlite": lambda: measures.pickup(None),
        "pickup postgres": lambda: measures.pickup(postgres),
        "memory sqlite": lambda: measures.memory(None),
        "neighbour sqlite": lambda: measures.neighbour(None, 0.0),
        "neighbour postgres": lambda: measures.neighbour(postgres, 0.0),
        "neighbour of a slow one sqlite": lambda: measures.neighbour(None, 0.05),
        "scim loop": lambda: directories.best_bare_scim(3000),
        "scim one": lambda: directories.botrix_scim(3000, bulk=False),
        "scim sequential": lambda: directories.sequential_scim(3000),
        "scim bulk loop": lambda: directories.bulk_scim(6000),
        "scim bulk": lambda: directories.botrix_scim(6000),
        "slapd loop": lambda: directories.bare_ldap(100_000),
        "slapd": lambda: directories.botrix_ldap(100_000),
        "keycloak loop": lambda: directories.best_bare_keycloak(10_000),
        "keycloak": lambda: directories.botrix_keycloak(10_000),
        "events none": lambda: listeners.drained(0, kept=False),
        "events 200": lambda: listeners.drained(200),
        "events page": lambda: listeners.drained(200, page=True),
        "halved": lambda: directories.halved(1000),
        "plan": plans.planned,
        "plan lookups": plans.looked_up,
        "plan scim": lambda: plans.planned_scim(20_000),
        "plan scim lookups": lambda: plans.looked_up_scim(4000),
        "plan slapd": lambda: plans.planned_slapd(100_000),
        "plan slapd lookups": lambda: plans.looked_up_slapd(20_000),
        "submit bulk sqlite": lambda: submitting.bulk(None),
        "submit bulk postgres": lambda: submitting.bulk(postgres),
        "submit single sqlite": lambda: submitting.single(None),
        "submit single postgres": lambda: submitting.single(postgres),
        "slow one": lambda: measures.slow_directory(postgres, 1),
        "slow four": lambda: measures.slow_directory(postgres, 4),
    }
    figures: Figures = {}
    for name, step in steps.items():
        if only not in name or _left_out(name, only):
            continue
        print(f"  {name} ...", end="", file=sys.stderr, flush=True)
        got = await step()
        values = got if isinstance(got, tuple) else (got,)
        figures |= {f"{name} {n}": float(value) for n, value in enumerate(values)}
        print(" ", ", ".join(f"{value:,.1f}" for value in values), file=sys.stderr)
    return figures


def _left_out(name: str, only: str) -> bool:
    """What cannot be had here, or takes minutes and was not asked for."""
    if name.startswith("slapd"):
        return not directories.has_python_ldap()
    if name == "drain dramatiq":
        return not peers()["dramatiq"].is_there
    return name.startswith("plan") and "plan" not in only


def _lines(m: Figures) -> list[Line]:
    """From the medians. Those that were not measured are left out."""

    def ratio(a: str, b: str) -> float:
        return m[a] / m[b]

    wanted: list[Callable[[], Line]] = [
        lambda: Line("jobs of 1, SQLite: of Dramatiq's", ratio("drain sqlite 0", _PEER), "x", 2.5),
        lambda: Line(
            "jobs of 1, PostgreSQL: of Dramatiq's", ratio("drain postgres 0", _PEER), "x", 2
        ),
        lambda: Line(
            "1,000 each, SQLite: of raw inserts", ratio("big sqlite 0", "raw sqlite 0"), "x", 0.4
        ),
        lambda: Line(
            "  … of raw inserts and updates", ratio("big sqlite 0", "raw sqlite 1"), "x", 0.4
        ),
        lambda: Line(
            "1,000 each, PostgreSQL: of raw inserts",
            ratio("big postgres 0", "raw postgres 0"),
            "x",
            0.4,
        ),
        lambda: Line(
            "  … of raw inserts and updates", ratio("big postgres 0", "raw postgres 1"), "x", 0.4
        ),
        lambda: Line("pickup at idle, SQLite, p50", m["pickup sqlite 0"], "ms", 3, False),
        lambda: Line("pickup at idle, SQLite, p99", m["pickup sqlite 1"], "ms", 10, False),
        lambda: Line("memory of a worker, idle", m["memory sqlite 0"], "MiB", 64, False),
        lambda: Line("memory after 100,000 accounts", m["memory sqlite 1"], "MiB", 64, False),
        lambda: Line(
            "ten beside another's 100,000, SQLite: of alone",
            ratio("neighbour sqlite 1", "neighbour sqlite 0"),
            "x",
            10,
            False,
        ),
        lambda: Line(
            "ten beside another's 100,000, PostgreSQL: of alone",
            ratio("neighbour postgres 1", "neighbour postgres 0"),
            "x",
            10,
            False,
        ),
        lambda: Line(
            "into scim2-server: of a bare loop",
            ratio("scim one 0", "scim loop 0"),
            "x",
            0.95,
        ),
        lambda: Line(
            "  … by Bulk: of the sequential loop", ratio("scim bulk 0", "scim sequential 0"), "x", 3
        ),
        lambda: Line(
            "  … by Bulk: of the barest loop of Bulks",
            ratio("scim bulk 0", "scim bulk loop 0"),
            "x",
            0.8,
        ),
        lambda: Line("into slapd: of python-ldap", ratio("slapd 0", "slapd loop 0"), "x", 0.9),
        lambda: Line(
            "into Keycloak: of a bare loop",
            ratio("keycloak 0", "keycloak loop 0"),
            "x",
            0.95,
        ),
        lambda: Line(
            "events, 200 who listen: of none kept",
            ratio("events 200 0", "events none 0"),
            "x",
            0.95,
        ),
        lambda: Line(
            "  … and the dashboard open here",
            ratio("events page 0", "events none 0"),
            "x",
            0.95,
        ),
        lambda: Line(
            "a directory half as fast: of the best",
            ratio("halved 0", "halved 1"),
            "x",
            0.9,
        ),
        lambda: Line(
            "plan of a roster, local: of the look-ups", ratio("plan 0", "plan lookups 0"), "x", 0.5
        ),
        lambda: Line(
            "  … into scim2-server", ratio("plan scim 0", "plan scim lookups 0"), "x", 0.5
        ),
        lambda: Line("  … into slapd", ratio("plan slapd 0", "plan slapd lookups 0"), "x", 0.5),
        lambda: Line("memory of the API, importing it", m["plan 2"], "MB", 150, False),
        lambda: Line(
            "four workers, 50 ms an account: of one", ratio("slow four 0", "slow one 0"), "x", 3.6
        ),
        lambda: Line("submitted at once, SQLite", m["submit bulk sqlite 0"], "jobs/s", 15_500),
        lambda: Line(
            "submitted at once, PostgreSQL", m["submit bulk postgres 0"], "jobs/s", 31_000
        ),
        lambda: Line(
            "one a request, SQLite: of an empty route", m["submit single sqlite 0"], "x", 0.7
        ),
        lambda: Line("  … p99, 32 connections", m["submit single sqlite 3"], "ms", 25, False),
        lambda: Line(
            "one a request, PostgreSQL: of an empty route", m["submit single postgres 0"], "x", 0.7
        ),
        lambda: Line("  … p99, 32 connections", m["submit single postgres 3"], "ms", 25, False),
    ]
    lines = []
    for make in wanted:
        try:
            lines.append(make())
        except KeyError:
            continue
    return lines


_PEER = "drain dramatiq 0"


def _print(lines: list[Line], medians: Figures, runs: int) -> None:
    console = Console()
    console.print(f"Python {platform.python_version()}, medians of {runs} interleaved runs")
    table = Table("what", "measured", "bar", "")
    for line in lines:
        sign = ">=" if line.least else "<="
        verdict = "reached" if line.reached else "missed"
        table.add_row(line.what, f"{line.figure:.2f} {line.unit}", f"{sign} {line.bar:g}", verdict)
    console.print(table)
    for name, value in medians.items():
        console.print(f"  {name:24} {value:>12,.1f}", highlight=False)


def main() -> int:
    """Status 0 where all ran; a missed bar is shown, and no failure."""
    if sys.argv[1:2] == ["peers"]:
        return command.main(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="measurements whose name holds this text")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--jobs", type=int, default=1_000_000, help="in the ledger, for `lists`, `dashboard`"
    )
    given = parser.parse_args()
    if given.only.startswith("lists"):  # takes a quarter of an hour and 20 GB: only when asked for
        return lists.main(given.jobs, given.only, given.json)
    if given.only.startswith("scale"):
        return scale.main(given.jobs, given.runs, given.only, given.json)
    if given.only == "dashboard":
        return dashboard.main(given.jobs, given.json)
    if given.only == "limits":
        return limits.main(given.runs, given.json)
    seen: dict[str, list[float]] = defaultdict(list)
    with postgres_server(durable=True) as postgres:
        for run in range(given.runs):
            print(f"run {run + 1} of {given.runs}", file=sys.stderr)
            for name, value in asyncio.run(_round(postgres, given.only)).items():
                seen[name].append(value)
    medians = {name: statistics.median(values) for name, values in seen.items()}
    lines = _lines(medians)
    if given.json:
        print(json.dumps({"lines": [asdict(line) for line in lines], "all": seen}))
    else:
        _print(lines, medians, given.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
