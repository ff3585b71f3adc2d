"""Names as LDAP writes them: whatever is in a name, it stays one value. Pure.

In a filter (RFC 4515, 3) every byte that is not plain is written as `\\xx`, since nobody reads
filters. In a DN (RFC 4514, 2.4) letters of every script stay as they are; what has a meaning there
gets a backslash, and what cannot be seen is written as `\\xx`.
"""

from __future__ import annotations

import re

from botrix.errors import DirectoryError, InvalidInput

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_IN_FILTERS = re.compile(r"[^ -~]|[()*\\]")
_IN_DNS = re.compile(r'["+,;<>\\]|\A[ #]| \Z')


def equals(attribute: str, value: str) -> str:
    """The filter for entries of which one value of the attribute is this one."""
    return f"({_checked(attribute)}={filter_value(value)})"


def rdn(attribute: str, value: str) -> str:
    """The first part of a DN; a comma and the DN of the entry above go behind it."""
    return f"{_checked(attribute)}={dn_value(value)}"


def filter_value(text: str) -> str:
    """The text between `=` and `)` of a filter."""
    _refuse_halves(text)
    return _IN_FILTERS.sub(lambda found: _hex(found[0]), text)


def dn_value(text: str) -> str:
    """The text behind the `=` in one part of a DN."""
    _refuse_halves(text)
    marked = _IN_DNS.sub(_marked, text)
    return "".join(char if char.isprintable() else _hex(char) for char in marked)


def _marked(found: re.Match[str]) -> str:
    """Not `\\ `: who trims a DN would take the space and leave the backslash."""
    return _hex(" ") if found[0] == " " else "\\" + found[0]


def _hex(text: str) -> str:
    return "".join(f"\\{byte:02x}" for byte in text.encode())


def _checked(attribute: str) -> str:
    """No options and no OIDs: nothing of Botrix needs them, and they need more syntax."""
    if not _ATTRIBUTE.fullmatch(attribute):
        raise DirectoryError(
            f"{attribute[:80]!a} is no attribute of LDAP; name one like uid: "
            "a letter, then letters, digits and -"
        )
    return attribute


def _refuse_halves(text: str) -> None:
    """A lone surrogate has no UTF-8; to drop it would make another name."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"the name {text[:80]!a} contains {text[error.start]!a}, which is half a character; "
            "correct it"
        ) from None
