"""Names that would break out of a filter, a path or a body: what is meant is exactly the name."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from botrix.creators.creator import Creator, Wanted, Whose
from botrix.errors import InvalidInput
from botrix.identity import Planner, check_template
from botrix.line.entries import decode
from botrix.model import OutcomeKind, Person
from tests.creators.conftest import opened
from tests.creators.test_every_kind import wanted
from tests.servers.raw import raw_server, saying
from tests.servers.scim import SimulatedDirectory

HOSTILE = [
    '"', '""', "\\", '\\"', '\\\\"', 'a"b', "a\\b", 'x" or userName pr', 'x" or "1" eq "1',
    'x") or (userName sw "', ") or (", "(", "*", "%", "_", "a*", "'", "' or ''='", "`id`", "$(id)",
    "\0", "a\0b", "a\nb", "a\r\nX-Evil: 1", "\r\n\r\nGET / HTTP/1.1", "\t", " ", "  ", " ann",
    "ann ", "%22", "%2522", "%00", "%0d%0a", "a+b", "a b", "a&count=1", "a&filter=", "?", "#", "/",
    "../x", "..", ".", "//evil.example/", "http://evil.example/", "“ann”", "＂", "ａｎｎ",
    "ann\u200b", "ann\u202e", "\ud83d", "ß", "İ", "{random}", "${jndi:ldap://x}", "null", "true",
    "0", "é", "é", "x" * 3000, "userName", "ann\x7f", "[]", "{}", "\u2028",
]  # fmt: skip
OTHERS = ["innocent", "ann", 'x" or userName', '"', "a", "pr", "sw"]
"""Entries of somebody else that a broken filter would find."""


async def _fill(directory: SimulatedDirectory) -> None:
    for name in OTHERS:
        await directory.ask("POST", "/Users", {"userName": name, "externalId": "hr"})


@pytest.mark.parametrize("quirk", ["", "ignore_filter", "no_filter", "drop_external_id"])
async def test_find_adopts_nobody_else(
    directory: SimulatedDirectory, token_file: str, quirk: str
) -> None:
    await directory.misbehave(**({quirk: True} if quirk else {}))
    await _fill(directory)
    before = await directory.entries()
    theirs = {name.casefold() for name in OTHERS}
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        for name in HOSTILE:
            (seen,) = await creator.find([wanted(name)])
            expected = {Whose.FOREIGN} if name.casefold() in theirs else {Whose.NOBODY}
            assert {seen.whose} == expected, name
    assert await directory.entries() == before


async def test_what_is_looked_up_is_exactly_the_name(
    directory: SimulatedDirectory, token_file: str
) -> None:
    await directory.misbehave()
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        await creator.find([wanted("first")])  # with it goes the probe of the filter
        for name in HOSTILE:
            await creator.find([wanted(name)])
            last = directory.calls()[-1]
            assert (last["verb"], last["status"]) == ("find", 200), name
            assert last["userName"] == name.casefold()


async def test_what_is_created_is_exactly_what_was_wanted(
    directory: SimulatedDirectory, token_file: str
) -> None:
    await directory.misbehave()
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        for n, name in enumerate(HOSTILE):
            person = Person(f"user-{n}", f"{name}@x.example", name, name, name)
            (outcome,) = await creator.create([Wanted(f"botrix:job:{n}", person, "Pass-w0rd!")])
            assert outcome.kind is OutcomeKind.CREATED, name
        made = {entry["userName"]: entry for entry in await directory.entries()}
    assert len(made) == len(HOSTILE)
    for n, name in enumerate(HOSTILE):
        entry = made[f"user-{n}"]
        assert entry["name"] == {"givenName": name, "familyName": name}
        assert entry["displayName"] == name
        assert [mail["value"] for mail in entry["emails"]] == [f"{name}@x.example"]
        assert entry["externalId"] == f"botrix:job:{n}"


async def test_a_created_name_is_found_as_ours_and_no_others_are(
    directory: SimulatedDirectory, token_file: str
) -> None:
    await directory.misbehave()
    async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
        names = {name.casefold(): name for name in HOSTILE}
        for n, name in enumerate(names.values()):
            await creator.create([wanted(name, f"botrix:job:{n}")])
        for n, name in enumerate(names.values()):
            ours, other = wanted(name, f"botrix:job:{n}"), wanted(name, "botrix:other:0")
            seen = await creator.find([ours, other, replace(other, unguessable=True)])
            assert [one.whose for one in seen] == [Whose.OURS, Whose.OTHER_JOB, Whose.OTHER_JOB], (
                name
            )


async def test_a_row_of_another_name_is_not_ours_whatever_its_tag(token_file: str) -> None:
    """Of a server whose filter finds more than it was asked for, though not everybody; the list,
    which is then asked for, has it, too."""
    row = {"id": "1", "userName": "innocent", "externalId": "botrix:job:0"}
    lists: list[list[Any]] = [[]]

    async def answer() -> AsyncIterator[bytes]:
        rows = lists.pop(0) if lists else [row]
        body = json.dumps({"totalResults": len(rows), "Resources": rows}).encode()
        yield b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        yield body

    async with (
        raw_server(answer) as server,
        opened("scim", {"url": server.url, "token_file": token_file}) as creator,
    ):
        (seen,) = await creator.find([wanted("inn*", "botrix:job:0")])
    assert seen.whose is Whose.NOBODY


@pytest.mark.parametrize("entry_id", ["", ".", ".."])
async def test_an_id_that_is_none_reaches_no_other_path(token_file: str, entry_id: str) -> None:
    """`DELETE /Users/..` would be said of the whole base."""
    async with (
        raw_server(saying(b"HTTP/1.1 204 No Content\r\n\r\n")) as server,
        opened("scim", {"url": f"{server.url}/scim", "token_file": token_file}) as creator,
    ):
        for outcome in await _changes(creator, entry_id):
            assert (outcome.kind, outcome.reason) == (OutcomeKind.UNKNOWN, "no usable id")
        assert server.asked == []


@pytest.mark.parametrize(
    "entry_id", ["../x", "a/b", "a?b", "a#b", "%2e%2e", "..%2f", "http://evil/"]
)
async def test_an_id_stays_one_part_of_the_path(token_file: str, entry_id: str) -> None:
    gone = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    async with (
        raw_server(saying(gone)) as server,
        opened("scim", {"url": f"{server.url}/scim", "token_file": token_file}) as creator,
    ):
        await _changes(creator, entry_id)
        changes = [line for line in server.asked if not line.startswith("GET /scim/S")]
        assert len(changes) == 3
        for line in changes:
            _, path, _ = line.split(" ")
            assert path.startswith("/scim/Users/")
            assert path.count("/") == 3
            assert "?" not in path


async def _changes(creator: Creator, entry_id: str) -> list[Any]:
    return [
        await creator.delete(entry_id),
        await creator.disable(entry_id),
        await creator.set_password(entry_id, "An0ther-password"),
    ]


_URLS = ["http://evil.example/", "//evil.example", "https:evil", "@evil.example/x", "a/b", "a?b=c"]


@pytest.mark.parametrize("url", _URLS)
def test_neither_roster_nor_template_nor_entry_smuggles_in_a_url(url: str) -> None:
    """A user name holds nothing that a url is made of; a directory is named, never addressed."""
    known = Person(url, "", "", "", "")
    with pytest.raises(InvalidInput):
        Planner("x.example").person_from_row(known)
    with pytest.raises(InvalidInput):
        check_template(url + "{n}", 2)
    for key in ("directory", "template"):
        pushed = {"id": "a", "count": 2, key: url + "{n}"}
        assert isinstance(decode(json.dumps(pushed).encode()), str)
    assert isinstance(decode(b'{"id": "a", "count": 1, "url": "https://evil.example"}'), str)
