"""Asking an LDAP server: through the gate, over a connection for each batch that is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from aiohttp.abc import AbstractResolver

from botrix.creators.gate import Answered, Gate
from botrix.creators.ldap import answers, messages
from botrix.creators.ldap.connection import Connection, Unreachable, opened
from botrix.creators.ldap.messages import Entry, Reply, Request
from botrix.creators.ldap.settings import LdapSettings
from botrix.guard import PinnedResolver

T = TypeVar("T")
_ROOT = (
    "supportedControl", "supportedExtension", "namingContexts", "defaultNamingContext",
    "vendorName", "vendorVersion", "subschemaSubentry", "objectClass",
)  # fmt: skip


@dataclass(slots=True)
class Reserved:
    """A connection for requests that only make sense one after another over the same one."""

    connection: Connection | None = None
    begun: bool = False


class Client:
    """Opens its connections when first used; timeout: seconds for one batch, all of it. look_up:
    who is asked for the host's addresses, if not the operating system."""

    def __init__(
        self,
        settings: LdapSettings,
        timeout: float,
        gate: Gate,
        look_up: AbstractResolver | None = None,
    ) -> None:
        self._settings = settings
        self._timeout = timeout
        self._gate = gate
        self._resolver = PinnedResolver(settings.target, look_up)
        self._idle: list[Connection] = []
        self._root: Entry | None = None
        self._asking = asyncio.Lock()

    async def ask(
        self,
        requests: Sequence[Request],
        *,
        writes: bool = False,
        optional: bool = False,
        over: Reserved | None = None,
    ) -> list[Reply]:
        """One reply for each, in order; all are sent before the first answer is awaited.
        optional: the directory is as good without it, so that a refusal tells nothing of it. over:
        this connection and no other."""
        if not requests:
            return []
        async with self._gate.call(len(requests), timed=writes) as call:
            if call.shut:
                return _not_sent(requests, call.shut, Answered.AWAY, call.after)
            try:
                connection = await self._connection(over)
            except Unreachable as error:
                self._resolver.forget()
                call.ended(error.how, None, str(error))
                return _not_sent(requests, str(error), error.how, None)
            replies = await connection.ask(requests, self._timeout)
            if connection.usable and over is not None:
                over.connection = connection
            elif connection.usable:
                self._idle.append(connection)
            how, problem = answers.judged_together(replies, optional)
            call.ended(how, None, problem)
        if how is Answered.DONE and any(answers.judged(one) is Answered.BUSY for one in replies):
            self._gate.busy(None)
        return replies

    async def ask_some(
        self, plans: Sequence[Request | T], *, writes: bool = False
    ) -> list[Reply | T]:
        """The requests among these; the rest is decided and stays."""
        asked = [plan for plan in plans if isinstance(plan, Request)]
        replies = iter(await self.ask(asked, writes=writes))
        return [next(replies) if isinstance(plan, Request) else plan for plan in plans]

    async def root(self) -> Entry | Reply:
        """What the server says of itself, asked for once; the reply where it did not."""
        async with self._asking:
            if self._root is None:
                asked = messages.search("", messages.BASE, messages.present(), *_ROOT)
                (reply,) = await self.ask([asked])
                if reply.code != answers.DONE or not reply.entries:
                    return reply
                self._root = reply.entries[0]
            return self._root

    def release(self, over: Reserved) -> None:
        """Others may use it again."""
        if over.connection is not None:
            self._idle.append(over.connection)
            over.connection = None

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.end()
        await self._resolver.close()
        await asyncio.sleep(0)
        for connection in idle:
            connection.close()  # without waiting until its server has said goodbye, too
        for _ in range(3):  # in which the loop really ends what was aborted, TLS and below it
            await asyncio.sleep(0)

    async def _connection(self, over: Reserved | None) -> Connection:
        if over is not None and over.begun:
            connection, over.connection = over.connection, None
            if connection is not None and connection.usable:
                return connection
            raise Unreachable(Answered.AWAY, "the connection was closed meanwhile; begin anew")
        if over is not None:
            over.begun = True
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        return await opened(self._settings, self._resolver, self._timeout)


def _not_sent(
    requests: Sequence[Request], problem: str, how: Answered, after: float | None
) -> list[Reply]:
    return [Reply(sent=False, problem=problem, answered=how, after=after) for _ in requests]
