"""The health key of a worker: written each interval, gone by itself after three without."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from botrix.errors import LineDown
from botrix.line.line import Line


class Heartbeat:
    """`describe` gives what the key says; the time is added here. interval: seconds."""

    name = "heartbeat"

    def __init__(
        self,
        worker_id: str,
        line: Line,
        interval: float,
        describe: Callable[[], dict[str, object]],
    ) -> None:
        self.interval = interval
        self._worker_id = worker_id
        self._line = line
        self._describe = describe

    async def tick(self) -> bool:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = msgspec.json.encode({**self._describe(), "last_heartbeat": now}).decode()
        with suppress(LineDown):  # the pumps say so, and the key returns with the next beat
            await self._line.heartbeat(self._worker_id, text, max(1, round(3 * self.interval)))
        return False
