"""What is known of this process. Nothing is read but its own folder of /proc: a hardened unit sees
no more (ProcSubset=pid), so when it began is by the clock at import."""

from __future__ import annotations

import gc
import os
import time
from contextlib import suppress
from pathlib import Path

_SELF = Path("/proc/self")
_STARTED = time.time()


def begun() -> None:
    """What is there by now stays to the end: no collection looks at it again. A full one would hold
    all that the process does for a twentieth of a second, mostly to read what was imported."""
    gc.collect()
    gc.freeze()


def measured() -> dict[str, float]:
    """By name, as every Prometheus client calls them; what cannot be known here is left out."""
    found = {
        "process_cpu_seconds_total": time.process_time(),
        "process_start_time_seconds": _STARTED,
    }
    with suppress(OSError, ValueError, IndexError):
        pages = (_SELF / "statm").read_text().split()
        size = os.sysconf("SC_PAGE_SIZE")
        found["process_virtual_memory_bytes"] = float(pages[0]) * size
        found["process_resident_memory_bytes"] = float(pages[1]) * size
        found["process_open_fds"] = float(len(os.listdir(_SELF / "fd")))
    with suppress(ImportError):
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        found["process_max_fds"] = float(most) if most != resource.RLIM_INFINITY else -1.0
    return found
