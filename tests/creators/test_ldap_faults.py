"""An LDAP server that misbehaves: what each misdeed means, and what the gate hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from botrix.creators import open_creator
from botrix.creators.creator import Whose
from botrix.creators.gate import Answered, Gate
from botrix.creators.ldap.ber import octets, sequence, wrapped
from botrix.model import Outcome, OutcomeKind
from tests.creators.test_every_kind import wanted
from tests.servers.ldap_scripted import ADD, BIND, EXTENDED, SEARCH, Scripted, result, scripted
from tests.servers.system import until

CREATED, RETRY, REJECTED, CONFLICT, UNKNOWN = (
    OutcomeKind.CREATED, OutcomeKind.RETRY, OutcomeKind.REJECTED, OutcomeKind.CONFLICT,
    OutcomeKind.UNKNOWN,
)  # fmt: skip
NOTICE = sequence(
    b"\x02\x01\x00",
    wrapped(0x78, b"\x0a\x01\x34" + octets("") + octets("going down")),
)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Scripted]:
    async with scripted() as made:
        yield made


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    path = tmp_path / "operator"
    path.write_text("operators-password")
    return str(path)


async def once(
    server: Scripted, password_file: str, gate: Gate | None = None, **more: Any
) -> Outcome:
    creator = await open_creator(
        "ldap", server.settings(password_file, **more), timeout=0.5, gate=gate
    )
    try:
        (outcome,) = await creator.create([wanted("ann")])
        return outcome
    finally:
        await creator.close()


@pytest.mark.parametrize(
    ("code", "kind", "counted", "answered"),
    [
        (1, UNKNOWN, True, Answered.FAILED),
        (3, RETRY, False, Answered.BUSY),
        (8, RETRY, False, Answered.CREDENTIALS),
        (10, RETRY, False, Answered.MAINTENANCE),
        (11, RETRY, False, Answered.BUSY),
        (13, RETRY, False, Answered.CREDENTIALS),
        (17, REJECTED, True, Answered.DONE),
        (19, REJECTED, True, Answered.DONE),
        (21, REJECTED, True, Answered.DONE),
        (32, REJECTED, True, Answered.DONE),
        (34, REJECTED, True, Answered.DONE),
        (50, RETRY, False, Answered.CREDENTIALS),
        (51, RETRY, False, Answered.BUSY),
        (52, RETRY, False, Answered.UNAVAILABLE),
        (53, RETRY, False, Answered.MAINTENANCE),
        (64, REJECTED, True, Answered.DONE),
        (65, REJECTED, True, Answered.DONE),
        (68, CONFLICT, True, Answered.DONE),
        (80, UNKNOWN, True, Answered.FAILED),
        (4711, UNKNOWN, True, Answered.DONE),
    ],
)
async def test_what_a_result_means(
    server: Scripted, password_file: str, code: int, kind: Any, counted: bool, answered: Answered
) -> None:
    server.says[ADD] = code, "because"
    gate = Gate()
    outcome = await once(server, password_file, gate)
    assert (outcome.kind, outcome.counted) == (kind, counted)
    assert "because" in (outcome.detail or "")
    seen = dict(gate.tally.answers)
    seen[Answered.DONE] = seen.get(Answered.DONE, 0) - 1  # what the server says of itself
    assert seen.pop(answered) == 1
    assert set(seen.values()) <= {0}


async def test_unwilling_for_the_password_is_a_refusal(
    server: Scripted, password_file: str
) -> None:
    server.says[ADD] = 53, "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM)"
    assert (await once(server, password_file)).kind is REJECTED


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x30\x80\x00\x00",
        b"\x30\x84\x7f\xff\xff\xff" + b"x" * 100,
        b"\x30\x89" + b"\xff" * 20,
        b"\x30\x00",
        result(1 << 30, ADD),
        result(1, ADD),
        result(3, ADD, -1),
        sequence(b"\x02\x01\x03", wrapped(0x69, b"")),
        sequence(b"\x02\x01\x03", wrapped(0x64, octets("dn"))),
        sequence(b"\x02\x01\x03", wrapped(0x42, b"")),
        sequence(b"\x04\x01\x03", wrapped(0x69, b"")),
        b"\x30\x05\x02\x01\x03\x69\x7f",
        NOTICE,
        None,
    ],
)
async def test_what_makes_no_sense_leaves_it_unknown(
    server: Scripted, password_file: str, said: bytes | None
) -> None:
    server.says[ADD] = said
    gate = Gate()
    outcome = await once(server, password_file, gate)
    assert (outcome.kind, outcome.reason) == (UNKNOWN, "no clear answer")
    assert gate.tally.of(Answered.FAILED) == 1
    if said is NOTICE:
        assert "going down" in (outcome.detail or "")


async def test_a_second_answer_to_one_request_is_none_to_another(
    server: Scripted, password_file: str
) -> None:
    server.says[ADD] = result(3, ADD, 68) + result(3, ADD, 0)
    creator = await open_creator("ldap", server.settings(password_file), timeout=0.5)
    outcomes = await creator.create([wanted("ann"), wanted("bob")])
    await creator.close()
    assert [outcome.kind for outcome in outcomes] == [CONFLICT, UNKNOWN]


async def test_an_answer_without_end_is_given_up(server: Scripted, password_file: str) -> None:
    server.says[ADD] = sequence(b"\x02\x01\x03", wrapped(0x64, octets("x" * (2 << 20))))
    outcome = await once(server, password_file)
    assert (outcome.kind, "larger than 1 MiB" in (outcome.detail or "")) == (UNKNOWN, True)


async def test_after_a_lost_answer_another_connection_is_used(
    server: Scripted, password_file: str
) -> None:
    """What comes late on the old one must not answer a later request."""
    creator = await open_creator("ldap", server.settings(password_file), timeout=0.3)
    server.says[ADD] = None
    (first,) = await creator.create([wanted("ann")])
    server.says[ADD] = 68, ""
    (second,) = await creator.create([wanted("bob")])
    await creator.close()
    assert (first.kind, second.kind, server.connections) == (UNKNOWN, CONFLICT, 2)


async def test_one_given_up_leaves_no_connection_behind(
    server: Scripted, password_file: str
) -> None:
    creator = await open_creator("ldap", server.settings(password_file), timeout=30)
    server.says[ADD] = None
    given_up = asyncio.create_task(creator.create([wanted("ann")]))

    async def asked() -> bool:
        return ADD in server.asked

    await until(asked, 10, "it was asked for")
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up

    async def ended() -> bool:
        return server.ended == 1

    await until(ended, 10, "its connection is closed")
    server.says[ADD] = 68, ""
    (outcome,) = await creator.create([wanted("bob")])
    await creator.close()
    assert (outcome.kind, server.connections) == (CONFLICT, 2)


@pytest.mark.parametrize(
    ("code", "reason", "answered"),
    [
        (49, "credentials refused", Answered.CREDENTIALS),
        (13, "credentials refused", Answered.CREDENTIALS),
        (51, "directory away", Answered.BUSY),
        (52, "directory away", Answered.UNAVAILABLE),
    ],
)
async def test_a_sign_in_that_is_refused(
    server: Scripted, password_file: str, code: int, reason: str, answered: Answered
) -> None:
    server.says[BIND] = code, "not with operators-password"
    gate = Gate()
    outcome = await once(server, password_file, gate)
    assert (outcome.kind, outcome.reason, outcome.counted) == (RETRY, reason, False)
    assert gate.tally.answers == {answered: 1}
    assert "operators-password" not in f"{outcome} {gate.tally.problem}"
    assert ADD not in server.asked


async def test_a_server_that_is_away_costs_no_try(server: Scripted, password_file: str) -> None:
    gate, config = Gate(), server.settings(password_file, url="ldap://127.0.0.1:9")
    creator = await open_creator("ldap", config, gate=gate)
    (outcome,), (sighting,) = await creator.create([wanted("a")]), await creator.find([wanted("a")])
    await creator.close()
    assert (outcome.kind, outcome.reason, outcome.counted) == (RETRY, "directory away", False)
    assert (sighting.whose, sighting.counted) == (Whose.UNSURE, False)
    assert gate.tally.answers == {Answered.AWAY: 2}


async def test_a_gate_that_is_shut_is_not_passed(server: Scripted, password_file: str) -> None:
    gate = Gate()
    gate.shut("paused")
    outcome = await once(server, password_file, gate)
    assert (outcome.kind, outcome.counted, server.connections) == (RETRY, False, 0)


async def test_a_repeated_password_is_taken_out(server: Scripted, password_file: str) -> None:
    server.says[ADD] = 19, "Pass-w0rd! is\x1b[2J weak\nvery"
    outcome = await once(server, password_file)
    assert outcome.detail == "LDAP 19 constraint violation: *** is [2J weak very"


async def test_start_tls_that_is_refused(server: Scripted, password_file: str) -> None:
    server.says[EXTENDED] = 2, "unsupported"
    gate = Gate()
    outcome = await once(server, password_file, gate, start_tls=True)
    assert (outcome.kind, gate.tally.answers) == (RETRY, {Answered.TLS: 1})
    assert BIND not in server.asked


async def test_what_is_said_in_the_clear_behind_start_tls_is_refused(
    server: Scripted, password_file: str
) -> None:
    server.says[EXTENDED] = result(1, EXTENDED) + result(2, BIND)
    gate = Gate()
    outcome = await once(server, password_file, gate, start_tls=True)
    assert (outcome.kind, gate.tally.answers) == (RETRY, {Answered.TLS: 1})
    assert BIND not in server.asked


async def test_a_find_without_an_answer_is_unsure(server: Scripted, password_file: str) -> None:
    creator = await open_creator("ldap", server.settings(password_file), timeout=0.3)
    assert (await creator.find([wanted("ann")]))[0].whose is Whose.NOBODY
    for said, counted in ((None, True), ((80, ""), True), ((51, ""), False), ((50, ""), False)):
        server.says[SEARCH] = said
        (sighting,) = await creator.find([wanted("ann")])
        assert (sighting.whose, sighting.counted) == (Whose.UNSURE, counted), said
    await creator.close()
