"""One connection to an LDAP server: many requests go out at once, and each gets its answer.

The socket is connected by `botrix.guard`, and TLS is checked against the name in the url, whatever
address that led to. Whoever gives up in the middle closes the connection: what its server still
does is not known, and its answers must not be taken for those of later requests.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from botrix.creators.gate import Answered
from botrix.creators.ldap import answers, ber, messages
from botrix.creators.ldap.messages import Message, Reply, Request
from botrix.creators.ldap.settings import LdapSettings
from botrix.guard import PinnedResolver, connected

_LONGEST_ANSWER = 1 << 20
_MOST_OCTETS = 16 << 20
_CHUNK = 1 << 16
_LAST_NUMBER = (1 << 31) - 1


class Unreachable(Exception):
    """No connection that may be used; nothing was asked but to sign in."""

    def __init__(self, how: Answered, problem: str) -> None:
        super().__init__(problem)
        self.how = how


class Connection:
    """Of `opened`. For one batch at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._next = 1
        self._held = bytearray()

    @property
    def usable(self) -> bool:
        """False once either side has closed it, as servers do with idle ones."""
        return not (self._reader.at_eof() or self._held or self._writer.is_closing())

    async def ask(self, requests: Sequence[Request], timeout: float) -> list[Reply]:
        """One reply for each, in order. timeout: seconds for all of them."""
        if self._next + len(requests) > _LAST_NUMBER:
            self._next = 1
        first = self._next
        self._next += len(requests)
        replies = [Reply() for _ in requests]
        self._writer.write(b"".join(one.numbered(first + i) for i, one in enumerate(requests)))
        try:
            async with asyncio.timeout(timeout):
                await self._gather(first, replies)
        except (OSError, ber.Malformed) as error:
            self.close()
            problem = _problem(error)
            for reply in replies:
                if reply.code == messages.NO_ANSWER:
                    reply.problem, reply.answered = problem, Answered.FAILED
        except BaseException:
            self.close()
            raise
        return replies

    def close(self) -> None:
        self._writer.transport.abort()

    async def end(self) -> None:
        """In peace; the server is told, and not waited for."""
        self._writer.write(messages.unbind().numbered(self._next))
        self._writer.close()

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """By StartTLS (RFC 4511, 4.14). What came behind the answer was sent in the clear, maybe
        by somebody else: it must be nothing."""
        (reply,) = await self.ask([messages.start_tls()], 3600)
        if reply.code == messages.NO_ANSWER:
            raise ConnectionResetError(reply.problem)
        if reply.code != answers.DONE:
            said = answers.shown(reply)
            raise Unreachable(Answered.TLS, f"the directory does not start TLS ({said})")
        if not self.usable:
            raise Unreachable(Answered.TLS, "something was sent before TLS began")
        await self._writer.start_tls(context, server_hostname=host)

    async def _gather(self, first: int, replies: list[Reply]) -> None:
        waiting, octets = len(replies), 0
        while waiting:
            chunk = await self._reader.read(_CHUNK)
            if not chunk:
                raise ConnectionResetError("the connection was closed")
            self._held += chunk
            octets += len(chunk)
            if octets > _MOST_OCTETS:
                raise ber.Malformed(f"the answers are larger than {_MOST_OCTETS >> 20} MiB")
            for message in self._taken():
                n = message.number - first
                if not 0 <= n < len(replies) or replies[n].code != messages.NO_ANSWER:
                    raise ber.Malformed(_unasked(message))
                waiting -= _put(replies[n], message)

    def _taken(self) -> list[Message]:
        """Those of what came that are whole."""
        found, at, data = [], 0, bytes(self._held)
        while size := ber.whole_size(data[at : at + 6]):
            if size > _LONGEST_ANSWER:
                raise ber.Malformed(f"an answer is larger than {_LONGEST_ANSWER >> 20} MiB")
            if at + size > len(data):
                break
            found.append(messages.read(data[at : at + size]))
            at += size
        del self._held[:at]
        return found


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
        reader, writer = await asyncio.open_connection(
            sock=made, ssl=tls, server_hostname=host if tls else None
        )
    except BaseException:
        made.close()
        raise
    connection = Connection(reader, writer)
    if settings.start_tls and settings.context is not None:
        try:
            await connection.secure(settings.context, host)
        except BaseException:
            connection.close()
            raise
    return connection


def _put(reply: Reply, message: Message) -> bool:
    """Whether that was the end of it."""
    if message.entry is not None:
        reply.entries.append(message.entry)
    if message.code is None:
        return False
    if message.code == messages.NO_ANSWER:
        raise ber.Malformed("a result that LDAP does not have")
    reply.code, reply.matched = message.code, message.matched
    reply.diagnostic, reply.written = message.diagnostic, message.written
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
