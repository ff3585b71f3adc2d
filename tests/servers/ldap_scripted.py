"""A server of LDAP that answers whatever a test says, to see what is made of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from botrix.creators.ldap import ber
from botrix.creators.ldap.ber import enumerated, integer, octets, sequence, wrapped

BIND, SEARCH, MODIFY, ADD, DELETE, EXTENDED = 0x60, 0x63, 0x66, 0x68, 0x4A, 0x77
_ANSWERS = {BIND: 0x61, SEARCH: 0x65, MODIFY: 0x67, ADD: 0x69, DELETE: 0x6B, EXTENDED: 0x78}


def result(number: int, kind: int, code: int = 0, diagnostic: str = "") -> bytes:
    """The answer to a request of this kind."""
    said = enumerated(code) + octets("") + octets(diagnostic)
    return sequence(integer(number), wrapped(_ANSWERS.get(kind, kind), said))


class Scripted:
    """says: by the kind of a request, its result code and what else is said; or octets, sent as
    they are ("" and 0 otherwise). None: no answer at all."""

    def __init__(self) -> None:
        self.says: dict[int, tuple[int, str] | bytes | None] = {}
        self.asked: list[int] = []
        self.connections = self.ended = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def settings(self, password_file: str, **more: Any) -> dict[str, Any]:
        return {
            "url": f"ldap://127.0.0.1:{self.port}", "bind_dn": "cn=operator,dc=x",
            "password_file": password_file, "profile": "openldap", "base": "ou=people,dc=x",
            "password_scheme": "server", **more,
        }  # fmt: skip

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        held = b""
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                held += chunk
                while 0 < (size := ber.whole_size(held)) <= len(held):
                    self._answer(held[:size], writer)
                    held = held[size:]
        self.ended += 1
        writer.close()

    def _answer(self, message: bytes, writer: asyncio.StreamWriter) -> None:
        (whole,) = ber.parts(message, 0, len(message))
        number, operation, *_ = ber.parts(message, whole[1], whole[2])
        n, kind = ber.number(message, number), operation[0]
        self.asked.append(kind)
        said = self.says.get(kind, (0, ""))
        if isinstance(said, bytes):
            writer.write(said)
        elif said is not None:
            if kind == SEARCH:
                entry = octets("") + sequence()
                writer.write(sequence(integer(n), wrapped(0x64, entry)))
            writer.write(result(n, kind, *said))

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    made = Scripted()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut()
        await asyncio.sleep(0)
