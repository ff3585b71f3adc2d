"""Botrix's worker, as a peer of the others: its directory is the tally. What was created is found
again where each job is noted, as a real directory would be asked after a crash.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tally

from botrix.creators.creator import Sighting, Wanted, Whose
from botrix.creators.simulated import SimulatedCreator
from botrix.settings import Settings
from botrix.worker.daemon import main


def _noted(create: Any) -> Any:
    async def creates(self: SimulatedCreator, wanted: Sequence[Wanted]) -> Any:
        outcomes = await create(self, wanted)
        for one in wanted:
            tally.done(one.tag)
        return outcomes

    return creates


def _noted_tags() -> set[str]:
    lines = Path(os.environ["BENCH_TALLY"]).read_text().splitlines()
    return {line.split()[0] for line in lines}


async def _find(self: SimulatedCreator, wanted: Sequence[Wanted]) -> list[Sighting]:
    there = _noted_tags()
    return [
        Sighting(Whose.OURS, one.person.username, tag=one.tag)
        if one.tag in there
        else Sighting(Whose.NOBODY)
        for one in wanted
    ]


if __name__ == "__main__":
    SimulatedCreator.create = _noted(SimulatedCreator.create)  # type: ignore[method-assign]
    SimulatedCreator.find = _find  # type: ignore[method-assign]
    sys.exit(main(Settings.read()))
