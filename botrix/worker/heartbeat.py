"""The heartbeat of a worker: a health key on the line, gone by itself after three intervals, and a
file for a health check on its own machine, which needs no line.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from botrix.errors import LineDown
from botrix.line.line import Line
from botrix.worker.word import leave_word


class Heartbeat:
    """`describe` gives what it says; the time is added here. interval: seconds."""

    name = "heartbeat"

    def __init__(
        self,
        worker_id: str,
        line: Line,
        interval: float,
        describe: Callable[[], dict[str, object]],
        file: Path | None = None,
    ) -> None:
        self.interval = interval
        self._worker_id = worker_id
        self._line = line
        self._describe = describe
        self._file = file

    async def tick(self) -> bool:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = msgspec.json.encode({**self._describe(), "last_heartbeat": now}).decode()
        leave_word(self._file, text)
        with suppress(LineDown):  # the pumps say so, and the key returns with the next beat
            await self._line.heartbeat(self._worker_id, text, max(1, round(3 * self.interval)))
        return False
