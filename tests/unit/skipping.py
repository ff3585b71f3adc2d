"""A loop whose time skips to the next timer whenever nothing is left to do, so that no test waits,
and where nothing would ever happen again, that is an error at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

P = ParamSpec("P")


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._at = 0.0
        self._look = self._selector.select
        self._selector.select = self._skip

    def time(self) -> float:
        return self._at

    def _skip(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("all wait, and nobody would ever wake them")
        self._at += timeout
        return self._look(0)


def skipping(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that runs on such a loop, which begins at 0."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def clock() -> float:
    """Of the loop that runs."""
    return asyncio.get_running_loop().time()


async def settled() -> None:
    """Until whoever can go on has gone on, but without time going on."""
    for _ in range(20):
        await asyncio.sleep(0)
