"""Lists of what is ours that are longer than a page."""

from __future__ import annotations

import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from botrix.creators.creator import Creator, Entries, Entry
from botrix.creators.ldap import owned
from botrix.creators.ldap.creator import LdapCreator
from botrix.creators.plugins import HeldCreator
from botrix.testing import all_ours, wanted
from tests.creators.conftest import ldap_directory, opened
from tests.creators.test_plugins import Wrong
from tests.servers.ldap import ADMIN, PASSWORD, PEOPLE, SUFFIX, missing, slapd
from tests.servers.scim import TOKEN, RealScim

_SLAPD = [
    pytest.mark.suite("slapd"),
    pytest.mark.skipif(missing() is not None, reason=f"slapd was NOT tried: {missing()}"),
]
_LIMIT = f"""\
olcLimits: dn.exact="cn=limited,{PEOPLE}" size.soft=5 size.hard=5
olcAccess: to * by * manage
"""


async def made(creator: Creator, count: int) -> set[str]:
    everybody = [wanted(f"user-{n}", f"botrix:job:{n}") for n in range(count)]
    for n in range(0, count, creator.batch):
        await creator.create(everybody[n : n + creator.batch])
    return {one.tag for one in everybody}


def tags(entries: list[Entry]) -> list[str]:
    return sorted(str(one.tag) for one in entries)


async def test_many_in_the_local_directory(tmp_path: Path) -> None:
    path = tmp_path / "entries.sqlite"
    async with opened("local", {"path": str(path)}) as creator:
        await creator.create([wanted("ann", "by hand")])
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(
                "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1099)"
                " INSERT INTO entries SELECT hex(randomblob(12)), 'u' || i, 'u' || i,"
                " 'botrix:job:' || i, '', '', '', '', '', 1, 0, 0 FROM n"
            )
        first = await creator.ours(None)
        assert len(first.entries) == 500
        assert tags(await all_ours(creator)) == sorted(f"botrix:job:{n}" for n in range(1100))


@pytest.mark.parametrize(
    "server",
    [
        pytest.param("slapd", marks=_SLAPD),
        pytest.param("samba", marks=pytest.mark.suite("samba")),
        pytest.param("389ds", marks=pytest.mark.suite("389ds")),
    ],
)
async def test_pages_of_ldap(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owned, "_PAGE", 3)
    async with AsyncExitStack() as stack:
        config = await ldap_directory(server, tmp_path, stack)
        creator = await stack.enter_async_context(opened("ldap", config))
        expected = await made(creator, 10)
        first = await creator.ours(None)
        assert (len(first.entries), first.problem) == (3, "")
        await creator.find([wanted("user-1")])  # over another connection
        assert tags(await all_ours(creator)) == sorted(expected)


@pytest.mark.suite("slapd")
@pytest.mark.skipif(missing() is not None, reason=f"slapd was NOT tried: {missing()}")
async def test_a_list_of_ldap_that_is_cut_off_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owned, "_PAGE", 3)
    folder = tmp_path / "slapd"
    folder.mkdir()
    async with slapd(folder, rights=_LIMIT) as server:
        async with opened("ldap", server.settings()) as creator:
            await made(creator, 10)
            await server.add(
                f"cn=limited,{PEOPLE}", objectClass="simpleSecurityObject organizationalRole",
                cn="limited", userPassword=PASSWORD,
            )  # fmt: skip
        limited = server.settings(bind_dn=f"cn=limited,{PEOPLE}")
        async with opened("ldap", limited) as creator:
            first = await creator.ours(None)
            assert (len(first.entries), first.problem) == (3, "")
            last = await creator.ours(first.next)
            assert "only so many entries" in last.problem
            assert last.next is None
        async with opened("ldap", server.settings()) as creator:
            first = await creator.ours(None)
            assert isinstance(creator, LdapCreator)
            creator._owned._over.connection.close()  # type: ignore[union-attr]
            assert "begin anew" in (await creator.ours(first.next)).problem
            assert len(await all_ours(creator)) == 10
    assert ADMIN.endswith(SUFFIX)


@pytest.mark.suite("scim2-server")
async def test_a_server_of_scim_is_asked_for_those_alone(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    server = RealScim()
    try:
        await server.begin()
        config = {"url": server.url, "token_file": str(token)}
        async with opened("scim", config) as creator:
            expected = await made(creator, 10)
            await creator.create([wanted(f"other-{n}", "by hand") for n in range(600)])
            first = await creator.ours(None)
            assert (len(first.entries), first.next) == (10, None)
            assert set(tags(list(first.entries))) == expected
    finally:
        await server.stop()


@pytest.mark.parametrize(
    "says",
    [
        None,
        [],
        KeyError("x"),
        Entries([Entry("1", "ann", "by hand")]),
        Entries([Entry("1", "ann")]),
        Entries(["ann"]),  # type: ignore[list-item]
        Entries(next=""),
        Entries(next=7),  # type: ignore[arg-type]
    ],
)
async def test_a_list_of_another_package_that_is_none_is_a_problem(says: Any) -> None:
    class Listing(Wrong):
        async def ours(self, _: str | None) -> Any:
            return self._said()

    page = await HeldCreator(Listing(says=says), "the kind wrong").ours(None)
    assert (page.entries, page.next) == ((), None)
    assert "the kind wrong" in page.problem


async def test_a_kind_of_an_earlier_release_has_no_list() -> None:
    page = await HeldCreator(Wrong(says=None), "the kind wrong").ours(None)
    assert "cannot list" in page.problem
    assert page.next is None
