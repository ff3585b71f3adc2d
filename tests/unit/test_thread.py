"""The thread of a ledger: calls in order, answers and errors to whom they belong, and its end."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading

import pytest

from botrix.ledger.thread import Thread


async def test_calls_are_made_in_order_in_one_thread_that_is_not_this_one() -> None:
    thread, made = Thread("t"), list[tuple[int, int]]()

    def call(n: int) -> int:
        made.append((n, threading.get_ident()))
        return n * n

    asked = (thread.run(call, n) for n in range(5))
    assert await asyncio.gather(*asked) == [0, 1, 4, 9, 16]
    assert [n for n, _ in made] == [0, 1, 2, 3, 4]
    assert len({ident for _, ident in made} | {threading.get_ident()}) == 2
    thread.close()


async def test_an_error_is_raised_where_it_was_asked_for() -> None:
    thread = Thread("t")
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    assert await thread.run(str, 1) == "1"
    thread.close()


async def test_what_nobody_waits_for_is_not_begun_and_what_was_begun_goes_on() -> None:
    thread, begun, go, made = Thread("t"), threading.Event(), threading.Event(), list[str]()

    def first() -> None:
        begun.set()
        go.wait()
        made.append("first")

    tasks = [asyncio.create_task(thread.run(call)) for call in (first, lambda: made.append("no"))]
    await asyncio.to_thread(begun.wait)
    for task in tasks:
        task.cancel()
    assert all(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(
        *tasks, return_exceptions=True))  # fmt: skip
    go.set()
    await thread.run(made.append, "last")
    assert made == ["first", "last"]
    thread.close()


async def test_it_ends_when_it_is_closed_and_takes_no_more() -> None:
    thread = Thread("t")
    ident = await thread.run(threading.get_ident)
    thread.close()
    thread.close()
    assert ident not in {one.ident for one in threading.enumerate()}
    with pytest.raises(RuntimeError, match="was closed"):
        await thread.run(str, 1)


async def test_it_ends_with_what_it_belongs_to() -> None:
    thread = Thread("t")
    ident = await thread.run(threading.get_ident)
    del thread
    gc.collect()
    assert ident not in {one.ident for one in threading.enumerate()}


_LAST = """
import asyncio, atexit, threading
from botrix.ledger.thread import Thread

thread, begun, at_end = Thread("t"), threading.Event(), threading.Event()

def call():
    begun.set()
    at_end.wait()
    sum(range(3_000_000))
    print("made", flush=True)

async def ask():
    task = asyncio.ensure_future(thread.run(call))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    atexit.register(at_end.set)

asyncio.run(ask())
"""


def test_a_call_under_way_is_finished_before_the_interpreter_ends() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _LAST], check=False, capture_output=True, text=True
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("made\n", "", 0)
