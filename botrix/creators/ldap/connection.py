"""One connection to an LDAP server: many requests go out at once, and each gets its answer.

The socket is connected by `botrix.guard`, and TLS is checked against the name in the url, whatever
address that led to. Whoever gives up in the middle closes the connection: what its server still
does is not known, and its answers must not be taken for those of later requests.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from botrix.creators.gate import Answered
from botrix.creators.ldap import answers, ber, messages
from botrix.creators.ldap.messages import Message, Reply, Request
from botrix.creators.ldap.settings import LdapSettings
from botrix.guard import PinnedResolver, connected

_LONGEST_ANSWER = 1 << 20
_MOST_OCTETS = 16 << 20
_LONG = 3600.0
_LAST_NUMBER = (1 << 31) - 1


class Unreachable(Exception):
    """No connection that may be used; nothing was asked but to sign in."""

    def __init__(self, how: Answered, problem: str) -> None:
        super().__init__(problem)
        self.how = how


@dataclass(slots=True)
class _Batch:
    """What is being asked. first: the number of its first request. left: of the replies."""

    first: int
    replies: list[Reply]
    left: int
    done: asyncio.Future[None]
    octets: int = 0


class Connection(asyncio.Protocol):
    """Of `opened`. For one batch at a time. What comes is read as it comes, without waking
    whoever waits before all of it is there."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._batch: _Batch | None = None
        self._next = 1
        self._held = bytearray()

    @property
    def usable(self) -> bool:
        """False once either side has closed it, as servers do with idle ones."""
        return self._transport is not None and not self._held

    async def ask(self, requests: Sequence[Request], timeout: float) -> list[Reply]:
        """One reply for each, in order. timeout: seconds for all of them."""
        if self._next + len(requests) > _LAST_NUMBER:
            self._next = 1
        first, replies = self._next, [Reply() for _ in requests]
        self._next += len(requests)
        done = asyncio.get_running_loop().create_future()
        self._batch = _Batch(first, replies, len(replies), done)
        try:
            async with asyncio.timeout(timeout):
                self._write(*(one.numbered(first + i) for i, one in enumerate(requests)))
                await done
        except (OSError, ber.Malformed) as error:
            self.close()
            problem = _problem(error)
            for reply in replies:
                if reply.code == messages.NO_ANSWER:
                    reply.problem, reply.answered = problem, Answered.FAILED
        except BaseException:
            self.close()
            raise
        finally:
            self._batch = None
        return replies

    def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def end(self) -> None:
        """Tells the server, before `close`."""
        if self._transport is not None:
            self._transport.write(messages.unbind().numbered(self._next))

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """By StartTLS (RFC 4511, 4.14). What came behind the answer was sent in the clear, maybe
        by somebody else: it must be nothing."""
        (reply,) = await self.ask([messages.start_tls()], _LONG)
        if reply.code == messages.NO_ANSWER:
            raise ConnectionResetError(reply.problem)
        if reply.code != answers.DONE:
            said = answers.shown(reply)
            raise Unreachable(Answered.TLS, f"the directory does not start TLS ({said})")
        if self._transport is None or self._held:
            raise Unreachable(Answered.TLS, "something was sent before TLS began")
        loop = asyncio.get_running_loop()
        made = await loop.start_tls(self._transport, self, context, server_hostname=host)
        if made is None:
            raise ConnectionResetError("the connection was closed")
        self._transport = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        batch = self._batch
        if batch is None or batch.done.done():
            return  # unasked; see `usable`
        try:
            self._take(batch, len(data))
        except ber.Malformed as error:
            batch.done.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._batch is not None and not self._batch.done.done():
            text = str(exc) if exc else "the connection was closed"
            self._batch.done.set_exception(ConnectionResetError(text))

    def _write(self, *octets: bytes) -> None:
        if self._transport is None:
            raise ConnectionResetError("the connection was closed")
        self._transport.write(b"".join(octets))

    def _take(self, batch: _Batch, octets: int) -> None:
        """What of it is whole."""
        batch.octets += octets
        if batch.octets > _MOST_OCTETS:
            raise ber.Malformed(f"the answers are larger than {_MOST_OCTETS >> 20} MiB")
        held, at = self._held, 0
        while batch.left and (size := ber.whole_size(held, at)):
            if size > _LONGEST_ANSWER:
                raise ber.Malformed(f"an answer is larger than {_LONGEST_ANSWER >> 20} MiB")
            if at + size > len(held):
                break
            batch.left -= _put(batch, messages.read(bytes(held[at : at + size])))
            at += size
        del held[:at]
        if not batch.left:
            batch.done.set_result(None)


async def opened(settings: LdapSettings, resolver: PinnedResolver, timeout: float) -> Connection:
    """Signed in. Raises Unreachable."""
    connection = None
    try:
        async with asyncio.timeout(timeout):
            connection = await _connected(settings, resolver)
        (reply,) = await connection.ask(
            [messages.bind(settings.bind_dn, settings.password)], timeout
        )
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, OSError):
            raise _unreachable(error) from None
        raise
    if reply.code == answers.DONE:
        return connection
    connection.close()
    said = answers.shown(reply, settings.password)
    if reply.code == messages.NO_ANSWER:
        raise Unreachable(Answered.AWAY, f"no answer to the sign-in ({reply.problem})")
    how = answers.judged(reply)
    if how is Answered.CREDENTIALS or how is Answered.DONE:
        raise Unreachable(Answered.CREDENTIALS, f"{answers.CREDENTIALS} ({said})")
    raise Unreachable(how, said)


async def _connected(settings: LdapSettings, resolver: PinnedResolver) -> Connection:
    made, host = await connected(settings.target, resolver), settings.target.host
    tls = settings.context if settings.tls else None
    try:
        _, connection = await asyncio.get_running_loop().create_connection(
            Connection, sock=made, ssl=tls, server_hostname=host if tls else None
        )
    except BaseException:
        made.close()
        raise
    if settings.start_tls and settings.context is not None:
        try:
            await connection.secure(settings.context, host)
        except BaseException:
            connection.close()
            raise
    return connection


def _put(batch: _Batch, message: Message) -> bool:
    """Whether that was the end of a reply."""
    n = message.number - batch.first
    if not 0 <= n < len(batch.replies) or batch.replies[n].code != messages.NO_ANSWER:
        raise ber.Malformed(_unasked(message))
    reply = batch.replies[n]
    if message.entry is not None:
        reply.entries.append(message.entry)
    if message.code is None:
        return False
    if message.code == messages.NO_ANSWER:
        raise ber.Malformed("a result that LDAP does not have")
    reply.code, reply.matched = message.code, message.matched
    reply.diagnostic, reply.written = message.diagnostic, message.written
    reply.cookie = message.cookie
    return True


def _unasked(message: Message) -> str:
    """As a server says before it closes a connection (RFC 4511, 4.4.1)."""
    if message.number == 0 and message.code is not None:
        said = answers.shown(Reply(message.code, diagnostic=message.diagnostic))
        return f"the directory ends the connection ({said})"
    return "an answer to nothing that was asked"


def _problem(error: OSError | ber.Malformed) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ber.Malformed):
        return str(error)
    return f"the answer was cut off ({error.strerror or error})"


def _unreachable(error: OSError) -> Unreachable:
    match error:
        case ssl.SSLCertVerificationError():
            return Unreachable(Answered.TLS, f"no secure connection ({error.verify_message})")
        case ssl.SSLError():
            return Unreachable(Answered.TLS, f"no secure connection ({error.reason or error})")
        case TimeoutError():
            return Unreachable(Answered.AWAY, "no connection (no answer in time)")
        case _:
            return Unreachable(Answered.AWAY, f"no connection ({error.strerror or error})")
