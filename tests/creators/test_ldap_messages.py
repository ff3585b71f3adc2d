"""The encoding of LDAP messages: what is written can be read, and what is read does no harm."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botrix.creators.ldap import ber, messages
from botrix.creators.ldap.ber import Malformed
from botrix.creators.ldap.messages import Entry

_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
_VALUES = st.dictionaries(_NAMES, st.lists(st.binary(max_size=300), max_size=4), max_size=6)


def _written(dn: str, values: dict[str, list[bytes]]) -> bytes:
    held = (
        ber.sequence(ber.octets(name), ber.listed(these, ber.SET)) for name, these in values.items()
    )
    return ber.wrapped(0x64, ber.octets(dn) + ber.sequence(*held))


@given(st.integers(-(1 << 62), 1 << 62))
def test_any_number_is_read_as_it_was_written(n: int) -> None:
    written = ber.integer(n)
    (part,) = ber.parts(written, 0, len(written))
    assert ber.number(written, part) == n
    assert len(written) == 2 or written[2:4] not in (b"\x00\x00", b"\xff\xff")


@given(st.integers(0, (1 << 31) - 1), st.text(max_size=50), _VALUES)
def test_any_entry_is_read_as_it_was_written(
    n: int, dn: str, values: dict[str, list[bytes]]
) -> None:
    data = ber.sequence(ber.integer(n), _written(dn, values))
    assert ber.whole_size(data) == len(data)
    assert messages.read(data) == messages.Message(n, Entry(dn, values))


@given(st.text(max_size=50), _VALUES)
def test_an_entry_as_written_comes_with_the_answer(dn: str, values: dict[str, list[bytes]]) -> None:
    said = ber.wrapped(0x69, ber.enumerated(0) + ber.octets("m") + ber.octets("d"))
    control = ber.sequence(ber.octets(messages.POST_READ), ber.octets(_written(dn, values)))
    other = ber.sequence(ber.octets("1.2.3"))
    data = ber.sequence(ber.integer(7), said, ber.wrapped(0xA0, other + control))
    read = messages.read(data)
    assert (read.code, read.matched, read.diagnostic) == (0, "m", "d")
    assert read.written == Entry(dn, values)


@given(st.binary(max_size=200))
def test_no_octets_do_harm(data: bytes) -> None:
    for whole in (data, ber.sequence(data)):
        with contextlib.suppress(Malformed):
            messages.read(whole)


@given(st.text(max_size=20), _VALUES, st.data())
def test_no_change_of_a_message_does_harm(
    dn: str, values: dict[str, list[bytes]], data: st.DataObject
) -> None:
    whole = bytearray(ber.sequence(ber.integer(1), _written(dn, values)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for octets in (bytes(whole), cut):
        with contextlib.suppress(Malformed):
            messages.read(octets)


@pytest.mark.parametrize("data", [b"\x30\x80", b"\x30\x85\x00\x00\x00\x00\x01", b"\x30\xff"])
def test_lengths_that_ldap_does_not_have(data: bytes) -> None:
    with pytest.raises(Malformed, match="length"):
        ber.whole_size(data + b"\x00" * 130)


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x82", b"\x30\x82\x01"])
def test_too_little_to_tell(data: bytes) -> None:
    assert ber.whole_size(data) == 0


@pytest.mark.parametrize(
    ("request_", "octets"),
    [
        (messages.bind("cn=a", "b"), "60 0c 020103 0404 636e3d61 8001 62"),
        (messages.search("", messages.BASE, messages.present(), "a"),
         "63 23 0400 0a0100 0a0100 020100 020100 010100 870b 6f626a656374436c617373 3003 0401 61"),
        (messages.search(
            "dc=x", messages.ALL_BELOW,
            messages.either(messages.equal("uid", "a*"), messages.equal("cn", "b")), "a", "b",
         ),
         "63 33 0404 64633d78 0a0102 0a0100 020100 020100 010100 a114 a309 0403 756964 0402 612a"
         " a307 0402 636e 0401 62 3006 0401 61 0401 62"),
        (messages.add("uid=a", {"uid": ["a"], "cn": ["x", "y"]}, messages.post_read("entryUUID")),
         "68 23 0405 7569643d61 301a 300a 0403 756964 3103 0401 61 300c 0402 636e 3106 0401 78"
         " 0401 79 a024 3022 040e 312e332e362e312e312e31332e32 0101ff 040d 300b 0409"
         " 656e74727955554944"),
        (messages.modify("uid=a", messages.REPLACE, {"cn": ["z"]}),
         "66 19 0405 7569643d61 3010 300e 0a0102 3009 0402 636e 3103 0401 7a"),
        (messages.modify("uid=a", messages.ADD, {"cn": ["z"]}, messages.permissive()),
         "66 19 0405 7569643d61 3010 300e 0a0100 3009 0402 636e 3103 0401 7a a01e 301c 0417"
         " 312e322e3834302e3131333535362e312e342e31343133 0101ff"),
        (messages.delete("uid=a"), "4a 05 7569643d61"),
        (messages.new_password("uid=a", "n"),
         "77 27 8017 312e332e362e312e342e312e343230332e312e31312e31 810c 300a 8005 7569643d61"
         " 8201 6e"),
        (messages.unbind(), "42 00"),
    ],
)  # fmt: skip
def test_requests_are_as_openldap_writes_them(request_: messages.Request, octets: str) -> None:
    """Recorded from libldap 2.5."""
    body = bytes.fromhex(octets)
    assert request_.numbered(5) == bytes((0x30, len(body) + 3, 2, 1, 5)) + body


def test_half_a_character_is_not_sent() -> None:
    with pytest.raises(UnicodeEncodeError):
        messages.add("uid=x", {"cn": ["\ud83d"]})


def test_no_secret_is_shown() -> None:
    assert "Tr0ub4dor" not in repr(messages.bind("cn=a", "Tr0ub4dor"))
    assert "Tr0ub4dor" not in repr(messages.add("uid=x", {"userPassword": ["Tr0ub4dor"]}))
