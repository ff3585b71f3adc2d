"""The headers of rosters as other systems have them, known by name: moodle, canvas, google, entra.

moodle  Site administration > Users > Upload users: docs.moodle.org/en/Upload_users and
        admin/tool/uploaduser/classes/process.php of moodle/moodle (the list of standard fields).
canvas  users.csv of a SIS import: doc/api/sis_csv.md of instructure/canvas-lms, and
        developerdocs.instructure.com/services/canvas/sis/file.sis_csv (`suspended` is newer).
google  Admin console > Bulk update users: support.google.com/a/answer/40057 and the blank form.
entra   Bulk create users: learn.microsoft.com/entra/identity/users/users-bulk-add. Cells are like
        `Name [displayName] Required`; what is in brackets stays when the rest is translated.

Where several columns mean the same field, the first one that is filled in counts. A rule says why a
row cannot become an account here: it deletes, suspends or renames somebody, or brings a hash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from botrix.extra import BLANK

Rule = Callable[[str, str], str | None]
"""(the cell, which is not empty; its column as it is written in the header) -> why the row is left
out, or None."""
_PLAIN = str.casefold
_YES, _NO = frozenset({"1", "yes", "true"}), frozenset({"0", "no", "false"})


@dataclass(frozen=True, slots=True)
class HeaderSet:
    """fields: by the key of a column, which `key` makes of its name; several: columns of which each
    holds one group; is_it: by all the keys and the names of a header, whether it is of this kind.
    """

    name: str
    key: Callable[[str], str]
    fields: Mapping[str, str]
    is_it: Callable[[Collection[str], Collection[str]], bool]
    rules: Mapping[str, Rule] = field(default_factory=dict)
    several: re.Pattern[str] | None = None


def _done(what: str) -> Rule:
    """For a column that says yes or no."""

    def rule(cell: str, column: str) -> str | None:
        if cell.casefold() in _NO:
            return None
        if cell.casefold() in _YES:
            return f"{column} says that it is {what}; no account is made of it"
        return f"{column} is neither 1 nor 0; correct it"

    return rule


def _is(*good: str) -> Rule:
    def rule(cell: str, column: str) -> str | None:
        if cell.casefold() in good:
            return None
        return f"{column} is not {good[0]}; no account is made of it"

    return rule


def _empty(why: str) -> Rule:
    return lambda _cell, column: f"{column} {why}"


_RENAMES = _empty("renames an account; Botrix never changes one that is there")
_HASHED = _empty("means that the password is a hash, which cannot be set; empty both cells")


def _password(cell: str, column: str) -> str | None:
    if cell == "****":
        return f"{column} is ****, which stands for an account that is there; empty the cell"
    return None


def _blocked(cell: str, column: str) -> str | None:
    """The column of the form asks the opposite of what its property is called."""
    blocks = column.casefold().startswith("block")
    said = cell.casefold()
    if said in _YES | _NO and blocks == (said in _NO):
        return None
    if said in _YES | _NO:
        return f"{column} says that it may not sign in; no account is made of it"
    return f"{column} is neither Yes nor No; correct it"


def _example(cell: str, _column: str) -> str | None:
    return "is the example of the form; no account is made of it" if _EXAMPLE.match(cell) else None


_EXAMPLE = re.compile(r"example\s*:", re.I)
_BRACKETS = re.compile(r"\[\s*([^\[\]]*?)\s*\]")
_MOODLE_ONLY = re.compile(
    r"(?:course|group|cohort|role|type|enrolperiod|enrolstatus|sysrole)\d+|profile_field_.+"
    r"|idnumber|oldusername|suspended|deleted|mailformat|maildisplay|maildigest|mnethostid"
    r"|autosubscribe|htmleditor|descriptionformat|emailstop"
)


def _without_brackets(name: str) -> str:
    return _BRACKETS.sub("", name).strip(BLANK).casefold()


def _in_brackets(name: str) -> str:
    found = _BRACKETS.search(name)
    return found[1].casefold() if found else name.strip(BLANK).casefold()


def _is_moodle(keys: Collection[str], _names: Collection[str]) -> bool:
    named = {"username", "firstname", "lastname"} <= set(keys)
    return named and any(_MOODLE_ONLY.fullmatch(key) for key in keys)


def _is_canvas(keys: Collection[str], _names: Collection[str]) -> bool:
    return {"user_id", "login_id", "status"} <= set(keys)


def _is_google(keys: Collection[str], names: Collection[str]) -> bool:
    named = {"first name", "last name", "email address"} <= set(keys)
    return named and ("org unit path" in keys or any("[required]" in n.casefold() for n in names))


def _is_entra(_keys: Collection[str], names: Collection[str]) -> bool:
    told = {found[1].casefold() for name in names if (found := _BRACKETS.search(name))}
    return {"displayname", "userprincipalname"} <= told


MOODLE = HeaderSet(
    "moodle",
    _PLAIN,
    {
        "username": "username", "password": "password", "email": "email",
        "firstname": "given_name", "lastname": "family_name",
        "institution": "organization", "department": "department", "idnumber": "employee_number",
        "phone1": "phone", "phone2": "phone",
    },
    _is_moodle,
    {
        "deleted": _done("deleted"),
        "suspended": _done("suspended"),
        "oldusername": _RENAMES,
    },
    re.compile(r"cohort\d+"),
)  # fmt: skip
CANVAS = HeaderSet(
    "canvas",
    _PLAIN,
    {
        "login_id": "username", "password": "password", "email": "email",
        "first_name": "given_name", "last_name": "family_name",
        "full_name": "display_name", "short_name": "display_name",
        "user_id": "employee_number",
    },
    _is_canvas,
    {"status": _is("active"), "ssha_password": _HASHED},
)  # fmt: skip
GOOGLE = HeaderSet(
    "google",
    _without_brackets,
    {
        "first name": "given_name", "last name": "family_name", "email address": "email",
        "password": "password", "work phone": "phone", "mobile phone": "phone",
        "employee id": "employee_number", "employee title": "title", "manager email": "manager",
        "department": "department", "cost center": "cost_center",
    },
    _is_google,
    {
        "password": _password,
        "password hash function": _HASHED,
        "new primary email": _RENAMES,
        "new status": _is("active"),
        "status": _is("active"),
    },
)  # fmt: skip
ENTRA = HeaderSet(
    "entra",
    _in_brackets,
    {
        "displayname": "display_name", "userprincipalname": "username",
        "passwordprofile": "password", "givenname": "given_name", "surname": "family_name",
        "jobtitle": "title", "department": "department", "companyname": "organization",
        "employeeid": "employee_number", "telephonenumber": "phone", "mobile": "phone",
        "manager": "manager",
    },
    _is_entra,
    {"displayname": _example, "accountenabled": _blocked},
)  # fmt: skip
HEADER_SETS = {one.name: one for one in (MOODLE, CANVAS, GOOGLE, ENTRA)}
VERSION_LINE = re.compile(r"[\"']?version:v[0-9.]+[\"']?[,;\t|]*", re.I)
"""The first line of Entra's form; a spreadsheet adds empty cells to it."""
