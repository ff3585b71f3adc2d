"""What a SCIM server says of itself is read whatever it says, and decides what is sent to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from botrix.creators import open_creator
from botrix.creators.creator import Wanted
from botrix.creators.gate import Answered, Gate
from botrix.creators.scim.discovery import (
    ENTERPRISE,
    USER,
    Features,
    Schemas,
    read_features,
    read_schemas,
)
from botrix.creators.scim.resource import left_out, resource
from botrix.model import ATTRIBUTES, OutcomeKind, Person
from tests.creators.conftest import opened
from tests.servers.scim import SimulatedDirectory

_PARTS = ("bulk", "patch", "etag", "filter", "pagination", "supported", "maxOperations",
          "maxPayloadSize", "maxResults", "maxPageSize", "cursor", "Resources", "attributes", "id",
          "name", "subAttributes", "mutability")  # fmt: skip
_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([USER, ENTERPRISE, "emails", "readOnly"])
)  # fmt: skip
_JSON: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_PARTS), inner, max_size=6)
    ),
    max_leaves=30,
)
_ATTRIBUTE = st.fixed_dictionaries(
    {"name": _SCALARS}, optional={"mutability": _SCALARS, "subAttributes": _JSON}
)
_SCHEMA = st.fixed_dictionaries(
    {"id": st.sampled_from([USER, ENTERPRISE]), "attributes": st.lists(_ATTRIBUTE | _JSON)}
)
PERSON = Person(
    "ann", "ann@x.example", "Ann", "B", "Ann B", (), dict.fromkeys(ATTRIBUTES, "something")
)
WANTED = Wanted("botrix:job:0", PERSON, "Pass-w0rd!")


@given(_JSON)
def test_no_configuration_is_too_strange(said: Any) -> None:
    features = read_features(said)
    assert 1 <= features.page <= 500
    assert features.bulk >= 0
    assert 1 <= features.payload <= 1 << 20
    assert {type(v) for v in (features.patch, features.etag, features.filter)} == {bool}


@given(_JSON | st.fixed_dictionaries({"Resources": st.lists(_SCHEMA | _JSON)}))
def test_no_schemas_are_too_strange(said: Any) -> None:
    schemas = read_schemas(said)
    sent = resource(WANTED, schemas, "7")
    assert (sent["userName"], sent["externalId"]) == ("ann", "botrix:job:0")
    if schemas is not None:
        known = schemas.user.keys() | {"schemas", "externalid", "username", "password"}
        assert {name.lower() for name in sent if name != ENTERPRISE} <= known
        assert all(isinstance(name, str) for name in left_out(schemas))


@pytest.mark.parametrize(
    ("said", "features"),
    [
        ({}, Features()),
        ({"patch": {"supported": False}}, Features(patch=False)),
        ({"bulk": {"supported": True, "maxOperations": 7, "maxPayloadSize": 900}},
         Features(bulk=7, payload=900)),
        ({"bulk": {"supported": "true", "maxOperations": 7}}, Features()),
        ({"bulk": {"supported": False, "maxOperations": 7}}, Features()),
        ({"bulk": {"supported": True, "maxOperations": True}}, Features()),
        ({"bulk": {"supported": True, "maxOperations": 7, "maxPayloadSize": 0}}, Features(bulk=7)),
        ({"filter": {"supported": True, "maxResults": 20}}, Features(page=20)),
        ({"filter": {"maxResults": 0}}, Features()),
        ({"filter": {"supported": False}}, Features(filter=False)),
        ({"pagination": {"cursor": True, "index": False, "maxPageSize": 9}},
         Features(cursor=True, page=9)),
        ({"etag": {"supported": True}}, Features(etag=True)),
    ],
)  # fmt: skip
def test_what_a_configuration_means(said: Any, features: Features) -> None:
    assert read_features(said) == features


def test_what_the_schemas_do_not_have_is_not_sent() -> None:
    user = {"username": frozenset[str](), "emails": frozenset({"value"}), "title": frozenset[str]()}
    few = Schemas(user, {"department": frozenset()})
    sent = resource(WANTED, few, None)
    assert sent == {
        "schemas": [USER, ENTERPRISE],
        "externalId": "botrix:job:0",
        "userName": "ann",
        "password": "Pass-w0rd!",
        "emails": [{"value": "ann@x.example"}],
        "title": "something",
        ENTERPRISE: {"department": "something"},
    }
    assert "displayName" in left_out(few)
    assert "costCenter" in left_out(few)
    assert "title" not in left_out(few)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({}, True),
        ({"mutability": "readWrite", "returned": "default"}, True),
        ({"mutability": "readOnly"}, False),
        ({"returned": "never"}, False),
    ],
)
def test_whether_tags_are_kept(told: dict[str, str], kept: bool) -> None:
    attributes = [{"name": "userName"}, {"name": "externalId", **told}]
    schemas = read_schemas([{"id": USER, "attributes": attributes}])
    assert schemas is not None
    assert schemas.tags is kept


def test_without_schemas_only_what_every_server_knows_is_sent() -> None:
    sent = resource(WANTED, None, None)
    assert sent["schemas"] == [USER]
    assert not {"title", "phoneNumbers", ENTERPRISE} & sent.keys()


_FULL = {
    "title": "Head", "phone": "+49 1", "employee_number": "7", "department": "IT",
    "division": "North", "organization": "Acme", "cost_center": "4711", "manager": "BOSS",
}  # fmt: skip


async def test_attributes_and_the_manager_arrive(
    directory: SimulatedDirectory, token_file: str
) -> None:
    await directory.ask("POST", "/Users", {"userName": "Boss"})
    boss = (await directory.entries())[0]["id"]
    one = replace(WANTED, person=replace(PERSON, attributes=_FULL))
    lost = replace(WANTED, person=replace(PERSON, username="bob", attributes={"manager": "nobody"}))
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        made, refused = await creator.create([one, lost])
        again = replace(one, person=replace(one.person, username="eve"), tag="botrix:job:1")
        await creator.create([again])
    assert made.kind is OutcomeKind.CREATED
    assert (refused.kind, refused.reason) == (OutcomeKind.REJECTED, "no such manager")
    entries = {entry["userName"]: entry for entry in await directory.entries()}
    assert "bob" not in entries
    assert entries["ann"]["title"] == "Head"
    assert entries["ann"]["phoneNumbers"] == [{"value": "+49 1", "type": "work"}]
    assert entries["ann"][ENTERPRISE] == {
        "employeeNumber": "7", "department": "IT", "division": "North", "organization": "Acme",
        "costCenter": "4711", "manager": {"value": boss},
    }  # fmt: skip
    looked_up = [c for c in directory.calls() if c.get("userName") == "boss"]
    assert len([c for c in looked_up if c["verb"] == "find"]) == 1


async def test_without_the_extension_it_is_left_out_and_told(
    directory: SimulatedDirectory, token_file: str
) -> None:
    await directory.misbehave(schemas="core")
    one = replace(WANTED, person=replace(PERSON, attributes=_FULL))
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        check = await creator.check()
        (made,) = await creator.create([one])
    assert made.kind is OutcomeKind.CREATED, made
    told = [d for d in check.deviations if "department" in d.what]
    assert "left out" in told[0].so
    assert ENTERPRISE not in (await directory.entries())[0]


async def test_attributes_wait_for_schemas_that_cannot_be_had_now(
    directory: SimulatedDirectory, token_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But who has none does not."""
    monkeypatch.setattr("botrix.creators.scim.known._AGAIN", 0.0)
    await directory.misbehave(rules=[{"do": "503", "on": "describe", "retry_after": "1"}])
    one = replace(WANTED, person=replace(PERSON, attributes=_FULL | {"manager": ""}))
    plain = replace(WANTED, person=replace(PERSON, username="bob", attributes={}))
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        put_off, made = await creator.create([one, plain])
        assert (put_off.kind, put_off.reason) == (OutcomeKind.RETRY, "schemas unread")
        assert made.kind is OutcomeKind.CREATED
        await directory.misbehave()
        assert [o.kind for o in await creator.create([one])] == [OutcomeKind.CREATED]


async def test_it_is_asked_once(directory: SimulatedDirectory, token_file: str) -> None:
    """Not by each create: of the two that fail one is left for the check."""
    await directory.misbehave(rules=[{"do": "500", "on": "describe", "times": 2}])
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        for n in range(3):
            person = replace(PERSON, username=f"u{n}", attributes={})
            (made,) = await creator.create([Wanted(f"botrix:job:{n}", person, "Pass-w0rd!")])
            assert made.kind is OutcomeKind.CREATED
        check = await creator.check()
    assert "has no ServiceProviderConfig" in {d.what for d in check.deviations}


@pytest.mark.parametrize("do", ["403", "500", "501"])
async def test_what_need_not_be_there_says_nothing_of_the_directory(
    directory: SimulatedDirectory, token_file: str, do: str
) -> None:
    """A gate that was told of refused credentials would pause it."""
    rules = [{"do": do, "on": "describe"}, {"do": do, "on": "group"}]
    await directory.misbehave(rules=rules, bulk={"most": 9, "absent": True})
    gate = Gate()
    config = {"url": directory.url, "token_file": token_file}
    creator = await open_creator("scim", config, timeout=5.0, gate=gate)
    person = replace(PERSON, attributes={}, groups=("staff",))
    outcomes = await creator.create(
        [replace(WANTED, person=person), replace(WANTED, person=replace(PERSON, attributes={}))]
    )
    check = await creator.check()
    await creator.close()
    assert outcomes[1].kind is OutcomeKind.CREATED
    assert outcomes[0].kind in (OutcomeKind.REJECTED, OutcomeKind.RETRY)
    assert check.usable
    assert set(gate.taken().answers) == {Answered.DONE}
