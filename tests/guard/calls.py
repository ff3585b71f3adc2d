"""How many functions are called in this process, in Python and from Python: a measure of work that
is the same each time. The event loop is left out, for it turns as often as answers happen to come,
and so is what hands calls over to a thread.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

_LOOP = ("asyncio", "selectors", "concurrent", "threading", "queue", "tests")
_HANDED = "botrix.ledger.thread"
_HERE = threading.get_ident
_COROUTINE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
_AT_ITS_START = 0  # the argument of RESUME


class Calls:
    """While they are `counted`: in the thread that calls `begin`, and in those that begin later."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[int, bool]] = Counter()  # by thread, so that none is lost
        self._kinds: dict[str, bool | None] = {}
        self._codes: dict[CodeType, bytes] = {}
        self._on = False

    @contextmanager
    def counted(self) -> Iterator[None]:
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def begin(self) -> None:
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def seen(self) -> Counter[str]:
        """own: those of and in Botrix itself."""
        found = list(self._seen.items())
        own = sum(n for (_, ours), n in found if ours)
        return Counter({"calls": sum(n for _, n in found), "own calls": own})

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        if self._on and event in {"call", "c_call"}:
            own = self._kind(frame.f_globals.get("__name__") or "")
            if own is not None and (event == "c_call" or not self._goes_on(frame)):
                self._seen[_HERE(), own] += 1

    def _goes_on(self, frame: FrameType) -> bool:
        """Whether it is a coroutine that had to wait: how often it does so is the loop's affair."""
        code = frame.f_code
        if not code.co_flags & _COROUTINE:
            return False
        if code not in self._codes:
            self._codes[code] = code.co_code
        return self._codes[code][frame.f_lasti + 1] != _AT_ITS_START

    def _kind(self, name: str) -> bool | None:
        """Whether a module is our own; None for one that is left out."""
        if name not in self._kinds:
            package = name.partition(".")[0]
            left_out = package in _LOOP or name == _HANDED
            self._kinds[name] = None if left_out else package == "botrix"
        return self._kinds[name]
