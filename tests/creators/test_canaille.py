"""canaille, a real OpenID provider: its tokens let the operator's client in, and its SCIM API has
ways of its own, which are told with what is done about them."""

from __future__ import annotations

import pytest

from botrix.creators.creator import Whose
from botrix.creators.gate import Answered
from botrix.model import OutcomeKind
from tests.creators.conftest import opened
from tests.creators.test_authorization import asking
from tests.creators.test_every_kind import wanted
from tests.servers.canaille import Canaille

pytestmark = pytest.mark.suite("canaille")


async def test_a_client_is_let_in_and_again_once_its_token_is_revoked(canaille: Canaille) -> None:
    async with asking(canaille.config(), timeout=20) as one:
        for _ in range(2):
            assert (await one.once()).status == 200
        assert len(canaille.rows("SELECT * FROM token")) == 1
        canaille.revoke()
        assert (await one.once()).status == 200
        assert len(canaille.rows("SELECT * FROM token")) == 1
        assert one.gate.tally.answers == {Answered.DONE: 3}


async def test_a_wrong_secret_is_told(canaille: Canaille) -> None:
    async with asking(canaille.config("none that it knows"), timeout=20) as one:
        answer = await one.once()
        assert (answer.status, answer.sent) == (401, False)
        assert one.gate.tally.answers == {Answered.CREDENTIALS: 1}
        assert "cannot authenticate" in one.gate.tally.problem
        assert "none that it knows" not in one.gate.tally.problem


async def test_the_check_tells_what_it_does_otherwise(canaille: Canaille) -> None:
    async with opened("scim", canaille.config(), timeout=30) as creator:
        check = await creator.check()
        assert check.usable
        so = {one.what: one.so for one in check.deviations}
        assert so == {
            "does not know the type of an e-mail, the primary of an e-mail, division, costCenter, "
            "manager": "they are left out",
            "ignores the filter": "accounts in doubt are looked for in a full list",
            "keeps no externalId": "an account in doubt is taken as ours only if its name was "
            "generated",
            "refuses `count` in a list": "lists are asked for without",
        }
        first, second = wanted("ann"), wanted("ann", "botrix:other:1")
        await creator.create([first])
        (outcome,) = await creator.create([second])
        assert (outcome.kind, outcome.detail) == (OutcomeKind.UNKNOWN, "HTTP 500")
        (sighting,) = await creator.find([second])
        assert sighting.whose is Whose.UNPROVEN
        await creator.create([wanted("ANN")])
        await creator.find([first])
        learnt = {one.what for one in (await creator.check()).deviations} - set(so)
    assert learnt == {
        "answers a duplicate by an error of the server",
        "holds names apart that differ in case",
    }


async def test_whose_password_was_set_signs_in_with_that_alone(canaille: Canaille) -> None:
    one = wanted("ann")
    async with opened("scim", canaille.config(), timeout=30) as creator:
        (outcome,) = await creator.create([one])
        entry_id = outcome.entry_id or ""
        assert await canaille.logs_in("ann", one.password)
        assert (await creator.set_password(entry_id, "An0ther-one")).kind is OutcomeKind.CREATED
        assert await canaille.logs_in("ann", "An0ther-one")
        assert not await canaille.logs_in("ann", one.password)
        assert (await creator.disable(entry_id)).kind is OutcomeKind.CREATED
        assert not await canaille.logs_in("ann", "An0ther-one")
