"""The columns of a roster: how they may be called, and how the cells of one row make a person.

Reasons name the column and never quote the cell: in a shifted row, any cell may be a password.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from botrix.errors import InvalidInput
from botrix.extra import BLANK, CONTROL, FORMULA, read_groups
from botrix.model import ATTRIBUTES, Person

MAX_CELL = 1024
_SYNONYMS = {
    "username": ("username", "user", "login"),
    "email": ("email", "mail"),
    "given_name": ("givenname", "firstname"),
    "family_name": ("familyname", "lastname", "surname"),
    "display_name": ("displayname", "name", "fullname"),
    "password": ("password",),
    "groups": ("groups", "group", "memberof"),
    "title": ("title", "jobtitle"),
    "phone": ("phone", "phonenumber", "telephone", "telephonenumber", "mobile"),
    "employee_number": (
        "employeenumber", "employeeid", "personnelnumber", "personnelid", "staffnumber", "staffid",
    ),
    "department": ("department", "dept"),
    "division": ("division",),
    "organization": ("organization", "organisation", "company"),
    "cost_center": ("costcenter", "costcentre"),
    "manager": ("manager",),
}  # fmt: skip
_FIELD_OF = {synonym: name for name, synonyms in _SYNONYMS.items() for synonym in synonyms}
_NAMES = ("username", "email", "given_name", "family_name", "display_name")
_ATOM = r"[^\s\x00-\x1f\x7f()<>\[\]:;@\\,.\"]+"
_LABEL = r"[^\W_](?:[\w-]*[^\W_])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_PHONE = re.compile(r"\+[0-9][0-9 ()./-]*")
"""No spreadsheet makes more of it than a number."""


class RowError(Exception):
    """This row cannot be used; the message is its reason."""


def field_of(name: str) -> str | None:
    """Which column it is, however it is written; None where it means nothing here."""
    return _FIELD_OF.get(re.sub(r"[\s_-]+", "", name.casefold()))


def fields_of(header: Sequence[str]) -> list[str | None]:
    """Of attributes that are named twice (phone and mobile), the first one counts. Raises
    InvalidInput where it is unclear what is meant."""
    fields: list[str | None] = []
    for field in map(field_of, header):
        fields.append(None if field in ATTRIBUTES and field in fields else field)
    doubled = [name for name, times in Counter(fields).items() if name and times > 1]
    if doubled:
        raise InvalidInput(f"the header names {doubled[0]} more than once; keep one of them")
    return fields


def require_names(fields: Sequence[str | None]) -> None:
    """Raises InvalidInput where nobody is named."""
    if set(fields).isdisjoint(_NAMES):
        raise InvalidInput(
            "the header names no usable column; its first row must hold some of username, email, "
            "given_name, family_name, display_name"
        )


def read_row(cells: Mapping[str, str | Sequence[str]]) -> tuple[Person, str | None]:
    """By field name; a column that the roster does not have is absent. The password as it stands,
    None where there is none. Raises RowError."""
    texts = {name: cell for name, cell in cells.items() if isinstance(cell, str)}
    password = texts.get("password", "")
    _check("password", password)
    known = {name: _clean(name, texts[name]) for name in (*_NAMES, *ATTRIBUTES) if name in texts}
    _check_names(known)
    username, email, given, family, shown = (known.get(name, "") for name in _NAMES)
    attributes = {name: known[name] for name in ATTRIBUTES if known.get(name)}
    groups = _groups(cells.get("groups", ""))
    return Person(username, email, given, family, shown, groups, attributes), password or None


def _check_names(known: Mapping[str, str]) -> None:
    if not any(known.get(name) for name in _NAMES):
        raise RowError("names nobody; fill in username, email or the names")
    for name in ("given_name", "family_name"):
        if known.get(name) == "" and not known.get("display_name"):
            raise RowError(f"{name} is empty; fill it in, or give a display_name")
    if known.get("email") and not _is_address(known["email"]):
        raise RowError("email is not an address; write it as name@domain")


def _groups(cell: str | Sequence[str]) -> tuple[str, ...]:
    """Of one cell, separated by semicolons, or of a list."""
    names = (
        [name for name in cell.split(";") if name.strip(BLANK)] if isinstance(cell, str) else cell
    )
    try:
        return read_groups(names)
    except InvalidInput as error:
        raise RowError(str(error)) from None


def _clean(name: str, cell: str) -> str:
    text = unicodedata.normalize("NFC", cell.strip(BLANK))
    _check(name, text)
    if text.startswith(FORMULA) and not (name == "phone" and _PHONE.fullmatch(text)):
        raise RowError(f"{name} begins like a formula (= + - @); remove that character")
    return text


def _check(name: str, text: str) -> None:
    if len(text) > MAX_CELL:
        raise RowError(f"{name} is longer than {MAX_CELL} characters; shorten it")
    if not (found := CONTROL.search(text)):
        return
    if found[0] in "\r\n":
        raise RowError(f"{name} contains a line break; remove it, or close the quote before it")
    raise RowError(f"{name} contains the control character U+{ord(found[0]):04X}; remove it")


def _is_address(text: str) -> bool:
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None
