"""Stores as they are run beyond one machine: TLS to both, users with few rights, several APIs.

What happens when Sentinels let another server lead, or a node of a Cluster ends, is among the
faults.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from botrix.creators.local import count_tags
from botrix.errors import LedgerDown, LineDown
from botrix.ledger.migrate import upgrade
from botrix.ledger.postgres import PostgresLedger
from botrix.line import keys
from botrix.line.line import Back, Line, New, Placing, Rejected
from botrix.line.shown import Update
from botrix.line.stream import NOWHERE
from botrix.line.users import acl
from botrix.model import Lane
from tests.servers import postgres, redises
from tests.servers.certificates import Authority, shared_folder
from tests.servers.postgres import PostgresServer
from tests.servers.redises import RedisServer
from tests.servers.system import FAST, System, until

_ONLY_ON_A_CLUSTER = {"cluster|slots", "command", "eval"}
_ONLY_AFTER_QUIET = {"ping"}  # a subscriber asks so whether its line is there
_NO_TLS = "TLS to PostgreSQL was NOT tried: none here; on Debian: apt-get install postgresql"


@pytest.fixture
def authority(folder: Path) -> Authority:
    return Authority(shared_folder(folder))


@dataclass
class _Users:
    """A server on which nobody but the two users of the example may do anything."""

    server: RedisServer
    passwords: dict[str, str]

    def url(self, user: str) -> str:
        return self.server.url.replace("://", f"://{user}:{self.passwords[user]}@", 1)


@pytest_asyncio.fixture
async def users(folder: Path, authority: Authority) -> AsyncIterator[_Users]:
    passwords = {name: secrets.token_urlsafe(16) for name in ("botrix", "viewer", "scaler")}
    file = folder / "users.acl"
    file.write_text(acl(**passwords) + "user tests on nopass ~* &* +@all\n")
    server = RedisServer(folder / "line", authority=authority, aclfile=file)
    await server.start()
    yield _Users(server, {**passwords, "tests": "x"})
    server.kill()


@dataclass
class _Ledger:
    server: PostgresServer
    authority: Authority

    async def url(self, host: str = "127.0.0.1", **options: Any) -> str:
        """Of a fresh database, by TLS with all checks."""
        options = {"sslmode": "verify-full", "sslrootcert": self.authority.file, **options}
        plain = (await self.server.database()).replace("127.0.0.1", host)
        return plain + "?" + "&".join(f"{name}={value}" for name, value in options.items())


@pytest.fixture
def ledger(folder: Path, authority: Authority) -> Any:
    with postgres.by_tls(folder, authority) as server:
        if server is None:
            pytest.skip(_NO_TLS)
        yield _Ledger(server, authority)


@pytest.mark.parametrize("_", [pytest.param("tls", marks=redises.needed("TLS"))])
async def test_the_full_flow_by_tls_to_both_stores_as_a_user_with_few_rights(
    folder: Path, users: _Users, ledger: _Ledger, _: str
) -> None:
    system = System(folder / "data", FAST, await ledger.url(), users.url("botrix"))
    await system.redis.aclose()
    system.redis = Redis.from_url(users.url("tests"), decode_responses=True)
    try:
        await system.start()
        await system.worker()
        job = await system.final(await system.generate(25))
        assert (job["status"], job["created"]) == ("completed", 25)
        await system.redis.rpush(keys.QUEUE, '{"id": "raw-1", "count": 2}', "no entry")
        assert (await system.final("raw-1"))["created"] == 2
        assert [one["worker_id"] for one in (await system.get("/api/workers"))["items"]]

        async def shown() -> bool:
            return bool(await system.redis.get(keys.status(job["id"])) == "completed")

        await until(shown, 10, "the status is shown")
        encrypted = system.rows("SELECT count(*) FROM pg_stat_ssl WHERE ssl")
        assert encrypted[0][0] >= 2
        assert await system.terminate("worker-1") == 0
    finally:
        await system.stop()


@pytest.mark.parametrize("_", [pytest.param("acl", marks=redises.needed("TLS"))])
async def test_the_user_has_the_rights_that_the_line_needs_and_no_other(
    users: _Users, _: str
) -> None:
    line = Line.open(users.url("botrix"))
    async with Redis.from_url(users.url("tests"), decode_responses=True) as redis:
        await redis.config_resetstat()
        await _all_verbs(line)
        stats = await redis.info("commandstats")
        granted = {
            rule[1:] for rule in (await redis.acl_getuser("botrix"))["commands"] if rule[0] == "+"
        }
    await line.close()
    used = {name.removeprefix("cmdstat_") for name in stats}
    assert granted - used == _ONLY_ON_A_CLUSTER | _ONLY_AFTER_QUIET


async def _all_verbs(line: Line) -> None:
    await line.ping()
    assert await line._probe()
    events = line.subscribe()
    told = asyncio.create_task(anext(events))
    await line.push([Placing(f"j{n}", n, lane) for n, lane in enumerate(Lane)][:2])
    await line.enter([New("default", "j2", "entered", list(Lane)[2], 2)])
    assert await line.status("j2") == "pending"
    await line.wait(1)
    first, *others = await line.take("s", "1", 3)
    back = [Back(first.lane, first.raw, head=True)]
    await line.settle_and_take("s", "1", back, [Rejected(one.raw, "x") for one in others], 1)
    await line.give_back(["s"], ["1"])
    assert await line.depths() == {Lane.HIGH: 1, Lane.NORMAL: 0, Lane.LOW: 0}
    assert await line.heads(Lane.HIGH, 1)
    assert len(await line.rejected(5)) == 2

    async def published() -> bool:
        await line.publish([Update("default", "j", "completed", "{}", "told", forced=True)])
        await asyncio.wait([told], timeout=0.1)
        return told.done()

    await until(published, 5, "an event comes")
    await events.aclose()  # type: ignore[attr-defined]
    assert await line.status("j") == "completed"
    assert await line.results("j") == b"{}"
    entered, *last = await line.events_last(9)
    assert (entered.tenant_id, entered.job_id, entered.event) == ("default", "j2", b"entered")
    assert {(one.tenant_id, one.job_id, one.event) for one in last} == {("default", "j", b"told")}
    await line.events_wait(NOWHERE, 5)
    assert await line.events_after(last[0].id, 5) == last[1:]
    await line.heartbeat("w", "{}", 5)
    assert await line.workers() == [b"{}"]
    await line.forget_worker("w")


@pytest.mark.parametrize("_", [pytest.param("viewer", marks=redises.needed("TLS"))])
async def test_the_viewer_sees_everything_and_changes_nothing(users: _Users, _: str) -> None:
    async with Redis.from_url(users.url("viewer")) as viewer:
        assert await viewer.xlen(keys.EVENTS) == len(await viewer.xrange(keys.EVENTS)) == 0
        for key in (keys.QUEUE, keys.LANES[Lane.HIGH], keys.REJECTED):
            assert await viewer.llen(key) == len(await viewer.lrange(key, 0, -1)) == 0
        assert await viewer.keys("botrix:*") == []
        assert await viewer.get(keys.status("j")) is None
        async with viewer.monitor():
            pass
        refused: list[tuple[Any, ...]] = [
            ("RPUSH", keys.QUEUE, "x"), ("LPOP", keys.QUEUE), ("SET", keys.status("j"), "x"),
            ("DEL", keys.QUEUE), ("FLUSHALL",), ("EVAL", "return 1", 0), ("GET", "other"),
            ("PUBLISH", keys.UPDATES, "x"), ("CONFIG", "GET", "*"), ("ACL", "LIST"),
        ]  # fmt: skip
        for command in refused:
            with pytest.raises(NoPermissionError):
                await viewer.execute_command(*command)
    async with Redis.from_url(users.server.url) as nobody:
        with pytest.raises(Exception, match=r"(?i)auth"):
            await nobody.ping()


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(redises.sentinels, id="sentinel", marks=redises.needed("TLS")),
        pytest.param(redises.cluster, id="cluster", marks=redises.needed("TLS")),
    ],
)
async def test_sentinels_and_a_cluster_by_tls(
    folder: Path, authority: Authority, made: Callable[..., Any]
) -> None:
    async with made(folder, authority) as servers:
        line = Line.open(servers.url)
        await _all_verbs(line)
        await line.close()


@pytest.mark.parametrize("_", [pytest.param("cluster", marks=redises.needed("Cluster"))])
async def test_lanes_that_went_to_another_node_are_found(folder: Path, _: str) -> None:
    """By a connection that works still, but not for them; nothing is asked while it is down."""
    async with redises.cluster(folder) as servers:
        line = Line.open(servers.url)
        await line.push([Placing("j", 1, Lane.HIGH)])
        source = await servers.owner(4960)
        target = next(one for one in servers.servers if one is not source)
        await servers.move(4960, source, target)
        with pytest.raises(LineDown, match="on another node"):
            await line.take("s", "1", 1)

        async def up() -> bool:
            return line.up

        await until(up, 10, "the line is up again")
        assert len(await line.take("s", "1", 1)) == 1
        await line.close()


_WRONG_LINES = [
    ("the CA of another", {"ca": "other"}, "not trusted .*; let ssl_ca_certs in REDIS_URL name"),
    # As TLS 1.3 has it, the server may have hung up before its reason is read.
    ("no certificate", {"client": False}, "asks for a certificate of the client|reset by peer"),
    ("another name", {"host": "localhost"}, "has a certificate for another name"),
    ("no TLS in the url", {"scheme": "redis"}, "does not answer .*rediss:// with TLS"),
    ("no TLS at the port", {"plain": True}, "does not answer .*redis:// without"),
]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [pytest.param(w, s, id=name, marks=redises.needed("TLS")) for name, w, s in _WRONG_LINES],
)
async def test_why_a_line_cannot_be_reached_by_tls(
    folder: Path, authority: Authority, wrong: dict[str, Any], said: str
) -> None:
    other = Authority(folder / "certificates", "other")
    server = RedisServer(folder / "line", authority=None if wrong.get("plain") else authority)
    await server.start()
    options = authority.options() if wrong.get("client", True) else ""
    ca = other.file if wrong.get("ca") else authority.file
    scheme, host = wrong.get("scheme", "rediss"), wrong.get("host", "127.0.0.1")
    url = f"{scheme}://:s3cret@{host}:{server.port}/0"
    if "scheme" not in wrong:
        url += f"?ssl_ca_certs={ca}&" + options.partition("&")[2]
    line = Line.open(url)
    try:
        with pytest.raises(LineDown, match=said) as caught:
            await line.ping()
        assert "\n" not in str(caught.value)
        assert "s3cret" not in str(caught.value)
    finally:
        await line.close()
        server.kill()


@pytest.mark.parametrize("_", [pytest.param("tls", marks=redises.needed("TLS"))])
async def test_why_a_ledger_cannot_be_reached_by_tls(
    folder: Path, authority: Authority, ledger: _Ledger, _: str
) -> None:
    other = Authority(folder / "certificates", "other")
    cases = {
        "let sslrootcert in its url name": await ledger.url(sslrootcert=other.file),
        "use a name in its url that is in": await ledger.url(host="localhost"),
        "correct the files": await ledger.url(sslrootcert="/none.pem"),
        "correct its url": await ledger.url(sslmode="verify"),
    }
    for said, url in cases.items():
        await _refused(url, said)
    plain = await ledger.url()
    ledger.server.stop()
    ledger.server.settings = {}
    ledger.server.start()
    await _refused(plain, "let the server speak TLS")


async def _refused(url: str, said: str) -> None:
    """By the hot verbs, and by migrations and cold queries."""
    opened = PostgresLedger(url)
    try:
        with pytest.raises(LedgerDown, match=said) as hot:
            await opened.ping()
    finally:
        await opened.close()
    with pytest.raises(LedgerDown, match=said) as cold:
        await asyncio.to_thread(upgrade, url)
    assert "\n" not in f"{hot.value}{cold.value}"


async def test_several_apis_share_ledger_and_line(
    folder: Path, postgres_server: PostgresServer
) -> None:
    """One of two is killed while jobs come in; nothing that was accepted is lost, and a key that
    was said to both is one job."""
    url = await postgres_server.database()
    first = System(folder / "first", FAST, url)
    second = System(folder / "second", FAST, url, f"unix://{first.settings.line_socket}")
    accepted: set[str] = set()
    try:
        await first.start()
        _same_key(first, second)
        await second.start()
        await first.worker()
        twice = [
            one.post("/api/accounts/generate", {"count": 1}, 202, **{"Idempotency-Key": f"k{n}"})
            for n in range(20)
            for one in (first, second)
        ]
        answers = [answer["id"] for answer in await asyncio.gather(*twice)]
        accepted |= set(answers)
        assert answers[::2] == answers[1::2]
        assert len(accepted) == 20
        asked = [asyncio.create_task(_ask(second, n)) for n in range(100)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        second.supervisor.processes["api"].send_signal(signal.SIGKILL)
        sure = {job for job in await asyncio.gather(*asked) if job}
        assert sure
        for job in accepted | sure:
            assert (await first.final(job))["created"] == 1
        jobs, accounts = first.rows("SELECT count(*), sum(count) FROM jobs")[0]
        assert len(accepted | sure) <= jobs == accounts

        async def all_final() -> bool:
            return first.rows("SELECT count(*) FROM jobs WHERE status <> 'completed'") == [(0,)]

        await until(all_final, 30, "what had no answer is done too, if it was accepted")
        tags = count_tags(first.settings.local_directory_file)
        assert (len(tags), set(tags.values())) == (jobs, {1})
    finally:
        await second.stop()
        await first.stop()


def _same_key(first: System, second: System) -> None:
    """Who shares a ledger shares the key by which passwords are sealed."""
    key = second.settings.sealing_key_file
    key.parent.mkdir(exist_ok=True)
    key.touch(mode=0o600)
    key.write_bytes(first.settings.sealing_key_file.read_bytes())


async def _ask(system: System, n: int) -> str | None:
    try:
        answer = await system.post("/api/accounts/generate", {"count": 1}, 202)
    except (aiohttp.ClientError, OSError):
        return None
    return str(answer["id"])
