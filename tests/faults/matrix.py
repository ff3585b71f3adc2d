"""The whole matrix, and the way to run one fault of it or all.

python -m tests.faults.matrix list
python -m tests.faults.matrix run F5 --trials 10 --seed 7
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults import (
    directories,
    door,
    inputs,
    machine,
    network,
    processes,
    stores,
    storm,
    topologies,
)
from tests.faults.fault import Fault, Report, run
from tests.servers import postgres
from tests.servers.postgres import PostgresServer

KEEP = Path(tempfile.gettempdir()) / "botrix-faults"


def _all() -> dict[str, Fault]:
    modules = (
        processes, stores, directories, inputs, machine, network, topologies, door, storm
    )  # fmt: skip
    found = {fault.id: fault for module in modules for fault in module.FAULTS}
    return dict(sorted(found.items(), key=lambda pair: _number(pair[0])))


def _number(ident: str) -> tuple[int, str]:
    head, _, tail = ident[1:].partition("-")
    return int(head), tail


FAULTS = _all()


@contextmanager
def shared_postgres() -> Iterator[Postgres]:
    """One server for all worlds that only need a database, started when it is first asked for."""
    with ExitStack() as stack:
        yield Postgres(stack)


class Postgres:
    """Callable, as a Site needs it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._server: PostgresServer | None = None

    def __call__(self) -> PostgresServer:
        if self._server is None:
            self._server = self._stack.enter_context(postgres.postgres_server())
        return self._server


async def tried(fault: Fault, trials: int, seed: str, server: Postgres) -> Report:
    """Here, or by the command that the fault needs around it."""
    if not fault.wrap:
        return await run(fault, trials, seed, server, KEEP)
    command = [*fault.wrap, sys.executable, "-m", "tests.faults.matrix", "run", fault.id,
               "--trials", str(trials), "--seed", seed, "--json", "--wrapped"]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    said, _ = await process.communicate()
    lines = said.decode().splitlines()
    if not lines or not lines[-1].startswith("{"):
        return Report(fault.id, violations=[f"{' '.join(command)} ended with {process.returncode}"])
    return Report(**json.loads(lines[-1]))


SIDE_BY_SIDE = 3
TRIMMED = {"F1": 30, "F3": 8, "F6": 8, "F8": 8, "F11": 12, "F17": 8, "F18": 12, "F20": 6}
"""Trials of the short column, so that all of it takes some minutes on two cores."""


def trials_of(fault: Fault) -> int:
    return TRIMMED.get(fault.id, fault.short)


async def short(faults: Sequence[Fault], server: Postgres) -> None:
    """Prints each report as one line of JSON as soon as there is one."""
    room = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(fault: Fault) -> None:
        async with room:
            report = await tried(fault, trials_of(fault), "short", server)
            print(json.dumps(dataclasses.asdict(report)), flush=True)

    await asyncio.gather(*(one(fault) for fault in faults))


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    parser = argparse.ArgumentParser(description="Faults, injected into real processes.")
    parser.add_argument("verb", choices=("list", "run", "short"))
    parser.add_argument("faults", nargs="*", help="of those that `list` names")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--wrapped", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.faults) - set(FAULTS):
        parser.error(
            f"there is no fault {sorted(unknown)[0]}; see: python -m tests.faults.matrix list"
        )
    if given.verb == "short":
        with shared_postgres() as server:
            asyncio.run(short([FAULTS[ident] for ident in given.faults], server))
        return 0
    if given.verb == "list" or not given.faults:
        for fault in FAULTS.values():
            print(f"{fault.id:12} {fault.short:5} {fault.long:6}  {fault.title}")
        return 0
    fault = FAULTS[given.faults[0]]
    if reason := fault.needs():
        print(f"{fault.id} cannot be tried here: {reason}", file=sys.stderr)
        return 2
    if given.wrapped:
        fault = dataclasses.replace(fault, wrap=())
    with shared_postgres() as server:
        report = asyncio.run(tried(fault, given.trials or fault.short, given.seed, server))
    print(json.dumps(dataclasses.asdict(report)) if given.json else shown(report))
    return 1 if report.violations else 0


def shown(report: Report) -> str:
    """One line, and one for each violation."""
    line = f"{report.fault}: {report.trials} trials in {report.seconds:.0f} s"
    if report.recoveries:
        line += f", recovery p50 {quantile(report.recoveries, 0.5):.2f} s"
        line += f", p99 {quantile(report.recoveries, 0.99):.2f} s, max {max(report.recoveries):.2f}"
    return "\n".join([f"{line}, {len(report.violations)} violations", *report.violations])


def quantile(values: list[float], q: float) -> float:
    """The smallest of the values that at least this share does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


if __name__ == "__main__":
    sys.exit(main())
