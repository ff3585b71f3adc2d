"""The encoding of LDAP messages: BER with lengths in full and tags of one octet (RFC 4511, 5.1).

Pure. What is read came from somebody else: whatever its octets, the answer is parts that lie within
them, or `Malformed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

SEQUENCE, SET = 0x30, 0x31
TRUE = b"\x01\x01\xff"
_INTEGER, _OCTETS, _ENUMERATED = 0x02, 0x04, 0x0A

Part = tuple[int, int, int]
"""A tag, and where its contents begin and end."""

_HEADS = [[bytes((tag, size)) for size in range(0x80)] for tag in range(256)]
"""Of short parts; nothing is written as often."""


class Malformed(ValueError):
    """No message of LDAP; the text says what about it."""


def wrapped(tag: int, contents: bytes) -> bytes:
    """Any part, from what is in it."""
    size = len(contents)
    if size < 0x80:
        return _HEADS[tag][size] + contents
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + contents


def sequence(*parts: bytes) -> bytes:
    """Of parts that are encoded already."""
    return wrapped(SEQUENCE, b"".join(parts))


def listed(values: Iterable[str | bytes], tag: int = SEQUENCE) -> bytes:
    """Many octet strings as one part. Those of a tuple are the same again and again."""
    if isinstance(values, tuple):
        return _listed_once(values, tag)
    return wrapped(tag, b"".join([octets(value) for value in values]))


@lru_cache(1024)
def _listed_once(values: tuple[str | bytes, ...], tag: int) -> bytes:
    return listed(list(values), tag)


def octets(value: str | bytes, tag: int = _OCTETS) -> bytes:
    """Raises UnicodeEncodeError for half a character."""
    if isinstance(value, str):
        value = value.encode()
    size = len(value)
    return _HEADS[tag][size] + value if size < 0x80 else wrapped(tag, value)


@lru_cache(1024)
def name(attribute: str) -> bytes:
    """Of an attribute: the same few again and again."""
    return octets(attribute)


def integer(value: int, tag: int = _INTEGER) -> bytes:
    """In as few octets as hold it."""
    return wrapped(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def enumerated(value: int) -> bytes:
    """One of the values that the protocol names."""
    return integer(value, _ENUMERATED)


def whole_size(data: bytes | bytearray, at: int = 0) -> int:
    """How long the part that begins here is; 0 where too little of it came to tell."""
    came = len(data) - at
    if came < 2:
        return 0
    if data[at + 1] >= 0x80 and came < 2 + (data[at + 1] & 0x7F):
        return 0
    return _part_at(data, at)[2] - at


def _part_at(data: bytes | bytearray, at: int) -> Part:
    """Whether it lies within the data is for the caller to see."""
    size, begins = data[at + 1], at + 2
    if size >= 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4:
            raise Malformed("a length that LDAP does not have")
        begins += count
        size = int.from_bytes(data[at + 2 : begins], "big")
    return data[at], begins, begins + size


def parts(data: bytes, begins: int, ends: int) -> Iterator[Part]:
    """What is in a part. Raises Malformed where one does not end within it."""
    while begins < ends:
        if ends - begins < 2:
            raise Malformed("a part that does not end")
        part = _part_at(data, begins)
        if not begins < part[1] <= part[2] <= ends:
            raise Malformed("a part that does not end")
        yield part
        begins = part[2]


def number(data: bytes, part: Part) -> int:
    """Raises Malformed for one that LDAP does not have."""
    _, begins, ends = part
    if not 1 <= ends - begins <= 8:
        raise Malformed("a number that is none")
    return int.from_bytes(data[begins:ends], "big", signed=True)


def text(data: bytes, part: Part) -> str:
    """What is no UTF-8 in it is shown as such."""
    return data[part[1] : part[2]].decode("utf-8", "replace")
