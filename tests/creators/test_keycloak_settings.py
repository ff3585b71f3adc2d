"""What a `keycloak` directory is told, and what it reads, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from botrix.creators import open_creator
from botrix.creators.creator import Secret, Whose
from botrix.creators.keycloak import profile, users
from botrix.creators.keycloak.settings import read
from botrix.creators.web.answer import Answer
from botrix.errors import DirectoryError
from botrix.model import OutcomeKind
from tests.creators.test_every_kind import wanted

_URL = {"url": "https://id.example", "realm": "seats"}
_CLIENT = {"client_id": "botrix", "client_secret": Secret("Tr0ub4dor")}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "`url`"),
        ({"url": "http://id.example", "realm": "seats", **_CLIENT}, "in the clear"),
        ({"url": "https://id.example", **_CLIENT}, "`realm`"),
        ({**_URL, "realm": "..", **_CLIENT}, "`realm`"),
        ({**_URL, "realm": 7, **_CLIENT}, "`realm`"),
        (_URL, "client_id and client_secret"),
        ({**_URL, "client_secret": Secret("Tr0ub4dor")}, "`client_id`"),
        ({**_URL, "client_id": "botrix", "client_secret": "Tr0ub4dor"}, "in the clear"),
        ({**_URL, "username": "admin"}, "operator's password"),
        ({**_URL, "password": Secret("Tr0ub4dor")}, "`username`"),
        ({**_URL, "token": Secret("Tr0ub4dor"), **_CLIENT}, "leave one of them out"),
        ({**_URL, **_CLIENT, "tag_attribute": "department"}, "`tag_attribute`"),
        ({**_URL, **_CLIENT, "tag_attribute": ""}, "`tag_attribute`"),
        ({**_URL, **_CLIENT, "colour": 1}, "'colour'"),
    ],
)
async def test_settings_that_cannot_be_used(config: dict[str, Any], told: str) -> None:
    with pytest.raises(DirectoryError) as caught:
        await open_creator("keycloak", config)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "4dor" not in str(caught.value)


@pytest.mark.parametrize(
    "credentials",
    [_CLIENT, {"token": Secret("Tr0ub4dor")}, {"username": "ada", "password": Secret("Tr0ub4dor")}],
)
def test_each_way_to_sign_in(credentials: dict[str, Any]) -> None:
    settings = read({**_URL, "realm": "a/b c", **credentials, "concurrency": 4})
    assert (settings.path, settings.tag_attribute) == ("/admin/realms/a%2Fb%20c", "botrix_tag")
    assert "4dor" not in repr(settings)


@pytest.mark.parametrize(
    "location", ["", "/admin/realms/r/users", "/users/", "/users/..", "/users/a/b", "/users/a?b"]
)
def test_a_location_that_tells_no_id(location: str) -> None:
    outcome = users.created(Answer(201, headers={"location": location}), "")
    assert (outcome.kind, outcome.reason) == (OutcomeKind.UNKNOWN, "no usable id")


def test_the_id_is_the_end_of_the_location() -> None:
    headers = {"location": "https://elsewhere.example/admin/realms/r/users/f%3A1%3Aann"}
    assert users.created(Answer(201, headers=headers), "").entry_id == "f:1:ann"


def test_a_repeated_password_is_taken_out() -> None:
    body = b'{"errors": [{"field": "x", "errorMessage": "Tr0ub4dor is\\nweak"}]}'
    outcome = users.created(Answer(400, body), "Tr0ub4dor")
    assert outcome.kind is OutcomeKind.REJECTED
    assert outcome.detail == "HTTP 400: x: *** is weak"


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[1]", b'{"error": "x"}', b"[" * 100_000])
def test_a_list_that_is_none(body: bytes) -> None:
    assert users.rows(Answer(200, body)) is None


@pytest.mark.parametrize(
    ("tags", "whose"),
    [
        (["botrix:job:0"], Whose.OURS),
        (["botrix:job:1"], Whose.OTHER_JOB),
        (["botrix:job:0", "botrix:job:1"], Whose.FOREIGN),
        (["hr"], Whose.FOREIGN),
        ("botrix:job:0", Whose.UNPROVEN),
        ([], Whose.UNPROVEN),
        (None, Whose.UNPROVEN),
    ],
)
def test_whose_a_row_is(tags: Any, whose: Whose) -> None:
    row = {"id": "1", "username": "ann", "attributes": {"t": tags}}
    assert users.judge(wanted("Ann"), [row], "t", keeps=None).whose is whose
    other = {**row, "username": "anna"}
    assert users.judge(wanted("Ann"), [other], "t", keeps=None).whose is Whose.NOBODY


@pytest.mark.parametrize("said", [None, [], {}, {"attributes": 1}, {"attributes": [1]}])
def test_a_profile_that_is_none(said: Any) -> None:
    assert profile.read(said) is None


def test_an_odd_profile_keeps_nothing() -> None:
    odd = profile.read({"attributes": [{"name": "t", "permissions": {"edit": "admin"}}, {}]})
    assert odd is not None
    assert not odd.keeps("t")
    assert odd.asked_for() == []
