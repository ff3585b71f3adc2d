"""What is said to an LDAP server, and what it answers (RFC 4511, 4). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from botrix.creators.gate import Answered
from botrix.creators.ldap.ber import (
    SET,
    TRUE,
    Malformed,
    Part,
    enumerated,
    integer,
    listed,
    name,
    number,
    octets,
    parts,
    sequence,
    text,
    wrapped,
)

Values = Mapping[str, Sequence[str | bytes]]
"""The attributes of an entry, each with its values."""

POST_READ = "1.3.6.1.1.13.2"
PERMISSIVE = "1.2.840.113556.1.4.1413"
PAGED = "1.2.840.113556.1.4.319"
START_TLS = "1.3.6.1.4.1.1466.20037"
NEW_PASSWORD = "1.3.6.1.4.1.4203.1.11.1"  # noqa: S105  the name of an operation

BASE, BELOW, ALL_BELOW = 0, 1, 2
"""Where to search: the entry itself, those right under it, all under it."""
ADD, REPLACE = 0, 2
_BIND, _UNBIND, _SEARCH, _MODIFY, _ADD, _DELETE, _EXTENDED = (
    0x60, b"\x42\x00", 0x63, 0x66, 0x68, 0x4A, 0x77,
)  # fmt: skip
_ENTRY, _REFERENCE, _INTERMEDIATE = 0x64, 0x73, 0x79
_RESULTS = frozenset({0x61, 0x65, 0x67, 0x69, 0x6B, 0x78})
_CONTROLS = 0xA0
NO_ANSWER = -1


@dataclass(frozen=True, slots=True)
class Request:
    """Encoded, but for its number."""

    body: bytes = field(repr=False)
    controls: bytes = field(default=b"", repr=False)

    def numbered(self, n: int) -> bytes:
        return sequence(integer(n), self.body, self.controls)


@dataclass(frozen=True, slots=True)
class Entry:
    """values: by the lower-case name of the attribute."""

    dn: str
    values: dict[str, list[bytes]]

    def first(self, attribute: str) -> str:
        """As text; "" where there is none."""
        found = self.values.get(attribute.lower())
        return found[0].decode("utf-8", "replace") if found else ""

    def texts(self, attribute: str) -> list[str]:
        found = self.values.get(attribute.lower(), ())
        return [value.decode("utf-8", "replace") for value in found]


@dataclass(slots=True)
class Reply:
    """All that came for one request. code: NO_ANSWER where there was none, or only a part; then
    `sent` is False if the request surely never reached the server, and `problem` says why.
    answered: what that means for the directory as a whole. after: seconds to wait. cookie: by which
    the next page of a search is asked for; empty at the end."""

    code: int = NO_ANSWER
    matched: str = ""
    diagnostic: str = ""
    entries: list[Entry] = field(default_factory=list)
    written: Entry | None = None
    sent: bool = True
    problem: str = ""
    answered: Answered = Answered.DONE
    after: float | None = None
    cookie: bytes = b""


def bind(dn: str, password: str) -> Request:
    """To sign in by name and password (RFC 4513, 5.1.3)."""
    simple = octets(password, 0x80)
    return Request(wrapped(_BIND, integer(3) + octets(dn) + simple))


def unbind() -> Request:
    """The end of a connection; there is no answer."""
    return Request(_UNBIND)


def search(
    base: str, scope: int, found_by: bytes, *attributes: str, most: int = 0, controls: bytes = b""
) -> Request:
    """found_by: a filter, see below. No aliases are followed. most: entries."""
    asked = (
        octets(base), enumerated(scope), enumerated(0), integer(most), integer(0), b"\x01\x01\x00",
        found_by, listed(attributes or ("1.1",)),
    )  # fmt: skip
    return Request(wrapped(_SEARCH, b"".join(asked)), controls)


def present(attribute: str = "objectClass") -> bytes:
    """Matches what has the attribute: every entry, unless told otherwise."""
    return octets(attribute, 0x87)


def equal(attribute: str, value: str | bytes) -> bytes:
    """The value needs no escaping: its length is said."""
    return wrapped(0xA3, octets(attribute) + octets(value))


def either(*filters: bytes) -> bytes:
    """Matches what one of these does."""
    return wrapped(0xA1, b"".join(filters))


def add(dn: str, values: Values, controls: bytes = b"") -> Request:
    """An entry, whole or not at all."""
    written = [sequence(name(attribute), listed(held, SET)) for attribute, held in values.items()]
    return Request(wrapped(_ADD, octets(dn) + sequence(*written)), controls)


def modify(dn: str, how: int, values: Values, controls: bytes = b"") -> Request:
    """how: ADD or REPLACE."""
    changes = (
        sequence(enumerated(how), sequence(name(attribute), listed(held, SET)))
        for attribute, held in values.items()
    )
    return Request(wrapped(_MODIFY, octets(dn) + sequence(*changes)), controls)


def delete(dn: str) -> Request:
    """Of an entry that has none under it."""
    return Request(octets(dn, _DELETE))


def start_tls() -> Request:
    """Once that is answered, TLS begins."""
    return Request(wrapped(_EXTENDED, octets(START_TLS, 0x80)))


def new_password(dn: str, password: str) -> Request:
    """The server hashes it by its own rules (RFC 3062)."""
    value = sequence(octets(dn, 0x80), octets(password, 0x82))
    return Request(wrapped(_EXTENDED, octets(NEW_PASSWORD, 0x80) + octets(value, 0x81)))


def post_read(*attributes: str) -> bytes:
    """These of the entry as written are to come with the answer (RFC 4527)."""
    return _control(POST_READ, listed(attributes))


def paged(size: int, cookie: bytes) -> bytes:
    """So many entries are to come at most; cookie: of the answer before it, else empty (RFC
    2696)."""
    return _control(PAGED, sequence(integer(size), octets(cookie)))


def permissive() -> bytes:
    """What is there already is no error."""
    return _control(PERMISSIVE)


def _control(kind: str, value: bytes = b"") -> bytes:
    """One that the server must know: it is asked for where the server says so."""
    said = name(kind) + TRUE + (octets(value) if value else b"")
    return wrapped(_CONTROLS, sequence(said))


@dataclass(frozen=True, slots=True)
class Message:
    """number: of the request it answers; 0: the server speaks unasked. It holds an entry, or the
    end of an answer (`code` and so on), or neither where it can be passed over."""

    number: int
    entry: Entry | None = None
    code: int | None = None
    matched: str = ""
    diagnostic: str = ""
    written: Entry | None = None
    cookie: bytes = b""


def read(data: bytes) -> Message:
    """data: one message, whole. Raises Malformed."""
    outer = list(parts(data, 0, len(data)))
    if len(outer) != 1 or outer[0][0] != 0x30:
        raise Malformed("no message of LDAP")
    found = list(parts(data, outer[0][1], outer[0][2]))
    if len(found) < 2 or found[0][0] != 0x02:
        raise Malformed("a message without a number")
    n, operation = number(data, found[0]), found[1]
    if operation[0] == _ENTRY:
        return Message(n, _entry(data, operation))
    if operation[0] in (_REFERENCE, _INTERMEDIATE):
        return Message(n)
    if operation[0] not in _RESULTS:
        raise Malformed("an answer of a kind that LDAP does not have")
    said = list(parts(data, operation[1], operation[2]))
    if len(said) < 3 or said[0][0] != 0x0A:
        raise Malformed("an answer without a result")
    code, matched, diagnostic = number(data, said[0]), text(data, said[1]), text(data, said[2])
    controls = found[2] if len(found) > 2 and found[2][0] == _CONTROLS else (0, 0, 0)
    written, cookie = _written(data, controls), _cookie(data, controls)
    return Message(n, None, code, matched, diagnostic, written, cookie)


def _entry(data: bytes, part: Part) -> Entry:
    found = list(parts(data, part[1], part[2]))
    if len(found) < 2:
        raise Malformed("an entry without attributes")
    values: dict[str, list[bytes]] = {}
    for one in parts(data, found[1][1], found[1][2]):
        pair = list(parts(data, one[1], one[2]))
        if len(pair) < 2:
            raise Malformed("an attribute without values")
        held = [data[begins:ends] for _, begins, ends in parts(data, pair[1][1], pair[1][2])]
        values[text(data, pair[0]).lower()] = held
    return Entry(text(data, found[0]), values)


def _written(data: bytes, controls: Part) -> Entry | None:
    """Of the control that answers POST_READ, if it is among these."""
    value = _told(data, controls, POST_READ)
    return _entry(value, next(parts(value, 0, len(value)), (0, 0, 0))) if value else None


def _cookie(data: bytes, controls: Part) -> bytes:
    """Of the control that answers PAGED, if it is among these."""
    value = _told(data, controls, PAGED)
    if not value:
        return b""
    outer = next(parts(value, 0, len(value)), (0, 0, 0))
    said = list(parts(value, outer[1], outer[2]))
    if len(said) < 2:
        raise Malformed("a page that does not tell whether there is another")
    return value[said[1][1] : said[1][2]]


def _told(data: bytes, controls: Part, kind: str) -> bytes:
    """The value of the control of this kind; empty where there is none."""
    for one in parts(data, controls[1], controls[2]):
        said = list(parts(data, one[1], one[2]))
        if len(said) > 1 and text(data, said[0]) == kind and said[-1][0] == 0x04:
            return data[said[-1][1] : said[-1][2]]
    return b""
