"""A real JupyterHub: who gets in, and what a death or a lost answer at each step comes to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from msgspec.structs import replace

from botrix.creators.creator import Creator, Member, Wanted, Whose
from botrix.creators.jupyterhub.creator import HubCreator
from botrix.creators.jupyterhub.state import staged
from botrix.creators.web.answer import Answer
from botrix.creators.web.http import Http
from botrix.model import LeasedAccount, Outcome, OutcomeKind, Person
from botrix.worker.attempt import attempt
from tests.creators.conftest import hub_config, opened, running_hub
from tests.servers.jupyterhub import BY_DUMMY, BY_SEATS, Hub
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.suite("JupyterHub")
CREATED, RETRY, REJECTED, CONFLICT, UNKNOWN = (
    OutcomeKind.CREATED, OutcomeKind.RETRY, OutcomeKind.REJECTED, OutcomeKind.CONFLICT,
    OutcomeKind.UNKNOWN,
)  # fmt: skip
PERSON = Person("ann", "ann@x.example", "Ann", "B", "Ann B")
ACCOUNT = LeasedAccount("default", "d", "job", 0, 1, PERSON, b"")
WANTED = Wanted(ACCOUNT.tag, PERSON, "Pass-w0rd!")
STRICT = f'{BY_SEATS}c.Authenticator.username_pattern = "^[a-z0-9-]+$"'


@pytest_asyncio.fixture
async def hub(kept_hub: Hub) -> AsyncIterator[Hub]:
    await kept_hub.clear()
    yield kept_hub


async def once(creator: Creator, wanted: Wanted = WANTED, **more: Any) -> Outcome:
    (outcome,) = await attempt(creator, [replace(ACCOUNT, **more)], [wanted], lambda: True)
    return outcome


def named(username: str, **more: Any) -> Wanted:
    return replace(WANTED, person=replace(PERSON, username=username, **more))


async def test_the_password_that_was_set_lets_in_and_no_other(hub: Hub) -> None:
    async with opened("jupyterhub", hub_config(hub)) as creator:
        entry = (await once(creator, named("Ann"))).entry_id or ""
        assert await hub.logs_in("Ann", WANTED.password)
        assert not await hub.logs_in("ann", f"{WANTED.password}x")
        assert not await hub.logs_in("nobody", "")
        assert (await creator.set_password(entry, "An0ther-word")).kind is CREATED
        assert not await hub.logs_in("ann", WANTED.password)
        assert await hub.logs_in("ann", "An0ther-word")
        assert [s.whose for s in await creator.find([WANTED])] == [Whose.OURS]
        assert (await creator.disable(entry)).kind is CREATED
        assert not await hub.logs_in("ann", "An0ther-word")
        assert not await hub.logs_in("ann", "")
    (user,) = (await hub.users()).values()
    assert (user["name"], user["admin"], user["roles"]) == ("ann", False, ["user"])


async def test_a_user_of_somebody_else_stays_as_he_is(hub: Hub) -> None:
    await hub.ask("POST", "/users", {"usernames": ["ann", "bob"]})
    await hub.ask("PATCH", "/users/bob", {"auth_state": {"access_token": "s3cret"}})
    before = {name: await hub.ask("GET", f"/users/{name}") for name in ("ann", "bob")}
    async with opened("jupyterhub", hub_config(hub)) as creator:
        for name in ("ann", "Bob"):
            outcome = await once(creator, named(name))
            assert (outcome.kind, outcome.reason) == (CONFLICT, "name taken")
            assert "s3cret" not in repr(outcome)
    assert set(await hub.users()) == {"ann", "bob"}
    assert {name: await hub.ask("GET", f"/users/{name}") for name in before} == before


async def test_who_gets_the_name_later_is_left_alone(hub: Hub) -> None:
    async with opened("jupyterhub", hub_config(hub)) as creator:
        entry = (await once(creator)).entry_id or ""
        await hub.ask("DELETE", "/users/ann")
        await hub.ask("POST", "/users/ann")
        changes = (creator.set_password(entry, "x"), creator.disable(entry), creator.delete(entry))
        for change in changes:
            assert (await change).reason == "no such entry"
    assert set(await hub.users()) == {"ann"}


@pytest.mark.parametrize("done", ["nothing", "first step", "other step"])
async def test_what_a_worker_left_half_done_is_finished_or_removed(hub: Hub, done: str) -> None:
    """Between the requests of a create; the last of them is tried in the next test."""
    first = staged(WANTED.tag)
    if done != "nothing":
        await hub.ask("POST", "/users", {"usernames": [first]})
    if done == "other step":
        await hub.ask("PATCH", f"/users/{first}", {"auth_state": {"botrix": {"tag": WANTED.tag}}})
    async with opened("jupyterhub", hub_config(hub)) as creator:
        again = await once(creator)
        assert again.kind is CREATED
        assert (await once(creator, find_first=True)).entry_id == again.entry_id
        assert set(await hub.users()) == {"ann"}
        await hub.ask("DELETE", "/users/ann")
        await hub.ask("POST", "/users", {"usernames": [first]})
        assert (await once(creator, find_first=True, find_only=True)).reason == "cancelled"
    assert await hub.users() == {}


@pytest.mark.parametrize("lost", ["POST /hub/api/users", "PATCH /hub/api/users"])
async def test_what_was_done_unheard_is_found(hub: Hub, lost: str) -> None:
    proxy = Proxy(hub.port)
    await proxy.start()
    proxy.lose = lost.encode()
    config = hub_config(hub) | {"url": f"http://127.0.0.1:{proxy.port}/hub/api"}
    async with opened("jupyterhub", config) as creator:
        outcome = await once(creator)
        assert proxy.lost == 1
        if lost.startswith("POST"):
            assert outcome.kind is UNKNOWN
            assert await hub.users() == {}
            outcome = await once(creator, find_first=True)
        assert outcome.kind is CREATED
    await proxy.stop()
    assert set(await hub.users()) == {"ann"}
    assert await hub.logs_in("ann", WANTED.password)


async def test_nothing_is_seen_before_what_was_half_done_is_gone(hub: Hub) -> None:
    """Else a late request could finish it after the look."""
    proxy = Proxy(hub.port)
    await proxy.start()
    proxy.lose, proxy.times = b"DELETE /hub/api/users", 2  # the client itself tries it twice
    config = hub_config(hub) | {"url": f"http://127.0.0.1:{proxy.port}/hub/api"}
    async with opened("jupyterhub", config) as creator:
        seen = [(await creator.find([WANTED]))[0].whose for _ in range(2)]
    await proxy.stop()
    assert seen == [Whose.UNSURE, Whose.NOBODY]


async def test_a_first_step_alone_is_in_doubt(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory was paused in between: what was begun is not said to be surely not there."""
    async with opened("jupyterhub", hub_config(hub)) as creator:
        http: Http = cast(HubCreator, creator)._http
        ask = http.ask

        async def paused(method: str, *more: Any, **named: Any) -> Answer:
            if method == "PATCH":
                return Answer(0, sent=False, problem="paused")
            return await ask(method, *more, **named)

        monkeypatch.setattr(http, "ask", paused)
        (outcome,) = await creator.create([WANTED])
        assert (outcome.kind, outcome.counted) == (UNKNOWN, False)
        assert set(await hub.users()) == {staged(WANTED.tag)}
        assert (await once(creator)).kind is UNKNOWN
    assert await hub.users() == {}


async def test_a_late_request_finishes_nothing(hub: Hub) -> None:
    """Its worker stood still after the first step; a peer has looked and created it meanwhile."""
    async with opened("jupyterhub", hub_config(hub)) as creator:
        first = f"/users/{staged(WANTED.tag)}"
        await hub.ask("POST", first)
        assert (await once(creator, named("eve"), find_first=True)).kind is CREATED
        late = await hub.ask("PATCH", first, {"auth_state": {}, "name": "mallory"})
        assert late["status"] == 404
    assert set(await hub.users()) == {"eve"}


async def test_names_that_a_hub_does_not_take(tmp_path: Path) -> None:
    async with (
        running_hub(tmp_path, said=STRICT) as hub,
        opened("jupyterhub", hub_config(hub)) as creator,
    ):
        for name in ("", ".", "..", "a b", "a/b", "x" * 256):
            outcome = await once(creator, named(name))
            assert (outcome.kind, outcome.reason) == (REJECTED, "rejected"), name
            assert WANTED.password not in repr(outcome)
            assert await hub.users() == {}, name
            (sighting,) = await creator.find([named(name)])
            assert sighting.whose is Whose.NOBODY
        assert (await once(creator)).kind is CREATED


async def test_a_group_must_be_there(hub: Hub) -> None:
    async with opened("jupyterhub", hub_config(hub)) as creator:
        outcome = await once(creator, named("ann", groups=("staff", "absent")))
        assert (outcome.kind, outcome.reason) == (REJECTED, "no such group")
        assert await hub.users() == {}
        assert (await once(creator, named("ann", groups=("staff",)))).kind is CREATED
        gone = await creator.join([Member("ann now", "ann", ("staff", "absent"))])
        assert [o.reason for o in gone] == ["no such group"]
    assert (await hub.users())["ann"]["groups"] == ["staff"]


async def test_a_hub_that_dies_and_one_without_a_key(tmp_path: Path) -> None:
    async with (
        running_hub(tmp_path, crypt_key=False, said=BY_DUMMY) as hub,
        opened("jupyterhub", hub_config(hub)) as creator,
    ):
        outcome = await once(creator)
        assert outcome.kind is UNKNOWN
        assert "JUPYTERHUB_CRYPT_KEY" in (outcome.detail or "")
        assert await hub.users() == {}
        (wrong,) = (await creator.check()).deviations
        assert "DummyAuthenticator" in wrong.what
        assert "let nobody in" in wrong.so
        hub.kill_hub()
        assert (await once(creator)).kind in (RETRY, UNKNOWN)
        check = await creator.check()
        assert "no JupyterHub" in check.problem


async def test_the_check_says_what_the_token_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_hub(tmp_path, scopes=("admin:users!group=staff", "list:users")) as hub:
        async with opened("jupyterhub", hub_config(hub)) as creator:
            assert "admin:users" in (await creator.check()).problem
        monkeypatch.setenv("WRONG", "wrong")
        async with opened("jupyterhub", {"url": hub.url, "token_env": "WRONG"}) as creator:
            assert "credentials" in (await creator.check()).problem
            outcome = await once(creator)
            assert (outcome.kind, outcome.counted) == (RETRY, False)


async def test_the_check_says_what_cannot_be_known(tmp_path: Path) -> None:
    async with (
        running_hub(tmp_path, scopes=("admin:users",)) as hub,
        opened("jupyterhub", hub_config(hub)) as creator,
    ):
        check = await creator.check()
        assert check.usable
        told = [one.what for one in check.deviations]
        assert told == ["has no groups for this token", "does not tell how people sign in"]
