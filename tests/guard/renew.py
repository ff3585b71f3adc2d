"""`python -m tests.guard.renew [PART]`: counts all groups (or those whose name holds PART) and
records them, saying what moved. Takes well under a minute. Say in the commit why a count grew.
"""

from __future__ import annotations

import argparse
import sys

from tests.guard import compare
from tests.guard.groups import GROUPS, ground
from tests.guard.ledger import Counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", default="", help="of the names of groups")
    part = parser.parse_args().part
    known = compare.read() if compare.RECORDED.exists() else {}
    wanted = [group for group in GROUPS if part in group.name]
    if not wanted:
        names = "; ".join(group.name for group in GROUPS)
        sys.exit(f"no group has {part!r} in its name; there are: {names}")
    alike = known.get("versions") == compare.versions()
    if part and not alike:
        sys.exit("recorded by other versions of Python or SQLite: renew all, without PART")
    counts: dict[str, Counts] = {}
    with ground() as place:
        for group in wanted:
            before = known.get(group.name, {}) if alike else {}
            counts[group.name] = _without_noise(before, place.count(group))
            _tell(group.name, known.get(group.name, {}), counts[group.name])
    kept = {group.name: known[group.name] for group in GROUPS if group.name in known}
    renewed = {**kept, **counts}
    compare.write({group.name: renewed[group.name] for group in GROUPS if group.name in renewed})
    return 0


def _without_noise(before: Counts, now: Counts) -> Counts:
    """What is as good as it was stays as it was, so that a diff shows what moved."""
    return {
        what: {count: _kept(count, before.get(what, {}), n) for count, n in row.items()}
        for what, row in now.items()
    }


def _kept(count: str, before: dict[str, float], now: float) -> float:
    old = before.get(count, 0)
    return old if compare.is_noise(count, old, now) else now


def _tell(name: str, before: Counts, now: Counts) -> None:
    lines = [
        f"  {what}: {count} {compare.told(old, new)}"
        for what, row in now.items()
        for count in sorted(row.keys() | before.get(what, {}).keys())
        if (old := before.get(what, {}).get(count, 0)) != (new := row.get(count, 0))
    ]
    print(f"{name}: {len(lines)} counts differ", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
