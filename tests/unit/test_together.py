"""What is written within one step of the loop leaves in one piece, in order, and before the end."""

from __future__ import annotations

import asyncio

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from botrix.api.protocol import Protocol
from botrix.api.together import Together


class _Peer(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said.append(bytes(data))

    def write_eof(self) -> None:
        self.said.append(b"eof")

    def close(self) -> None:
        self.said.append(b"closed")

    def abort(self) -> None:
        self.said.append(b"aborted")

    def is_closing(self) -> bool:
        return b"closed" in self.said or b"aborted" in self.said


def _two() -> tuple[_Peer, Together]:
    peer = _Peer()
    return peer, Together(peer, asyncio.get_running_loop())


async def test_head_and_body_leave_in_one_piece() -> None:
    peer, both = _two()
    both.write(b"head, ")
    both.write(b"body")
    assert peer.said == []
    await asyncio.sleep(0)
    both.write(b"next")
    await asyncio.sleep(0)
    assert peer.said == [b"head, body", b"next"]


async def test_much_leaves_at_once_so_that_who_is_slow_is_found_out() -> None:
    peer, both = _two()
    both.write(b"a" * 60_000)
    both.write(b"b" * 60_000)
    assert [len(one) for one in peer.said] == [120_000]
    await asyncio.sleep(0)
    assert len(peer.said) == 1


async def test_what_was_written_comes_before_the_end() -> None:
    for end in ("close", "write_eof"):
        peer, both = _two()
        both.write(b"last")
        getattr(both, end)()
        await asyncio.sleep(0)
        assert peer.said[0] == b"last"
        assert len(peer.said) == 2


async def test_nothing_is_written_after_an_abort() -> None:
    peer, both = _two()
    both.write(b"last")
    both.abort()
    await asyncio.sleep(0)
    assert peer.said == [b"aborted"]


async def test_an_answer_leaves_in_one_piece() -> None:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"answer": 1})(scope, receive, send)

    config = uvicorn.Config(answer, http=Protocol, lifespan="off", log_config=None)
    config.load()
    protocol, peer = Protocol(config, ServerState(), {}), _Peer()
    protocol.connection_made(peer)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    for _ in range(5):
        await asyncio.sleep(0)
    said = list(peer.said)
    protocol.connection_lost(None)
    assert len(said) == 1
    assert said[0].startswith(b"HTTP/1.1 200")
    assert said[0].endswith(b'{"answer":1}')
