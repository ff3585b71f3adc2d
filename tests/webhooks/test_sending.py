"""One message to one receiver: what counts as taken, and where nothing is ever sent."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.abc import AbstractResolver, ResolveResult

from botrix import guard
from botrix.errors import AddressRefused
from botrix.webhooks.adding import target_of
from botrix.webhooks.said import Said
from botrix.webhooks.sending import Sender
from tests.servers.receiver import Answer, Receiver

_BODY = b'{"type":"job.started"}'


class Names(AbstractResolver):
    """Says of every name what it was told; notes what it was asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(
                hostname=host, host=one, port=port, proto=0, flags=0,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
            )
            for one in self.addresses
        ]  # fmt: skip

    async def close(self) -> None: ...


@pytest_asyncio.fixture
async def sender() -> AsyncIterator[Sender]:
    made = Sender(2.0)
    yield made
    made.close()


async def _sent(sender: Sender, url: str, **config: Any) -> Said:
    return await sender.send(url, json.dumps(config), {"webhook-id": "msg_1"}, _BODY)


@pytest.mark.parametrize(
    ("answer", "status", "problem"),
    [
        (Answer(200), 200, ""),
        (Answer(204), 204, ""),
        (Answer(400), 400, "HTTP 400"),
        (Answer(410), 410, "HTTP 410"),
        (Answer(500, body=b"SECRET of the receiver"), 500, "HTTP 500"),
        (Answer(301, {"Location": "/else"}), 301,
         "HTTP 301: redirects are not followed; add the url that it leads to"),
        (Answer(raw=b""), 0, "the answer cannot be read (ServerDisconnectedError)"),
        (Answer(raw=b"SSH-2.0-x\r\n\r\n"), 0, None),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort"), 200, ""),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), 0, None),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"), 0, None),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
         200, ""),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000), 0, None),
        (Answer(raw=b"HTTP/1.1 99999 What\r\n\r\n"), 0, None),
    ],
)  # fmt: skip
async def test_what_an_answer_means(
    sender: Sender, receiver: Receiver, answer: Answer, status: int, problem: str | None
) -> None:
    receiver.answer = answer
    said = await _sent(sender, receiver.url)
    assert said.status == status
    assert said.taken == (200 <= status < 300)
    if problem is not None:
        assert said.problem == problem
    assert "SECRET" not in said.problem
    assert len(receiver.got) == 1, "it is sent once"
    assert receiver.paths == ["/hook"], "no redirect is followed"


async def test_who_is_away_says_nothing(sender: Sender, receiver: Receiver) -> None:
    await receiver.stop()
    said = await _sent(sender, receiver.url)
    assert (said.status, said.problem) == (0, "no connection (Connection refused)")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(after=60),
        Answer(raw=b"HTTP/1.1 200 O", hangs=True),
        Answer(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 50, hangs=True),
    ],
)
async def test_who_is_slow_is_given_up(receiver: Receiver, answer: Answer) -> None:
    sender = Sender(0.5)
    receiver.answer = answer
    began = time.monotonic()
    said = await _sent(sender, receiver.url)
    assert (said.status, said.problem) == (0, "no answer in time")
    assert time.monotonic() - began < 5
    sender.close()


async def test_a_status_counts_though_its_body_never_ends(receiver: Receiver) -> None:
    sender = Sender(0.5)
    receiver.answer = Answer(raw=b"HTTP/1.1 202 Accepted\r\n\r\nx", hangs=True)
    assert (await _sent(sender, receiver.url)).status == 202
    receiver.answer = Answer(raw=b"HTTP/1.1 202 Accepted\r\n\r\n" + b"x" * 10_000_000)
    assert (await _sent(sender, receiver.url)).status == 202
    sender.close()


async def test_retry_after_is_told(sender: Sender, receiver: Receiver) -> None:
    for given, after in (("7", 7.0), ("999999999", 86_400.0), ("soon", None)):
        receiver.answer = Answer(503, {"Retry-After": given})
        said = await _sent(sender, receiver.url)
        assert (said.after, said.busy) == (after, True)


_REFUSED = [
    "http://example.org/", "https://10.0.0.1/", "https://192.168.1.1/", "https://127.0.0.2/",
    "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/latest/meta-data/", "https://0x7f.1/",
    "https://user:hunter2@example.org/", "ftp://example.org/", "https://[fe80::1]/", "nothing",
]  # fmt: skip


@pytest.mark.parametrize("url", _REFUSED)
async def test_where_nothing_may_be_sent(url: str) -> None:
    names = Names("127.0.0.1")
    sender = Sender(2.0, names)
    with pytest.raises(AddressRefused):
        target_of(url, {})
    said = await _sent(sender, url)
    assert said.status == 0
    assert "hunter2" not in said.problem
    assert names.asked == []
    sender.close()


@pytest.mark.parametrize(
    "addresses",
    [("127.0.0.1",), ("10.1.2.3",), ("93.184.216.34", "127.0.0.1"), ("::1",), ("169.254.169.254",)],
)
async def test_a_name_that_leads_elsewhere_is_not_called(
    receiver: Receiver, addresses: tuple[str, ...]
) -> None:
    sender = Sender(2.0, Names(*addresses))
    for url in (f"https://hooks.example:{receiver.port}/", "https://hooks.example/"):
        said = await _sent(sender, url)
        assert said.status == 0
        assert "must not be called" in said.problem
        assert not any(one in said.problem for one in addresses), "it tells no address"
    assert receiver.got == []
    assert receiver.at_once == 0
    sender.close()


async def test_a_network_that_is_listed_may_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_socket(*_: object) -> socket.socket:
        raise OSError(errno.ENETUNREACH, "no way out of this test")

    monkeypatch.setattr(guard, "socket", SimpleNamespace(socket=no_socket))
    sender = Sender(2.0, Names("10.9.8.7"))
    for networks, problem in (([], "must not be called"), (["10.9.8.0/24"], "no connection")):
        said = await _sent(sender, "https://hooks.example/", networks=networks)
        assert problem in said.problem
    sender.close()


async def test_a_redirect_to_a_private_address_is_not_followed(
    sender: Sender, receiver: Receiver
) -> None:
    for to in ("http://169.254.169.254/", f"http://127.0.0.1:{receiver.port}/secret"):
        receiver.answer = Answer(307, {"Location": to})
        assert (await _sent(sender, receiver.url)).status == 307
    assert receiver.paths == ["/hook", "/hook"]


async def test_no_proxy_of_the_environment_is_used(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert (await _sent(sender, receiver.url)).taken


async def test_names_that_nobody_answers_for_hold_up_no_others(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    """The threads of the event loop stay free for directories."""
    stuck = asyncio.Event()
    real, loop = socket.getaddrinfo, asyncio.get_running_loop()

    def slow(host: Any, *rest: Any, **more: Any) -> Any:
        if host == "stuck.example":
            asyncio.run_coroutine_threadsafe(stuck.wait(), loop).result()
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    sender = Sender(0.5)
    waiting = asyncio.gather(*(_sent(sender, "https://stuck.example/") for _ in range(16)))
    try:
        url = f"http://localhost:{receiver.port}/"
        async with asyncio.timeout(10), aiohttp.ClientSession() as http, http.get(url) as answer:
            assert answer.status == 204
        assert {one.problem for one in await waiting} == {"no answer in time"}
    finally:
        stuck.set()
        sender.close()
