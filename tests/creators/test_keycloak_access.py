"""Who may do what in a real Keycloak, and for how long: sign-ins, roles, tokens, realms."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from botrix.creators.creator import Whose
from botrix.model import OutcomeKind
from tests.creators.conftest import opened
from tests.creators.test_every_kind import wanted
from tests.creators.test_keycloak import before, once
from tests.servers.keycloak import ADMIN, CLIENT, Keycloak, Realm

pytestmark = [pytest.mark.suite("Keycloak"), pytest.mark.timeout(600)]
CREATED, RETRY = OutcomeKind.CREATED, OutcomeKind.RETRY
PASSWORD = wanted("ann").password


async def test_a_realm_that_there_is_not(realm: Realm, tmp_path: Path) -> None:
    """Its accounts are neither refused nor gone: the realm may come back, or the url be wrong."""
    (tmp_path / "token").write_text("any")
    wrong_url = {"url": f"{realm.server.url}/auth", "token_file": str(tmp_path / "token")}
    for config in (
        realm.settings(tmp_path, realm="no-such-realm", auth_realm=realm.name),
        {"realm": realm.name, **wrong_url},
    ):
        async with opened("keycloak", config) as creator:
            assert "no realm" in (await creator.check()).problem
            for outcome in (
                await once(creator, wanted("ann")),
                await creator.delete("an-id"),
                await creator.disable("an-id"),
                await creator.set_password("an-id", PASSWORD),
            ):
                assert (outcome.kind, outcome.reason) == (RETRY, "no such realm")
                assert not outcome.counted
            (seen,) = await creator.find([wanted("ann")])
            assert (seen.whose, seen.counted) == (Whose.UNSURE, False)


async def test_credentials_that_are_refused(realm: Realm, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong-secret")
    wrong = str(tmp_path / "wrong")
    async with before(realm, tmp_path, client_secret_file=wrong) as creator:
        check = await creator.check()
        assert not check.usable
        assert "credentials" in check.problem
        outcome = await once(creator, wanted("ann"))
        assert (outcome.kind, outcome.reason) == (RETRY, "credentials refused")
        assert not outcome.counted
        assert "wrong-secret" not in f"{check} {outcome}"


@pytest.mark.parametrize("roles", [[], ["query-users"], ["view-users"]])
async def test_an_operator_who_may_not(realm: Realm, tmp_path: Path, roles: list[str]) -> None:
    realm.grant(*roles)
    async with before(realm, tmp_path) as creator:
        check = await creator.check()
        assert not check.usable
        assert "manage-users" in check.problem
        outcome = await once(creator, wanted("ann"))
        assert (outcome.kind, outcome.reason) == (RETRY, "credentials refused")
        assert not outcome.counted


async def test_a_token_that_runs_out_under_way(realm: Realm, tmp_path: Path) -> None:
    """By its time, and before it: all tokens of a realm can be made void."""
    realm.change(accessTokenLifespan=2)
    async with before(realm, tmp_path) as creator:
        ends, n = time.monotonic() + 5, 0
        while time.monotonic() < ends:
            assert (await once(creator, wanted(f"user-{n}"))).kind is CREATED
            n += 1
        realm.change(accessTokenLifespan=300)
        assert (await once(creator, wanted("before"))).kind is CREATED
        realm.change(notBefore=int(time.time()) + 1)
        while time.time() < realm.ask("GET").body["notBefore"] + 1:
            assert (await once(creator, wanted("before"))).kind in (CREATED, RETRY)
        assert (await once(creator, wanted("after"))).kind is CREATED
    assert len(realm.users()) == n + 2


async def test_an_administrator_of_the_server(
    keycloak_server: Keycloak, realm: Realm, tmp_path: Path
) -> None:
    username, password = ADMIN
    (tmp_path / "password").write_text(password)
    config = {
        "url": keycloak_server.url, "realm": realm.name, "auth_realm": "master",
        "username": username, "password_file": str(tmp_path / "password"),
    }  # fmt: skip
    async with opened("keycloak", config, timeout=20.0) as creator:
        check = await creator.check()
        assert check.can[0].startswith("is Keycloak ")
        assert (await once(creator, wanted("ann"))).kind is CREATED
        realm.remove()
        outcome = await once(creator, wanted("bob"))
        assert (outcome.kind, outcome.reason) == (RETRY, "no such realm")
        assert not outcome.counted


async def test_a_token_of_the_operators_own(realm: Realm, tmp_path: Path) -> None:
    client, secret = CLIENT
    said = realm.server.token(
        realm.name, grant_type="client_credentials", client_id=client, client_secret=secret
    )
    (tmp_path / "token").write_text(said.body["access_token"])
    config = {"url": realm.server.url, "realm": realm.name, "token_file": str(tmp_path / "token")}
    async with opened("keycloak", config, timeout=20.0) as creator:
        assert (await once(creator, wanted("ann"))).kind is CREATED
