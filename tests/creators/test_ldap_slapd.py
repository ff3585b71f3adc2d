"""The `ldap` kind before a real OpenLDAP: TLS, faults, names and passwords."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop
from msgspec.structs import replace

from botrix.creators.creator import Creator, Member, Wanted, Whose
from botrix.creators.gate import Answered, Gate
from botrix.creators.ldap.escaping import equals, rdn
from botrix.model import Outcome, OutcomeKind, Person
from tests.creators.conftest import opened
from tests.creators.test_every_kind import wanted
from tests.creators.test_ldap_escaping import CORPUS
from tests.servers.certificates import Authority
from tests.servers.ldap import GROUPS, PEOPLE, SUFFIX, Slapd, missing, slapd

pytestmark = [
    pytest.mark.suite("slapd"),
    pytest.mark.skipif(missing() is not None, reason=f"slapd was NOT tried: {missing()}"),
]
CREATED, UNKNOWN = OutcomeKind.CREATED, OutcomeKind.UNKNOWN
POLICY = f"""\
dn: olcOverlay=ppolicy,olcDatabase={{1}}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcPPolicyConfig
olcOverlay: ppolicy
olcPPolicyDefault: cn=policy,{SUFFIX}
olcPPolicyHashCleartext: TRUE
"""


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Slapd]:
    made = tmp_path / "slapd"
    made.mkdir()
    async with slapd(made) as started:
        yield started


def dn(name: str) -> str:
    return f"{rdn('uid', name)},{PEOPLE}"


async def tags(server: Slapd) -> list[bytes]:
    found = await server.search("(uid=*)", "labeledURI", base=PEOPLE)
    return sorted(tag for row in found for tag in row["labeledURI"])


async def try_out(config: dict[str, Any], timeout: float = 5.0) -> tuple[Outcome, Gate]:
    gate = Gate()
    async with opened("ldap", config, timeout, gate) as creator:
        (outcome,) = await creator.create([wanted("ann")])
    return outcome, gate


@pytest.mark.parametrize("how", ["ldaps", "StartTLS"])
async def test_tls_is_checked_against_the_name_and_the_authority(tmp_path: Path, how: str) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    made = tmp_path / "slapd"
    made.mkdir()
    async with slapd(made, authority=authority) as server:
        url = server.secure_url if how == "ldaps" else f"ldap://localhost:{server.port}"
        more = {} if how == "ldaps" else {"start_tls": True}
        right = server.settings(url=url, ca_file=str(authority.file), **more)
        for wrong, told in (
            ({**right, "ca_file": str(other.file)}, "certificate"),
            ({**right, "url": url.replace("localhost", "127.0.0.1")}, "not valid for '127.0.0.1'"),
            ({key: right[key] for key in right if key != "ca_file"}, "certificate"),
        ):
            outcome, gate = await try_out(wrong)
            assert (outcome.kind, outcome.counted) == (OutcomeKind.RETRY, False)
            assert told in (outcome.detail or "")
            assert gate.tally.answers == {Answered.TLS: 1}
        assert await server.search("(uid=*)", base=PEOPLE) == []
        outcome, _ = await try_out(right)
        assert outcome.kind is CREATED
        # Workers have another loop, whose transports are others.
        outcome, gate = await asyncio.to_thread(uvloop.run, try_out(right))
        assert (outcome.kind, gate.tally.failed) == (OutcomeKind.CONFLICT, 0)
        async with opened("ldap", right) as creator:
            assert f"over {how.replace('ldaps', 'TLS')}" in (await creator.check()).can[0]


async def test_tls_where_there_is_none(server: Slapd) -> None:
    config = server.settings(url=server.url.replace("ldap:", "ldaps:"))
    outcome, gate = await try_out(config)
    assert outcome.kind is OutcomeKind.RETRY
    assert gate.tally.answers in ({Answered.TLS: 1}, {Answered.AWAY: 1})


async def test_killed_in_the_middle_of_a_pipeline(server: Slapd) -> None:
    """What has no answer is unknown; `find` tells, and nothing is lost or there twice."""
    everybody = [wanted(f"u{n}", f"botrix:job:{n}") for n in range(2048)]
    config = server.settings(password_scheme="server")
    async with opened("ldap", config, 10) as creator:
        batches = [everybody[n : n + 64] for n in range(0, len(everybody), 64)]
        calls = [asyncio.create_task(_create(creator, batch)) for batch in batches]
        await asyncio.wait(calls[:4], return_when=asyncio.FIRST_COMPLETED)
        os.kill(server.pid, signal.SIGKILL)
        outcomes = [one for call in calls for one in await call]
        kinds = {outcome.kind for outcome in outcomes}
        assert kinds <= {CREATED, UNKNOWN, OutcomeKind.RETRY}
        assert {CREATED, UNKNOWN} <= kinds
        assert all(not o.counted for o in outcomes if o.kind is OutcomeKind.RETRY)

        await server.stop()
        await server.start()
        seen = [one for batch in batches for one in await creator.find(batch)]
        for outcome, sighting in zip(outcomes, seen, strict=True):
            if outcome.kind is CREATED:
                assert (sighting.whose, sighting.entry_id) == (Whose.OURS, outcome.entry_id)
            elif outcome.kind is OutcomeKind.RETRY:
                assert sighting.whose is Whose.NOBODY
        rest = [one for one, s in zip(everybody, seen, strict=True) if s.whose is Whose.NOBODY]
        for n in range(0, len(rest), 64):
            assert {o.kind for o in await creator.create(rest[n : n + 64])} == {CREATED}
    assert await tags(server) == sorted(one.tag.encode() for one in everybody)


async def _create(creator: Creator, batch: Sequence[Wanted]) -> Sequence[Outcome]:
    return await creator.create(batch)


async def test_stopped_it_times_out_and_what_landed_is_found(server: Slapd) -> None:
    one = wanted("ann")
    async with opened("ldap", server.settings(), 0.5) as creator:
        assert (await creator.check()).usable
        os.kill(server.pid, signal.SIGSTOP)
        try:
            (outcome,) = await creator.create([one])
            assert (outcome.kind, outcome.detail) == (UNKNOWN, "no answer: no answer in time")
            (sighting,) = await creator.find([one])
            assert (sighting.whose, sighting.counted) == (Whose.UNSURE, False)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        for _ in range(50):
            (sighting,) = await creator.find([one])
            if sighting.whose is Whose.OURS:  # it was in the queue of the server
                break
        assert sighting.whose is Whose.OURS


async def test_of_all_names_one_entry_each(server: Slapd) -> None:
    """Created, refused or taken: what `find` says fits, and each password signs in to its own."""
    everybody = [
        replace(_named(name, n), password=f"Pass-w0rd-{n}!") for n, name in enumerate(CORPUS)
    ]
    async with opened("ldap", server.settings(), 20) as creator:
        created = {}
        for n in range(0, len(everybody), 64):
            batch = everybody[n : n + 64]
            outcomes = await creator.create(batch)
            for one, outcome in zip(batch, outcomes, strict=True):
                name = one.person.username
                assert outcome.kind in (CREATED, OutcomeKind.CONFLICT, OutcomeKind.REJECTED), name
                if outcome.kind is CREATED:
                    created[one.tag] = one
                elif outcome.kind is OutcomeKind.REJECTED:
                    assert not 1 <= len(name.encode()) <= 254, name
            for one, sighting in zip(batch, await creator.find(batch), strict=True):
                name = one.person.username
                if one.tag in created:
                    assert sighting.whose is Whose.OURS, name
                elif 1 <= len(name.encode()) <= 254:
                    assert sighting.whose is Whose.OTHER_JOB, name
                else:
                    assert sighting.whose is Whose.NOBODY, name
    assert await tags(server) == sorted(tag.encode() for tag in created)
    assert len(created) > 90
    for one in created.values():
        assert await server.signs_in(dn(one.person.username), one.password), one


def _named(name: str, n: int) -> Wanted:
    person = Person(name, f"u{n}@x.example", name[:50], name[:50], name[:50])
    return Wanted(f"botrix:job-{n}:{n}", person, "")


@pytest.mark.parametrize(
    ("scheme", "module", "kept"),
    [
        ("crypt", "", b"{CRYPT}$6$"),
        ("argon2", "argon2", b"{ARGON2}$argon2id$"),
        ("ssha512", "pw-sha2", b"{SSHA512}"),
    ],
)
async def test_no_password_is_kept_in_the_clear(
    tmp_path: Path, scheme: str, module: str, kept: bytes
) -> None:
    if module and not os.path.exists(f"/usr/lib/ldap/{module}.so"):  # noqa: ASYNC240
        pytest.skip(f"slapd has no {module}")
    modules = f"olcModuleLoad: {module}" if module else ""
    async with slapd(tmp_path, modules=modules) as server:
        config = server.settings(**({} if scheme == "crypt" else {"password_scheme": scheme}))
        async with opened("ldap", config) as creator:
            one, two = wanted("ann"), replace(wanted("bob"), password="päß wörd “☃”")
            outcomes = await creator.create([one, two])
            for row in await server.search("(uid=*)", "userPassword", base=PEOPLE):
                assert row["userPassword"][0].startswith(kept)
            assert await server.signs_in(dn("ann"), one.password)
            assert await server.signs_in(dn("bob"), two.password)
            assert not await server.signs_in(dn("bob"), one.password)
            ann = outcomes[0].entry_id or ""
            assert (await creator.set_password(ann, "An0ther")).kind is CREATED
            assert await server.signs_in(dn("ann"), "An0ther")
            assert not await server.signs_in(dn("ann"), one.password)
            assert (await creator.disable(ann)).kind is CREATED
            assert not await server.signs_in(dn("ann"), "An0ther")


async def test_with_policies_the_server_hashes_and_demands_a_change(tmp_path: Path) -> None:
    module = "olcModuleLoad: ppolicy"
    async with slapd(tmp_path, modules=module, more=POLICY) as server:
        code = await server.add(
            f"cn=policy,{SUFFIX}", objectClass="device pwdPolicy", cn="policy",
            pwdAttribute="userPassword", pwdMustChange="TRUE",
        )  # fmt: skip
        assert code == 0
        config = server.settings(password_scheme="server")
        async with opened("ldap", config) as creator:
            assert any("at the first sign-in" in line for line in (await creator.check()).can)
            one = replace(wanted("ann"), must_change=True)
            (outcome,) = await creator.create([one])
            assert outcome.kind is CREATED
            (row,) = await server.search("(uid=ann)", "userPassword", "pwdReset", base=PEOPLE)
            assert row["userPassword"][0].startswith(b"{SSHA}")
            assert row["pwdReset"] == [b"TRUE"]
            assert await server.signs_in(dn("ann"), one.password)
            assert (await creator.set_password(outcome.entry_id or "", "An0ther")).kind is CREATED
            (row,) = await server.search("(uid=ann)", "userPassword", base=PEOPLE)
            assert row["userPassword"][0].startswith(b"{SSHA}")


async def test_without_policies_nobody_is_made_who_must_change(server: Slapd) -> None:
    async with opened("ldap", server.settings()) as creator:
        one, two = replace(wanted("ann"), must_change=True), wanted("bob", "botrix:job:1")
        outcomes = await creator.create([one, two])
    assert [o.reason for o in outcomes] == ["cannot demand a change", None]
    assert await tags(server) == [b"botrix:job:1"]


async def test_an_entry_is_known_by_its_id_not_by_its_name(server: Slapd) -> None:
    """One was renamed, and somebody else has its name now: that one is left alone."""
    async with opened("ldap", server.settings()) as creator:
        (outcome,) = await creator.create([wanted("ann")])
        entry_id = outcome.entry_id or ""
        assert await server.rename(dn("ann"), "uid=anne") == 0
        code = await server.add(dn("ann"), objectClass="inetOrgPerson", uid="ann", cn="x", sn="x")
        assert code == 0
        for change in (
            creator.set_password(entry_id, "An0ther"),
            creator.disable(entry_id),
            creator.delete(entry_id),
        ):
            assert (await change).kind is CREATED
        assert (await creator.delete(entry_id)).reason == "no such entry"
    (left,) = await server.search("(uid=*)", base=PEOPLE)
    assert left["dn"] == [dn("ann").encode()]
    assert "userPassword" not in left


@pytest.mark.parametrize("member", ["member", "memberUid"])
async def test_groups(server: Slapd, member: str) -> None:
    if member == "memberUid":
        code = await server.add(
            f"cn=seats,{GROUPS}", objectClass="posixGroup", cn="seats", gidNumber="100"
        )
        assert code == 0
    group = "staff" if member == "member" else "seats"
    async with opened("ldap", server.settings(group_member=member)) as creator:
        within = replace(wanted("ann"), person=replace(wanted("ann").person, groups=(group,)))
        lost = replace(within, person=replace(within.person, username="b", groups=(group, "no")))
        outcomes = await creator.create([within, lost])
        assert [o.reason for o in outcomes] == [None, "no such group"]
        ann = Member(outcomes[0].entry_id or "", "ann", (group,))
        nobody = Member("x", "x", (group,))
        gone = Member(outcomes[0].entry_id or "", "ann", ("no",))
        joined = await creator.join([ann, nobody, ann, gone])
        assert [o.reason for o in joined] == [None, "no such entry", None, "no such group"]
        (row,) = await server.search(equals("cn", group), member, base=GROUPS)
        value = dn("ann") if member == "member" else "ann"
        assert row[member].count(value.encode()) == 1


async def test_without_a_place_for_groups_who_wants_one_is_rejected(server: Slapd) -> None:
    config = server.settings()
    del config["groups"]
    async with opened("ldap", config) as creator:
        one = replace(wanted("ann"), person=replace(wanted("ann").person, groups=("staff",)))
        (outcome,) = await creator.create([one])
        assert (outcome.kind, outcome.reason) == (OutcomeKind.REJECTED, "no such group")
        assert any("no groups" in one.what for one in (await creator.check()).deviations)


async def test_what_is_said_of_a_person_has_its_place(server: Slapd) -> None:
    said = {"title": "Dr.", "phone": "+49 1", "employee_number": "4711", "department": "R&D",
            "organization": "X", "division": "Y", "cost_center": "Z",
            "manager": "Ann, B."}  # fmt: skip
    one = replace(wanted("ann"), person=replace(wanted("ann").person, attributes=said))
    config = server.settings(attributes={"cost_center": "businessCategory"}, tag="description")
    async with opened("ldap", config) as creator:
        assert (await creator.create([one]))[0].kind is CREATED
        assert (await creator.find([one]))[0].whose is Whose.OURS
    (row,) = await server.search("(uid=ann)", base=PEOPLE)
    kept = {"title": "Dr.", "telephoneNumber": "+49 1", "employeeNumber": "4711", "o": "X",
            "departmentNumber": "R&D", "ou": "Y", "businessCategory": "Z",
            "manager": f"uid=Ann\\2C B.,{PEOPLE}", "description": one.tag}  # fmt: skip
    assert {name: row[name] for name in kept} == {k: [v.encode()] for k, v in kept.items()}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"base": f"ou=nowhere,{SUFFIX}"}, "is not there"),
        ({"groups": f"ou=nowhere,{SUFFIX}"}, "is not there"),
        ({"tag": "noSuchAttribute"}, "no attribute noSuchAttribute"),
        ({"attributes": {"title": "nope"}}, "no attribute nope"),
        ({"bind_dn": f"cn=nobody,{SUFFIX}"}, "credentials"),
        ({"url": "ldap://127.0.0.1:9"}, "no connection (Connection refused)"),
    ],
)
async def test_the_check_says_what_is_wrong(server: Slapd, change: Any, told: str) -> None:
    async with opened("ldap", server.settings(**change)) as creator:
        check = await creator.check()
    assert not check.usable
    assert told in check.problem
    assert "\n" not in check.problem


WEAK = f"cn=weak,{SUFFIX}"


@asynccontextmanager
async def with_a_weak_operator(folder: Path, *rights: str) -> AsyncIterator[dict[str, Any]]:
    """The settings for one who has these rights, and may read the rest."""
    lines = "".join(f"olcAccess: {one}\n" for one in (*rights, "to * by * read"))
    async with slapd(folder, rights=lines) as server:
        code = await server.add(
            WEAK, objectClass="device simpleSecurityObject", cn="weak",
            userPassword="operators-password",
        )  # fmt: skip
        assert code == 0
        yield server.settings(bind_dn=WEAK)


async def test_an_operator_without_rights_costs_no_try(tmp_path: Path) -> None:
    async with with_a_weak_operator(tmp_path) as config:
        outcome, gate = await try_out(config)
    assert (outcome.reason, outcome.counted) == ("credentials refused", False)
    assert gate.tally.fatal is Answered.CREDENTIALS


async def test_that_groups_are_closed_says_nothing_of_the_directory(tmp_path: Path) -> None:
    rights = f'to dn.subtree="{PEOPLE}" by dn.exact="{WEAK}" write by * read'
    async with with_a_weak_operator(tmp_path, rights) as config:
        gate = Gate()
        async with opened("ldap", config, 5, gate) as creator:
            (outcome,) = await creator.create([wanted("ann")])
            assert outcome.kind is CREATED
            (joined,) = await creator.join([Member(outcome.entry_id or "", "ann", ("staff",))])
        assert (joined.reason, joined.counted) == ("credentials refused", False)
        assert gate.tally.fatal is None
