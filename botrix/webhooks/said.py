"""What comes of a message, and a sender that is made for the first one: most workers send none, and
what it is made of takes 10 MB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a message. status 0: no answer. after: seconds that the receiver asks for."""

    status: int
    problem: str = ""
    after: float | None = None

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """It wants no more."""
        return self.status == 410

    @property
    def busy(self) -> bool:
        """It, or what stands before it, bears no more just now."""
        return self.status in (429, 502, 503, 504)


class Sending(Protocol):
    """See `botrix.webhooks.sending`."""

    async def send(
        self, url: str, config: str, headers: Mapping[str, str], body: bytes
    ) -> Said: ...

    def close(self) -> None: ...


class SendsLater:
    """timeout: seconds for all of a message."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._made: Sending | None = None
        self._making = asyncio.Lock()

    async def send(self, url: str, config: str, headers: Mapping[str, str], body: bytes) -> Said:
        async with self._making:
            if self._made is None:  # in a thread: beats go on meanwhile
                module = await asyncio.to_thread(import_module, "botrix.webhooks.sending")
                self._made = module.Sender(self._timeout)
        return await self._made.send(url, config, headers, body)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
