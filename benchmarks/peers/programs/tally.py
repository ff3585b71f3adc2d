"""Counts the jobs that were done, at the same small cost in every peer: see BENCH_MODE.

count: notes when the first and the last of BENCH_TOTAL came, and nothing else.
each: notes the number and the time of each job, so that a killed worker's are known, too.
A note is a line of BENCH_TALLY; the clock is the machine's, the same for all processes.
"""

from __future__ import annotations

import itertools
import os
import time

SLOW = float(os.environ.get("BENCH_SLOW", "0"))
"""Seconds that each job is to take."""

_total = int(os.environ.get("BENCH_TOTAL", "0"))
_each = os.environ.get("BENCH_MODE") == "each"
_file = os.open(os.environ["BENCH_TALLY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
_seen = itertools.count(1)


def done(number: object) -> None:
    """A job calls this last."""
    if _each:
        os.write(_file, f"{number} {time.monotonic()}\n".encode())
        return
    n = next(_seen)
    if n in (1, _total):
        os.write(_file, f"{n} {time.monotonic()}\n".encode())
