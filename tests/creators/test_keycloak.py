"""Before a real Keycloak: what only it does, and what its realms can be told to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from botrix.creators.creator import Creator, Member, Wanted, Whose
from botrix.model import LeasedAccount, Outcome, OutcomeKind
from botrix.worker.attempt import attempt
from tests.creators.conftest import opened
from tests.creators.test_every_kind import wanted
from tests.creators.test_scim_names import HOSTILE
from tests.servers.keycloak import Realm

pytestmark = [pytest.mark.suite("Keycloak"), pytest.mark.timeout(600)]
CREATED, RETRY, REJECTED = OutcomeKind.CREATED, OutcomeKind.RETRY, OutcomeKind.REJECTED
TAG = "botrix_tag"
PASSWORD = wanted("ann").password


def before(realm: Realm, folder: Path, **more: str) -> Any:
    return opened("keycloak", realm.settings(folder, **more), timeout=20.0)


async def once(creator: Creator, one: Wanted, **more: Any) -> Outcome:
    account = LeasedAccount("default", "d", "job", 0, 1, one.person, b"", **more)
    (outcome,) = await attempt(creator, [account], [one], lambda: True)
    return outcome


def of(name: str, **more: Any) -> Wanted:
    one = wanted(name)
    return replace(one, person=replace(one.person, **more))


async def test_the_check_tells_what_it_can_and_writes_nobody(realm: Realm, tmp_path: Path) -> None:
    async with before(realm, tmp_path) as creator:
        check = await creator.check()
    assert check.usable
    assert any(TAG in one for one in check.can)
    assert [one.what for one in check.deviations] == ["wants of everybody: firstName, lastName"]
    assert realm.users() == {}


async def test_an_account_as_it_was_wanted(realm: Realm, tmp_path: Path) -> None:
    one = of("Ann", attributes={"department": "Ökologie", "title": ""}, groups=("staff",))
    async with before(realm, tmp_path) as creator:
        outcome = await once(creator, one)
    assert outcome.kind is CREATED
    row = realm.users()["ann"]
    assert row["id"] == outcome.entry_id
    assert (row["firstName"], row["lastName"], row["enabled"]) == ("Zoë", "Ångström", True)
    assert row["email"] == "ann@x.example"
    assert row["attributes"] == {TAG: [one.tag], "department": ["Ökologie"]}
    assert realm.groups("ann") == ["/staff"]
    assert realm.sign_in("ann", PASSWORD).status == 200
    assert realm.sign_in("ann", "another").body["error"] == "invalid_grant"


async def test_a_realm_that_drops_the_tag(realm: Realm, tmp_path: Path) -> None:
    """As every new realm does. Neither who asks before it created anybody may adopt a roster's."""
    realm.unmanaged(None)
    one, random = wanted("ann"), replace(wanted("x7k2m9"), unguessable=True)
    async with before(realm, tmp_path) as creator:
        check = await creator.check()
        assert check.usable
        (dropped, *_) = check.deviations
        assert dropped.what.startswith(f"drops the attribute {TAG}")
        assert "Unmanaged Attributes" in dropped.so
        for wish in (one, random):
            assert (await once(creator, wish)).kind is CREATED
        again = await once(creator, one)
        assert (again.kind, again.reason) == (OutcomeKind.CONFLICT, "ownership unknown")
        assert (await once(creator, random)).kind is CREATED
    async with before(realm, tmp_path) as creator:
        again = await once(creator, one, find_first=True)
        assert (again.kind, again.reason) == (OutcomeKind.CONFLICT, "ownership unknown")
        assert (await once(creator, random, find_first=True)).reason == "adopted"
    assert len(realm.users()) == 2


async def test_whether_tags_are_kept_is_read_back(realm: Realm, tmp_path: Path) -> None:
    """Whatever was known before: who may change a realm may do so at any time."""
    async with before(realm, tmp_path) as creator:
        realm.ask("POST", "/users", {"username": "eve"})
        (seen,) = await creator.find([wanted("eve")])
        assert seen.whose is Whose.FOREIGN
        realm.unmanaged(None)
        assert (await once(creator, wanted("ann"))).kind is CREATED
        (seen,) = await creator.find([wanted("eve")])
        assert seen.whose is Whose.UNPROVEN


async def test_a_tag_that_the_profile_names(realm: Realm, tmp_path: Path) -> None:
    """In another attribute, which people neither see nor change."""
    realm.unmanaged(None)
    profile = realm.ask("GET", "/users/profile").body
    mark = {"name": "mark", "permissions": {"view": ["admin"], "edit": ["admin"]}}
    realm.profile({**profile, "attributes": [*profile["attributes"], mark]})
    async with before(realm, tmp_path, tag_attribute="mark") as creator:
        check = await creator.check()
        assert not any("mark" in one.what for one in check.deviations)
        assert (await once(creator, wanted("ann"))).kind is CREATED
        assert (await once(creator, wanted("ann"))).reason == "adopted"
    assert realm.users()["ann"]["attributes"] == {"mark": ["botrix:job:0"]}


async def test_a_tag_that_people_could_change_is_told(realm: Realm, tmp_path: Path) -> None:
    realm.unmanaged("ENABLED")
    async with before(realm, tmp_path) as creator:
        told = [one.what for one in (await creator.check()).deviations]
    assert f"lets people change {TAG} of their own account" in told


async def test_a_temporary_password_stays_one_until_it_was_changed(
    realm: Realm, tmp_path: Path
) -> None:
    async with before(realm, tmp_path) as creator:
        outcome = await once(creator, replace(wanted("ann"), must_change=True))
        assert realm.users()["ann"]["requiredActions"] == ["UPDATE_PASSWORD"]
        assert outcome.entry_id is not None
        await creator.set_password(outcome.entry_id, "An0ther-password")
        for password, told in ((PASSWORD, "Invalid user"), ("An0ther-password", "not fully set")):
            assert told in realm.sign_in("ann", password).body["error_description"]
        other = await once(creator, of("bob"))
        assert other.entry_id is not None
        await creator.set_password(other.entry_id, "An0ther-password")
        assert realm.sign_in("bob", "An0ther-password").status == 200


async def test_a_change_leaves_the_rest_as_it_was(realm: Realm, tmp_path: Path) -> None:
    one = of("ann", groups=("staff",), attributes={"title": "Dr"})
    async with before(realm, tmp_path) as creator:
        outcome = await once(creator, one)
        was = realm.users()["ann"]
        assert outcome.entry_id is not None
        assert (await creator.disable(outcome.entry_id)).kind is CREATED
    assert realm.users()["ann"] == {**was, "enabled": False}
    assert realm.groups("ann") == ["/staff"]
    assert "disabled" in realm.sign_in("ann", PASSWORD).body["error_description"]


async def test_groups_by_their_paths(realm: Realm, tmp_path: Path) -> None:
    async with before(realm, tmp_path) as creator:
        assert (await once(creator, of("ann", groups=("staff", "/staff/night")))).kind is CREATED
        assert sorted(realm.groups("ann")) == ["/staff", "/staff/night"]
        for missing in ("night", "nope", "", "/", "..", "staff/..", "staff//night", "staff/"):
            outcome = await once(creator, of("bob", groups=("staff", missing)))
            assert (outcome.kind, outcome.reason) == (REJECTED, "no such group"), missing
    assert set(realm.users()) == {"ann"}


async def test_who_was_adopted_is_put_into_the_groups(realm: Realm, tmp_path: Path) -> None:
    async with before(realm, tmp_path) as creator:
        first = await once(creator, of("ann"))
        again = await once(creator, of("ann", groups=("staff",)), find_first=True)
        assert (again.kind, again.reason) == (CREATED, "adopted")
        assert realm.groups("ann") == ["/staff"]
        missing = Member(first.entry_id or "", "ann", ("nope",))
        assert [one.reason for one in await creator.join([missing])] == ["no such group"]


async def test_a_group_that_was_made_anew_is_found_again(realm: Realm, tmp_path: Path) -> None:
    async with before(realm, tmp_path) as creator:
        first = await once(creator, of("ann"))
        member = Member(first.entry_id or "", "ann", ("staff",))
        assert [one.kind for one in await creator.join([member])] == [CREATED]
        (old,) = realm.ask("GET", "/groups").body
        assert realm.ask("DELETE", f"/groups/{old['id']}").status == 204
        assert [one.kind for one in await creator.join([member])] == [RETRY]
        assert realm.ask("POST", "/groups", {"name": "staff"}).status == 201
        assert [one.kind for one in await creator.join([member])] == [CREATED]
    assert realm.groups("ann") == ["/staff"]


async def test_find_adopts_nobody_else(realm: Realm, tmp_path: Path) -> None:
    for name in ("innocent", "ann", "ann.b", "annabel", "userName", "null", "true"):
        said = {"username": name, "email": f"{name}@x.example", "attributes": {TAG: ["hr"]}}
        assert realm.ask("POST", "/users", said).status == 201
    was = realm.users()
    async with before(realm, tmp_path) as creator:
        for name in [*HOSTILE, "inn", "inn*", "*", "%", "an_", "ann ", "nn", "ann@x.example"]:
            (seen,) = await creator.find([wanted(name)])
            expected = Whose.FOREIGN if name.lower() in was else Whose.NOBODY
            if not name.isprintable():  # which it refuses to look up, and to create
                expected = Whose.UNSURE if seen.whose is Whose.UNSURE else expected
            assert seen.whose is expected, name
        for name in was:
            outcome = await once(creator, wanted(name.upper()))
            assert (outcome.kind, outcome.reason) == (OutcomeKind.CONFLICT, "name taken")
    assert realm.users() == was


async def test_what_is_created_is_exactly_what_was_wanted_or_nothing(
    realm: Realm, tmp_path: Path
) -> None:
    async with before(realm, tmp_path) as creator:
        for n, text in enumerate(HOSTILE):
            more = {"given_name": text, "family_name": text, "attributes": {"title": text}}
            for name in (f"user-{n}", text):
                one = replace(of(name, email=f"{n}-{len(name)}@x.example", **more))
                outcome = await once(creator, one)
                row = realm.users().get(name.lower())
                assert outcome.kind is not OutcomeKind.CONFLICT, (text, outcome)
                assert (outcome.kind is CREATED) == (row is not None), (text, outcome)
                if row is not None:
                    assert row["attributes"][TAG] == [one.tag]
                    assert row.get("firstName", "") == (text if text.strip() else ""), text


async def test_an_e_mail_address_that_somebody_has(realm: Realm, tmp_path: Path) -> None:
    async with before(realm, tmp_path) as creator:
        assert (await once(creator, of("ann"))).kind is CREATED
        outcome = await once(creator, of("bob", email="ANN@x.example"))
        assert (outcome.kind, outcome.reason) == (REJECTED, "e-mail taken")
        both = await once(creator, replace(of("ann"), tag="botrix:other:0"))
        assert both.kind is OutcomeKind.EXISTING
    assert set(realm.users()) == {"ann"}


async def test_a_policy_refuses_a_password_and_tells_why(realm: Realm, tmp_path: Path) -> None:
    realm.change(passwordPolicy="length(30)")
    async with before(realm, tmp_path) as creator:
        outcome = await once(creator, wanted("ann"))
        assert outcome.kind is REJECTED
        assert "minimum length 30" in (outcome.detail or "")
        bad = await once(creator, of("bob", email="no address"))
        assert bad.detail == "HTTP 400: email: error-invalid-email"
        assert realm.users() == {}
        realm.change(passwordPolicy="")
        made = await once(creator, wanted("ann"))
        realm.change(passwordPolicy="length(30)")
        changed = await creator.set_password(made.entry_id or "", "Tr0ub4dor")
        assert (changed.kind, changed.reason) == (REJECTED, "rejected")
        assert "4dor" not in repr(changed)
    assert realm.sign_in("ann", PASSWORD).status == 200


async def test_a_realm_of_e_mail_addresses(realm: Realm, tmp_path: Path) -> None:
    realm.change(registrationEmailAsUsername=True)
    async with before(realm, tmp_path) as creator:
        check = await creator.check()
        assert "Email as username" in check.problem
        outcome = await once(creator, wanted("ann"))
        assert (outcome.kind, outcome.counted) == (RETRY, False)
        assert realm.users() == {}
        realm.change(registrationEmailAsUsername=False)
        assert (await once(creator, wanted("ann"))).kind is CREATED
