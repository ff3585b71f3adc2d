"""How the operator signs in to a directory behind HTTP, and what comes of it where that fails."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import pytest_asyncio
from aiohttp import web

from botrix.addresses import Reach, check_url
from botrix.creators.creator import Secret
from botrix.creators.gate import Answered, Gate
from botrix.creators.web import tokens
from botrix.creators.web.answer import Answer
from botrix.creators.web.authorization import Fixed
from botrix.creators.web.http import Http
from botrix.creators.web.settings import WebSettings, read_web
from botrix.creators.web.tokens import Grant, Tokens
from botrix.errors import DirectoryError
from botrix.model import OutcomeKind
from tests.creators.conftest import opened
from tests.creators.test_scim_faults import once
from tests.creators.test_scim_guard import Names
from tests.servers.certificates import Authority
from tests.servers.system import free_port, until
from tests.servers.tokens import TokenServer

SECRET = "Tr0ub & 4dor"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[TokenServer]:
    made = TokenServer()
    await made.begin()
    yield made
    await made.stop()


def client(server: TokenServer, **more: Any) -> dict[str, Any]:
    return {
        "url": server.url, "token_url": server.token_url, "client_id": "botrix",
        "client_secret": Secret(SECRET), **more,
    }  # fmt: skip


class Asking:
    """An Http with its gate, closed with the test."""

    def __init__(self, settings: WebSettings, timeout: float = 2.0) -> None:
        self.gate = Gate()
        self.http = Http(settings, timeout, self.gate)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def once(self) -> Answer:
        return await self.http.ask("GET", "/Users")


def asking(config: dict[str, Any], timeout: float = 2.0) -> Asking:
    return Asking(read_web("scim", config, "https://HOST"), timeout)


async def test_a_client_fetches_a_token_once_for_all(server: TokenServer) -> None:
    server.held = asyncio.Event()
    async with asking(client(server, scope="scim")) as one:
        calls = [asyncio.create_task(one.once()) for _ in range(12)]
        await until(lambda: _is(bool(server.asked)), 5, "a token is asked for")
        server.held.set()
        assert {(await call).status for call in calls} == {200}
        assert (await one.once()).status == 200
    ((headers, form),) = server.asked
    assert form == {"grant_type": "client_credentials", "scope": "scim"}
    said = b64encode(b"botrix:Tr0ub+%26+4dor").decode()  # encoded as RFC 6749, 2.3.1 has it
    assert headers["Authorization"] == f"Basic {said}"
    assert server.calls == ["Bearer token-1"] * 13


async def test_credentials_of_a_client_in_the_body(server: TokenServer) -> None:
    async with asking(client(server, client_auth="body")) as one:
        assert (await one.once()).status == 200
    ((headers, form),) = server.asked
    assert form == {
        "grant_type": "client_credentials", "client_id": "botrix", "client_secret": SECRET
    }  # fmt: skip
    assert "Authorization" not in headers


async def test_the_grant_of_a_user_password(server: TokenServer) -> None:
    target = check_url(server.token_url, Reach())
    grant = Grant(server.token_url, target, "cli", username="root", password=SECRET)
    base = check_url(server.url, Reach())
    async with Asking(WebSettings(server.url, base, Tokens(grant))) as one:
        assert (await one.once()).status == 200
    assert SECRET not in repr(grant)
    assert [form for _, form in server.asked] == [
        {"grant_type": "password", "username": "root", "password": SECRET, "client_id": "cli"}
    ]


async def test_a_token_is_fetched_anew_before_it_runs_out(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(tokens, "time", SimpleNamespace(monotonic=lambda: now[0]))
    server.lasts = 300
    async with asking(client(server)) as one:
        for now[0], asked in ((1000.0, 1), (1269.0, 1), (1271.0, 2), (1540.0, 2), (1542.0, 3)):
            assert (await one.once()).status == 200
            assert len(server.asked) == asked, now
        server.lasts = None
        now[0] = 2000.0
        await one.once()
        now[0] = 1e9
        await one.once()
    assert len(server.asked) == 4


async def test_a_token_that_is_refused_is_fetched_anew_once(server: TokenServer) -> None:
    async with asking(client(server)) as one:
        await one.once()
        server.valid.clear()
        answers = await asyncio.gather(*(one.once() for _ in range(8)))
        assert {answer.status for answer in answers} == {200}
        assert len(server.asked) == 2
        assert one.gate.tally.answers == {Answered.DONE: 9}


async def test_a_directory_that_refuses_new_tokens_too(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "valid", _Empty())
    async with asking(client(server)) as one:
        answer = await one.once()
        assert (answer.status, len(server.calls), len(server.asked)) == (401, 2, 2)
        assert one.gate.tally.answers == {Answered.CREDENTIALS: 1}
        assert "token-2" not in f"{answer.shown()} {one.gate.tally.problem}"
        assert "***" in answer.shown()
    async with opened("scim", client(server)) as creator:
        found = await once(creator, find_first=True)
        assert (found.kind, found.counted) == (OutcomeKind.UNKNOWN, False)


REPEATED = f"no client botrix with {SECRET}, sent as Tr0ub+%26+4dor"
FAILING: list[tuple[Any, Answered, str]] = [
    ((400, {"error": "invalid_client", "error_description": REPEATED}, {}),
     Answered.CREDENTIALS, "credentials refused"),
    ((401, {"error": REPEATED}, {}), Answered.CREDENTIALS, "credentials refused"),
    ((403, {"message": REPEATED}, {}), Answered.CREDENTIALS, "credentials refused"),
    ((429, {}, {"Retry-After": "1"}), Answered.BUSY, "directory away"),
    ((503, {}, {}), Answered.UNAVAILABLE, "directory away"),
    ((503, {}, {"Retry-After": "900"}), Answered.MAINTENANCE, "directory away"),
    ((500, {"detail": REPEATED}, {}), Answered.FAILED, "directory away"),
    ((404, {}, {}), Answered.FAILED, "directory away"),
    ((302, {}, {"Location": "http://169.254.169.254/"}), Answered.FAILED, "directory away"),
    ((200, {"token": "t"}, {}), Answered.FAILED, "directory away"),
    ((200, {"access_token": "t", "token_type": "mac"}, {}), Answered.FAILED, "directory away"),
    ((200, {"access_token": "t\r\nX: y", "token_type": "Bearer"}, {}), Answered.FAILED,
     "directory away"),
    ((200, [], {}), Answered.FAILED, "directory away"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "how", "reason"), FAILING)
async def test_a_token_endpoint_that_fails(
    server: TokenServer, reply: Any, how: Answered, reason: str
) -> None:
    """As the directory itself would: nothing was done, and no try is used up."""
    status, said, headers = reply
    server.reply = lambda: web.json_response(said, status=status, headers=headers)
    async with asking(client(server)) as one:
        answer = await one.once()
        assert (answer.sent, server.calls) == (False, [])
        assert one.gate.tally.answers == {how: 1}
        assert "token endpoint of 127.0.0.1" in one.gate.tally.problem
        assert "4dor" not in f"{one.gate.tally} {answer.shown()} {answer!r}"
        assert answer.after == (float(headers["Retry-After"]) if "Retry-After" in headers else None)
    async with opened("scim", client(server)) as creator:
        outcome = await once(creator)
        assert (outcome.kind, outcome.reason, outcome.counted) == (OutcomeKind.RETRY, reason, False)
        assert "4dor" not in repr(outcome)
    async with opened("scim", client(server)) as creator:
        found = await once(creator, find_first=True)
        assert (found.kind, found.counted) == (OutcomeKind.UNKNOWN, False)


async def test_a_token_endpoint_that_is_away_or_hangs(server: TokenServer) -> None:
    away = client(server, token_url=f"http://127.0.0.1:{free_port()}/token")
    async with asking(away) as one:
        answer = await one.once()
        assert (answer.sent, one.gate.tally.answers) == (False, {Answered.AWAY: 1})
    server.held = asyncio.Event()
    async with asking(client(server), timeout=0.2) as one:
        answer = await one.once()
        assert (answer.sent, one.gate.tally.answers) == (False, {Answered.FAILED: 1})
        assert "no answer in time" in answer.problem
    server.held.set()


async def test_who_gives_up_takes_the_token_from_nobody(server: TokenServer) -> None:
    server.held = asyncio.Event()
    async with asking(client(server)) as one:
        first, second = (asyncio.create_task(one.once()) for _ in range(2))
        await until(lambda: _is(bool(server.asked)), 5, "a token is asked for")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        server.held.set()
        assert (await second).status == 200
        assert len(server.asked) == 1
        server.held.clear()
        server.valid.clear()
        third = asyncio.create_task(one.once())
        await until(lambda: _is(len(server.asked) == 2), 5, "a token is asked for")
        third.cancel()
    server.held.set()


async def test_a_token_endpoint_leads_nowhere_else() -> None:
    """The name is public at first and a metadata service later, as in test_scim_guard.py."""
    target = check_url("http://idp.example/token", Reach(allow_http=True))
    grant = Grant("http://idp.example/token", target, "botrix", SECRET)
    authorization = Tokens(grant, look_up=Names(["169.254.169.254"]))
    said = await authorization.header(2.0)
    await authorization.close()
    assert isinstance(said, Answer)
    assert "169.254.169.254" in said.problem


@pytest.mark.parametrize("password", ["Tr0ub4dor", "pass: wört €"])
async def test_a_user_name_and_a_password(server: TokenServer, password: str) -> None:
    said = f"Basic {b64encode(f'root:{password}'.encode()).decode()}"
    config = {"url": server.url, "username": "root", "password": Secret(password)}
    async with asking(config) as one:
        refused = await one.once()
        assert (refused.status, len(server.calls)) == (401, 1)
        assert said[6:] not in refused.shown()
        server.valid.add(said)
        assert (await one.once()).status == 200
    assert password not in repr(read_web("scim", config, ""))


async def test_a_scheme_of_another_name(server: TokenServer) -> None:
    server.valid.add("token abc")
    base = check_url(server.url, Reach())
    async with Asking(WebSettings(server.url, base, Fixed("token abc"))) as one:
        assert (await one.once()).status == 200
        server.valid.clear()
        assert "abc" not in (await one.once()).shown()


GOOD = {"url": "https://x/v2", "token_url": "https://x/t", "client_id": "c", "client_secret": 0}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"token": 0, "username": "root", "password": 0}, "one way"),
        ({**GOOD, "token": 0}, "one way"),
        ({**GOOD, "client_id": ""}, "`client_id`"),
        ({**GOOD, "client_auth": "jwt"}, "`client_auth`"),
        ({**GOOD, "scope": 7}, "`scope`"),
        ({**GOOD, "token_url": "http://x/t"}, "in the clear"),
        ({**GOOD, "token_url": "https://169.254.169.254/t"}, "`token_url` cannot be used"),
        ({**GOOD, "token_url": 7}, "`token_url` must be"),
        ({"client_id": "c", "client_secret": 0}, "`token_url`"),
        ({"token_url": "https://x/t", "client_id": "c"}, "client_secret_env"),
        ({"username": "root"}, "password_env"),
        ({"username": "ro:ot", "password": 0}, "`username`"),
        ({"password": 0}, "`username`"),
        ({"token": 0, "ca_file": "/no/such/file"}, "cannot be read"),
        ({"token": 0, "ca_file": "/dev/null"}, "cannot be read"),
        ({"token": 0, "ca_file": __file__}, "no certificate"),
        ({"token": 0, "ca_file": "/dev/null", "url": "http://localhost"}, "for https"),
        ({**GOOD, "ca_file": "/dev/null", "token_url": "http://localhost/t"}, "for https"),
        ({"token": 0, "client_cert_file": "/dev/null"}, "belong together"),
        ({"token": 0, "client_cert_file": __file__, "client_key_file": __file__}, "key"),
    ],
)
def test_settings_that_cannot_be_used(config: dict[str, Any], told: str) -> None:
    sealed = {name: value or Secret(SECRET[:5]) for name, value in config.items()}
    if config.get("client_id") == "":
        sealed["client_id"] = ""
    with pytest.raises(DirectoryError) as caught:
        read_web("scim", {"url": "https://x/v2", **sealed}, "https://HOST")
    assert told in str(caught.value)
    assert SECRET[:5] not in str(caught.value)


@pytest.mark.parametrize("fault", ["self-signed", "wrong host", "expired", "other authority"])
@pytest.mark.parametrize("where", ["directory", "token endpoint"])
async def test_certificates_that_are_not_good(
    server: TokenServer, tmp_path: Path, fault: str, where: str
) -> None:
    authority = Authority(tmp_path)
    issuer = Authority(tmp_path, "other") if fault == "other authority" else authority
    name = "elsewhere.example" if fault == "wrong host" else "127.0.0.1"
    files = issuer.issue("server", name, expired=fault == "expired")
    secure = await _secure(*files)
    ca = {} if fault == "self-signed" else {"ca_file": str(authority.file)}
    try:
        config = client(secure, **ca)
        if where == "directory":
            config = {"url": secure.url, "token": Secret("t"), **ca}
        async with asking(config) as one:
            answer = await one.once()
            assert (answer.sent, one.gate.tally.answers) == (False, {Answered.TLS: 1})
            assert "no secure connection" in one.gate.tally.problem
        async with opened("scim", config) as creator:
            outcome = await once(creator)
            assert (outcome.kind, outcome.counted) == (OutcomeKind.RETRY, False)
            assert not (await creator.check()).usable
        assert (secure.calls, secure.asked) == ([], [])
    finally:
        await secure.stop()


async def test_a_private_authority_and_a_client_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("client")
    secure = await _secure(*authority.issue("server", "127.0.0.1"), of_clients=authority.file)
    ca = {"ca_file": str(authority.file)}
    shown = {"client_cert_file": str(certificate), "client_key_file": str(key)}
    try:
        async with asking(client(secure, **ca, **shown)) as one:
            assert (await one.once()).status == 200
        calls = len(secure.calls), len(secure.asked)
        for config in (client(secure), {"url": secure.url, "token": Secret("t")}):
            async with asking({**config, **ca}) as one:
                assert (await one.once()).status == 0
                # TLS 1.3 tells it after the handshake, when asyncio shows but a closed connection.
                assert one.gate.tally.answers == {Answered.FAILED: 1}
        assert (len(secure.calls), len(secure.asked)) == calls
    finally:
        await secure.stop()


async def _secure(certificate: Path, key: Path, of_clients: Path | None = None) -> TokenServer:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=of_clients)
    tls.load_cert_chain(certificate, key)
    if of_clients:
        tls.verify_mode = ssl.CERT_REQUIRED
    server = TokenServer()
    await server.begin(tls)
    return server


class _Empty(set[str]):
    """Holds nothing, whatever is added."""

    def add(self, _: str) -> None:
        pass


async def _is(so: bool) -> bool:
    return so
