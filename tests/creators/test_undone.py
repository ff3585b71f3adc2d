"""Removing accounts of a roster where the server keeps no tags: by the id alone, whatever this
worker knows of the server by then."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from botrix.creators.creator import Creator, Wanted
from botrix.model import LeasedAccount, OutcomeKind
from botrix.states import Stage
from botrix.worker.removal import remove
from tests.creators.conftest import opened
from tests.creators.test_every_kind import wanted
from tests.servers.scim import SimulatedDirectory


async def _removed(creator: Creator, one: Wanted, entry_id: str | None) -> tuple[str, str | None]:
    account = LeasedAccount(
        "default", "d", "undo", 0, 1, one.person, None, stage=Stage.REMOVE, undoes="job", row=0,
        entry_id=entry_id,
    )  # fmt: skip
    asked = replace(one, password="", entry_id=entry_id)
    (outcome,) = await remove(creator, [account], [asked], lambda: True, False)
    return outcome.kind, outcome.reason


@pytest.mark.parametrize("quirk", ["drop_external_id", "ignore_filter"])
@pytest.mark.parametrize("fresh", [True, False])
async def test_just_what_was_created_goes(
    directory: SimulatedDirectory, token_file: str, quirk: str, fresh: bool
) -> None:
    await directory.misbehave(**{quirk: True})
    config = {"url": directory.url, "token_file": token_file, "bulk": False}
    one, other = wanted("ann", "botrix:job:0"), wanted("bob", "botrix:job:1")
    await directory.ask("POST", "/Users", {"userName": "bob"})
    async with opened("scim", config) as made_by, opened("scim", config) as another:
        (outcome,) = await made_by.create([one])
        assert outcome.kind is OutcomeKind.CREATED
        creator = another if fresh else made_by
        gone = (OutcomeKind.DELETED, "was gone already, its name is another's")
        assert await _removed(creator, other, "an-id-of-old") == gone
        assert await _removed(creator, other, None) == gone
        assert await _removed(creator, one, outcome.entry_id) == (OutcomeKind.DELETED, None)
        assert await _removed(creator, one, outcome.entry_id) == (
            OutcomeKind.DELETED, "was gone already",
        )  # fmt: skip
    assert [entry["userName"] for entry in await directory.entries()] == ["bob"]
