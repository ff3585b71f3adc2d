"""A thread that makes one call after another for a loop.

As an executor of one thread, which takes three times as long to hand a call over and the answer
back: by locks, and by two futures for each. Where a processor was at rest, that is what a short
verb costs itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Call = tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]
_Calls = SimpleQueue[_Call | None]


class Thread:
    """Begun by the first call; ended, when it has made those before, by `close` or with the object
    or the interpreter."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: _Calls = SimpleQueue()
        self._end: weakref.finalize[[_Calls, threading.Thread], Thread] | None = None
        self._closed = False

    async def run(self, call: Callable[..., T], *given: Any) -> T:
        """A call that nobody waits for any more is not begun; one that was begun goes on."""
        if self._closed:
            raise RuntimeError(f"the thread {self._name} was closed")
        if self._end is None:
            self._begin()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._calls.put((loop, answer, call, given))
        return await answer

    def close(self) -> None:
        self._closed = True
        if self._end is not None:
            self._end()

    def _begin(self) -> None:
        thread = threading.Thread(target=_work, args=(self._calls,), name=self._name, daemon=True)
        thread.start()
        self._end = weakref.finalize(self, _ended, self._calls, thread)


def _work(calls: _Calls) -> None:
    while (one := calls.get()) is not None:
        _make(*one)
        del one  # what it holds must not wait for the next


def _make(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[Any],
    call: Callable[..., Any],
    given: tuple[Any, ...],
) -> None:
    if answer.cancelled():
        return
    told: tuple[Callable[[asyncio.Future[Any], Any], None], Any]
    try:
        told = (_came_to, call(*given))
    except BaseException as error:
        told = (_failed, error)
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(told[0], answer, told[1])


def _came_to(answer: asyncio.Future[Any], what: Any) -> None:
    if not answer.done():
        answer.set_result(what)


def _failed(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)


def _ended(calls: _Calls, thread: threading.Thread) -> None:
    calls.put(None)
    if threading.current_thread() is not thread:  # which may be who collects the garbage
        thread.join()
