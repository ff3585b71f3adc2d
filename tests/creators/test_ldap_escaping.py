"""Names that would break out of an LDAP filter or a DN: each stays one value, read by the RFCs
and by OpenLDAP."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from botrix.creators.ldap.escaping import dn_value, equals, filter_value, rdn
from botrix.errors import DirectoryError, InvalidInput
from tests.servers.ldap import SUFFIX, Slapd, missing, slapd

NAMES = [
    "*", "**", "a*", "*a", "(", ")", "()", ")(uid=*", "*)(uid=*", "*))(|(uid=*", "admin)(&)",
    "admin)(|(objectClass=*", ")(|(objectClass=*))", "!(uid=x)", "&", "|", "!", "~=", ":dn:=x",
    "\\", "\\\\", "\\2a", "\\2A", "\\28", "\\5c", "\\00", "\\zz", "\\,", "a\\", "\\20",
    "\0", "a\0b", "a\0", "\0)(uid=*", "\r", "\n", "\r\n", "a\r\nb", "a\ndn: cn=x", "\t", "\x1b[2J",
    ",", ",ou=admins,dc=x", "x,dc=example,dc=org", "+", "+cn=admin", "x+cn=admin", "a,b+c",
    "#", "##", "#6162", "#zz", " #", "a#", " ", " a", "a ", " a b ", "a  b", "a c",
    '"', '""', '"a"', '"a,b"', ";", "a;b", "<", ">", "<a>", "=", "=a", "uid=a", "a=b,c=d",
    "innocent\0", "innocent*", "i*", "%s", "%2a", "&#42;", "{random}", "${x}", "-", "'",
    "e\u0301", "a\u0301\u0323", "\u0301", "jos\u00e9", "Ω", "日本語", "\u2028", "a\u2028b",
    "\u2029", "\u202eann", "a\u200bb", "\ufeffa", "\x7f", "\x85", "\xa0a", "\ufffe", "\uffff",
    "＊", "（", "，", "＼", "\U0001f600", "\U0001d54f", "\U0010ffff", "x" * 200, "*" * 200,
    " ann", "ann ", "  ann  ", "ANN", "  ", "jose\u0301", "ﬁ", "fi",
]  # fmt: skip
NO_UID = ["", "x" * 0x10000, "a" * 0x10000 + "*"]
"""What no server takes as a uid, though it may be asked for it."""
LONG = [sign * 0x10000 for sign in '*("\\,# \0\u2028é\U0001f600']
CORPUS = [*NAMES, *NO_UID, *LONG]
INNOCENT = ["innocent", "ann", "admin", "operator", "2a", "b"]
"""Entries that a broken filter would find."""

_SPECIAL = st.sampled_from([*'*()\\"+,;<>=# \0\r\n\t&|!~:', "2a", "uid=", "\u0301", "\u2028"])
_TEXTS = st.lists(_SPECIAL | st.characters(codec="utf-8")).map("".join)


@given(_TEXTS)
@example("")
def test_any_text_is_one_value_of_a_filter(text: str) -> None:
    assert _read_filter(equals("uid", text)) == ("uid", text)


@given(_TEXTS)
@example("")
def test_any_text_is_one_rdn(text: str) -> None:
    assert _read_rdn(rdn("uid", text)) == ("uid", text)


def test_a_name_is_one_value_of_a_filter() -> None:
    for name in CORPUS:
        written = equals("uid", name)
        assert _read_filter(written) == ("uid", name), name[:80]
        assert written.isascii(), name[:80]
        assert written.isprintable(), name[:80]


def test_a_name_is_one_rdn() -> None:
    for name in CORPUS:
        written = rdn("uid", name)
        assert _read_rdn(written) == ("uid", name), name[:80]
        assert written.isprintable(), name[:80]


@pytest.mark.parametrize(
    ("text", "in_filter", "in_dn"),
    [
        ("ann", "ann", "ann"),
        ("a=b", "a=b", "a=b"),
        ("a*", r"a\2a", "a*"),
        (r"(\)", r"\28\5c\29", r"(\\)"),
        ("a\0", r"a\00", r"a\00"),
        ("a\r\nb", r"a\0d\0ab", r"a\0d\0ab"),
        ("é", r"\c3\a9", "é"),
        ("\u2028", r"\e2\80\a8", r"\e2\80\a8"),
        ("#a#", "#a#", r"\#a#"),
        ("  a  ", "  a  ", r"\20 a \20"),
        (" ", " ", r"\20"),
        ('"+,;<>', '"+,;<>', r"\"\+\,\;\<\>"),
    ],
)
def test_how_it_is_written(text: str, in_filter: str, in_dn: str) -> None:
    assert (filter_value(text), dn_value(text)) == (in_filter, in_dn)


@pytest.mark.parametrize("half", ["\ud83d", "a\udc80", "\udfff*"])
def test_half_a_character_is_refused(half: str) -> None:
    for write in (filter_value, dn_value, _uid_equals, _uid_rdn):
        with pytest.raises(InvalidInput, match="half a character") as refused:
            write(half)
        assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "attribute",
    ["", " ", "1a", "-a", "uid=", "uid ", "uid\n", "uid)(a", "a*", "a,b", "a+b", "a;binary",
     "a:dn:", "a_b", "2.5.4.3", "ｕid", "é", "\0", "a\\", "uid\ud83d"],
)  # fmt: skip
def test_other_attributes_than_names_are_refused(attribute: str) -> None:
    for write in (equals, rdn):
        with pytest.raises(DirectoryError, match="is no attribute") as refused:
            write(attribute, "x")
        assert str(refused.value).isprintable()


@pytest.mark.parametrize("attribute", ["uid", "a", "sAMAccountName", "x-botrix-Tag", "a1-"])
def test_names_of_attributes_are_taken(attribute: str) -> None:
    assert _read_filter(equals(attribute, "x")) == (attribute, "x")
    assert _read_rdn(rdn(attribute, "x")) == (attribute, "x")


@pytest.mark.parametrize("written", ["uid=a", "(uid=a*)", "(uid=a)(b=c)", "(uid=(a))", "(uid=a\\)",
                                     "(uid=\\2)", "(uid=\\zz)", "(uid=\0)", "(uid=a"])  # fmt: skip
def test_the_reading_takes_no_other_filter(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        _read_filter(written)


@pytest.mark.parametrize("written", ["uid=a,b=c", "uid=a+b=c", "uid=a;b=c", "uid= a", "uid=a ",
                                     "uid=#61", 'uid="a"', "uid=a\\", "uid=\\2", "uid=\0", "uid=<",
                                     "uid= ", "uid=\\zz", "uid"])  # fmt: skip
def test_the_reading_takes_no_other_dn(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        _read_rdn(written)


@pytest.mark.suite("slapd")
@pytest.mark.skipif(missing() is not None, reason=f"slapd was NOT tried: {missing()}")
async def test_of_all_entries_a_name_finds_its_own(tmp_path: Path) -> None:
    tried = [*INNOCENT, *NAMES, *NO_UID]
    async with slapd(tmp_path) as server:
        held: dict[str, str] = {}
        for name in tried:
            code = await _add(server, name)
            if name in NO_UID:
                assert code != 0, name[:80]
                continue
            assert code == (68 if _seen(name) in held else 0), name
            held.setdefault(_seen(name), name)
        assert len(await server.search("(uid=*)")) == len(held)
        assert len(held) > 90

        for name in tried:
            found = await server.search(equals("uid", name), "uid")
            known = [[held[_seen(name)].encode()]] if _seen(name) in held else []
            assert [row["uid"] for row in found] == known, name[:80]
            # What is compared byte by byte shows that the filter says no less and no more.
            found = await server.search(equals("userPassword", name), "uid")
            known = [[name.encode()]] if name in held.values() else []
            assert [row["uid"] for row in found] == known, name[:80]


async def _add(server: Slapd, name: str) -> int:
    """68: there is such an entry. The server refuses a DN that says another uid than `uid`."""
    return await server.add(
        f"{rdn('uid', name)},{SUFFIX}", objectClass="inetOrgPerson", cn="x", sn="x",
        uid=name, userPassword=name,
    )  # fmt: skip


def _seen(name: str) -> str:
    """As a directory compares it (RFC 4518): no case, one form of a letter, no needless spaces."""
    parts = unicodedata.normalize("NFKC", name).lower().split(" ")
    return " ".join(part for part in parts if part) or name[:1]


def _uid_equals(name: str) -> str:
    return equals("uid", name)


def _uid_rdn(name: str) -> str:
    return rdn("uid", name)


def _read_filter(written: str) -> tuple[str, str]:
    """Attribute and value of `(attribute=value)`, octet by octet (RFC 4515, 3)."""
    octets = written.encode()
    if octets[:1] != b"(" or octets[-1:] != b")":
        raise ValueError("no parentheses around it")
    attribute, found, rest = octets[1:-1].partition(b"=")
    if not found:
        raise ValueError("no =")
    value, at = bytearray(), 0
    while at < len(rest):
        octet = rest[at]
        if octet == 0x5C:
            octet, at = _pair(rest[at + 1 : at + 3]), at + 2
        elif octet in b"\0()*":
            raise ValueError(f"{octet:#x} has a meaning")
        value.append(octet)
        at += 1
    return attribute.decode(), value.decode()


def _read_rdn(written: str) -> tuple[str, str]:
    """Attribute and value of `attribute=value`, the only one of the DN (RFC 4514, 3)."""
    attribute, found, rest = written.encode().partition(b"=")
    if not found:
        raise ValueError("no =")
    value, at, last_is_plain_space = bytearray(), 0, False
    while at < len(rest):
        octet = rest[at]
        last_is_plain_space = octet == 0x20
        if octet == 0x5C:
            follows = rest[at + 1 : at + 2]
            if follows and follows in b' "#+,;<=>\\':
                octet, at = follows[0], at + 1
            else:
                octet, at = _pair(rest[at + 1 : at + 3]), at + 2
        elif octet in b'\0"+,;<>' or (at == 0 and octet in b" #"):
            raise ValueError(f"{octet:#x} has a meaning")
        value.append(octet)
        at += 1
    if last_is_plain_space:
        raise ValueError("a space at the end")
    return attribute.decode(), value.decode()


def _pair(digits: bytes) -> int:
    if len(digits) != 2 or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
        raise ValueError(f"{digits!r} is no pair of hex digits")
    return int(digits, 16)
