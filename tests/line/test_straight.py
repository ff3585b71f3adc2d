"""The short way of commands: what it does with errors, lost connections and calls given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from botrix.line.connection import Connections, connections
from botrix.line.server import LineServer
from botrix.line.straight import Straight


@pytest_asyncio.fixture
async def server(folder: Path) -> AsyncIterator[LineServer]:
    made = LineServer(folder, folder / "line.sock")
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def opened(server: LineServer) -> AsyncIterator[Connections]:
    made = connections(server.url)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def straight(opened: Connections) -> AsyncIterator[Straight]:
    made = Straight(opened.lanes.connection_pool)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def other(server: LineServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        yield client


async def test_the_first_error_among_answers_is_raised_and_none_is_left(straight: Straight) -> None:
    await straight.ask(("SET", "word", "text"))
    with pytest.raises(ResponseError, match="wrong kind"):
        await straight.ask(("GET", "word"), ("LLEN", "word"), ("STRLEN", "word"))
    assert await straight.ask(("GET", "word"), ("STRLEN", "word")) == [b"text", 4]


async def test_commands_of_any_size_arrive(straight: Straight) -> None:
    for size in (1, 16_000, 17_000, 3_000_000):
        assert await straight.ask(("SET", "x", b"x" * size), ("STRLEN", "x")) == [b"OK", size]


async def test_those_who_ask_at_once_get_their_own_answers(straight: Straight) -> None:
    answers = await asyncio.gather(*(straight.ask(("ECHO", str(n))) for n in range(20)))
    assert answers == [[str(n).encode()] for n in range(20)]


async def test_a_connection_is_used_again_unless_the_server_closed_it(
    straight: Straight, other: Redis
) -> None:
    ((first,), (second,)) = [await straight.ask(("CLIENT", "ID")) for _ in range(2)]
    assert first == second
    await other.client_kill_filter(_id=str(first))
    assert (await straight.ask(("CLIENT", "ID")))[0] not in (first, None)


async def test_the_answer_of_a_call_that_was_given_up_is_nobody_elses(
    straight: Straight, other: Redis
) -> None:
    blocked = asyncio.create_task(straight.ask(("BLPOP", "list", 5)))
    while not (await other.info("clients"))["blocked_clients"]:
        pass
    blocked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await blocked
    await other.rpush("list", "late")
    assert await straight.ask(("ECHO", "mine")) == [b"mine"]


async def test_where_the_line_may_have_moved_a_connection_is_made_anew(
    straight: Straight, opened: Connections
) -> None:
    (first,) = await straight.ask(("CLIENT", "ID"))
    opened.renew()
    assert await straight.ask(("CLIENT", "ID")) != [first]


async def test_nothing_to_say_asks_nobody(straight: Straight, other: Redis) -> None:
    before = (await other.info("stats"))["total_connections_received"]
    assert await straight.ask() == []
    assert (await other.info("stats"))["total_connections_received"] == before
