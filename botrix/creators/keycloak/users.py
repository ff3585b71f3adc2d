"""Users as the Admin REST API has them, and what its answers mean for an account. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

from msgspec import structs

from botrix.creators.creator import Entry, Sighting, Wanted, Whose
from botrix.creators.web.answer import Answer, changed, not_done
from botrix.model import Outcome, OutcomeKind

_ENTRY = re.compile(r".*/users/([^/?#]+)", re.ASCII)
_AGAIN = 30.0
_FIELDS = {"email": "email", "given_name": "firstName", "family_name": "lastName"}
MUST_CHANGE = "UPDATE_PASSWORD"
"""The action that is required of who has a temporary password."""


def body(one: Wanted, tag_attribute: str, groups: Sequence[str]) -> dict[str, Any]:
    """groups: paths of groups that there are; of another one the server answers with an error of
    its own. There is no attribute for a display name: a console shows given and family name."""
    person = one.person
    said = {name: [value] for name, value in person.attributes.items() if value}
    return {
        "username": person.username,
        "enabled": True,
        "email": person.email,
        "firstName": person.given_name,
        "lastName": person.family_name,
        "attributes": {**said, tag_attribute: [one.tag]},
        "groups": list(groups),
        "credentials": [credential(one.password, one.must_change)],
    }


def credential(password: str, temporary: bool) -> dict[str, Any]:
    """temporary: another one must be chosen at the first sign-in."""
    return {"type": "password", "value": password, "temporary": temporary}


def path(entry_id: str) -> str:
    """Of one user, below that of the realm."""
    return f"/users/{quote(entry_id, safe='')}"


def is_one(entry_id: str) -> bool:
    """Whether its path names an entry: without an id it is that of all, and dots lead upwards."""
    return entry_id not in ("", ".", "..")


def by_name(username: str) -> str:
    """Without `exact`, the part of a name would do."""
    asked = quote(username, safe="", errors="replace")
    return f"/users?username={asked}&exact=true&briefRepresentation=false"


def listed(first: int, most: int) -> str:
    """So many of all, with their attributes."""
    return f"/users?first={first}&max={most}&briefRepresentation=false"


def by_email(email: str) -> str:
    """See by_name."""
    return f"/users?email={quote(email, safe='', errors='replace')}&exact=true"


def rows(answer: Answer) -> list[dict[str, Any]] | None:
    """The users of a list; None where it cannot be read as one."""
    read = answer.read()
    if answer.status != 200 or not isinstance(read, list):
        return None
    return read if all(isinstance(row, dict) for row in read) else None


def named(found: Sequence[Mapping[str, Any]], username: str) -> list[Mapping[str, Any]]:
    """Those of this name, which the server keeps in lower case."""
    return [row for row in found if str(row.get("username", "")).lower() == username.lower()]


def tag_of(row: Mapping[str, Any], tag_attribute: str) -> str | None:
    """None where there is none; several are no tag of ours."""
    attributes = row.get("attributes")
    values = attributes.get(tag_attribute) if isinstance(attributes, dict) else None
    if not isinstance(values, list) or not values:
        return None
    return str(values[0]) if len(values) == 1 else ""


def entry_of(row: Mapping[str, Any], tag_attribute: str) -> Entry:
    """What is not told is empty: a realm keeps these of everybody."""
    fields = {name: str(row.get(theirs) or "") for name, theirs in _FIELDS.items()}
    enabled = row.get("enabled")
    return Entry(
        str(row.get("id", "")),
        str(row.get("username", "")),
        tag_of(row, tag_attribute),
        fields,
        enabled if type(enabled) is bool else None,
    )


def created(answer: Answer, secret: str) -> Outcome:
    """Of a POST to /users: the new id is the end of the Location."""
    if answer.status == 201:
        found = _ENTRY.fullmatch(answer.headers.get("location", ""))
        entry_id = unquote(found[1]) if found else ""
        if is_one(entry_id):
            return Outcome(OutcomeKind.CREATED, entry_id)
        detail = "the answer tells no id of what was created"
        return Outcome(OutcomeKind.UNKNOWN, None, "no usable id", detail)
    if answer.status == 404:
        return not_there(answer)
    return _told(not_done(answer, secret), answer, secret)


def done_or_not(answer: Answer, entry_id: str, secret: str = "") -> Outcome:
    """Of a call that changes a user. 404 may be said of the user, but also of the realm."""
    if answer.status == 404 and not _no_user(answer):
        return not_there(answer)
    return _told(changed(answer, entry_id, secret), answer, secret)


def not_read(answer: Answer) -> Outcome:
    """Of something that had to be read first, so that nothing was done."""
    if answer.status == 404:
        return changed(answer, "") if _no_user(answer) else not_there(answer)
    return structs.replace(not_done(answer), kind=OutcomeKind.RETRY)


def not_there(answer: Answer) -> Outcome:
    """Nothing was done, and nothing will be before somebody has mended it."""
    detail = f"{answer.shown()}; correct `url` or `realm`, or make the realm"
    return Outcome(OutcomeKind.RETRY, None, "no such realm", detail, _AGAIN, counted=False)


def judge(
    one: Wanted, found: Sequence[Mapping[str, Any]], tag_attribute: str, keeps: bool | None
) -> Sighting:
    """Whose the entry is that bears this name, among rows that may be anybody's. keeps: whether
    the realm keeps tags, None where that is not known."""
    mine = named(found, one.person.username)
    if not mine:
        return Sighting(Whose.NOBODY)
    entry = entry_of(mine[0], tag_attribute)
    if entry.tag == one.tag:
        return entry.seen(Whose.OURS)
    if entry.is_of_botrix:
        return entry.seen(Whose.OTHER_JOB)
    if entry.tag is None and keeps is not True:
        if one.unguessable:  # nobody else can have come to this name
            return entry.seen(Whose.OURS)
        whether = "the realm drops" if keeps is False else "the realm may drop"
        return entry.seen(Whose.UNPROVEN, f"{whether} the attribute {tag_attribute}")
    return entry.seen(Whose.FOREIGN)


def unsure(answer: Answer) -> Sighting:
    """Of an answer that tells nothing about any user."""
    detail = f"the users could not be read: {answer.shown()}"
    counted = not answer.patience() and answer.status != 404
    return Sighting(Whose.UNSURE, None, detail, counted=counted, retry_after=answer.after)


def _no_user(answer: Answer) -> bool:
    return bool(answer.resource().get("error") == "User not found")


def _told(outcome: Outcome, answer: Answer, secret: str) -> Outcome:
    """Of a refusal: the field and what is wrong with it, or the words of a policy."""
    said = answer.resource()
    several = said.get("errors")
    first = several[0] if isinstance(several, list) and several else said
    if outcome.reason != "rejected" or not isinstance(first, dict):
        return outcome
    words = [first.get("field"), first.get("errorMessage") or first.get("error_description")]
    told = ": ".join(str(word) for word in words if word)
    if not told:
        return outcome
    body = json.dumps({"detail": told}).encode()  # from which secrets are taken out
    return structs.replace(outcome, detail=replace(answer, body=body).shown(secret))
