"""What was counted beside what is recorded, in words. Growth beyond what a count may differ from
run to run is a finding, and so is one that shrank so much that the record would let it grow back.
"""

from __future__ import annotations

import json
import platform
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.guard.ledger import Counts

RECORDED = Path(__file__).with_name("recorded.json")
ADVICE = (
    "Make it cheaper, or renew what is recorded and say why in the commit:"
    " python -m tests.guard.renew"
)
_SHRANK = 0.9
_ELSEWHERE = 0.25
"""So much may what an interpreter or SQLite itself decides differ where these are other ones."""
_ROOM = {
    "calls": (0.002, 3),
    "own calls": (0.002, 3),
    "steps": (0.005, 0),
    "pages written": (0.03, 1),
    "bytes written": (0.01, 64),
    "pages looked at": (0.01, 0),
    "bytes of status and event, each": (0.05, 0),
}
"""By count, the share and the number by which it may differ from run to run; no other may."""
_OF_VERSIONS = ("calls", "own calls", "steps", "pages written")
BARS = {"bytes in the lane, each": 200.0}
"""Never more, whatever is recorded."""


def versions() -> dict[str, str]:
    """That counts depend on, and that no lock of ours holds."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "sqlite": sqlite3.sqlite_version}


def read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDED.read_text())
    return found


def write(groups: dict[str, Counts]) -> None:
    """A line for each thing that is counted, so that a diff shows what moved."""
    lines = [f' "versions": {json.dumps(versions())}']
    for name, counts in groups.items():
        rows = [f"  {json.dumps(what)}: {_row(row)}" for what, row in counts.items()]
        lines.append(f" {json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n }")
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _row(row: dict[str, float]) -> str:
    return json.dumps({name: row[name] for name in sorted(row)})


def moved(group: str, before: Counts, now: Counts, *, elsewhere: bool = False) -> list[str]:
    """What moved too far, one line each. elsewhere: by other versions than what is recorded."""
    lines = []
    for what in before.keys() | now.keys():
        if what not in now or what not in before:
            state = "recorded and not counted" if what in before else "counted and not recorded"
            lines.append(f"{group}: {what}: is {state}")
            continue
        for name, old, new in _both(before[what], now[what]):
            if why := _verdict(name, old, new, elsewhere=elsewhere):
                lines.append(f"{group}: {what}: {name} {why}")
    return sorted(lines)


def _both(before: dict[str, float], now: dict[str, float]) -> Iterator[tuple[str, float, float]]:
    for name in before.keys() | now.keys():
        yield name, before.get(name, 0), now.get(name, 0)


def _verdict(name: str, old: float, new: float, *, elsewhere: bool) -> str:
    """Empty where all is well."""
    other = elsewhere and name in _OF_VERSIONS
    if name in BARS and new > BARS[name]:
        return f"is {_number(new)}, above the bar of {_number(BARS[name])}"
    if new > old and (new > old * (1 + _ELSEWHERE) if other else not is_noise(name, old, new)):
        return f"grew from {told(old, new)}"
    if new < old * _SHRANK and not other and not is_noise(name, old, new):
        return f"shrank from {told(old, new)}; renew what is recorded"
    return ""


def is_noise(name: str, old: float, new: float) -> bool:
    """Whether a count may differ so much from run to run."""
    share, number = _ROOM.get(name, (0.0, 0))
    return abs(new - old) <= old * share + number


def told(old: float, new: float) -> str:
    change = f" ({new / old - 1:+.1%})" if old else ""
    return f"{_number(old)} to {_number(new)}{change}"


def _number(n: float) -> str:
    return f"{n:,.0f}" if n == int(n) else f"{n:,.1f}"
