"""The files of the dashboard, as anybody gets them."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from aiohttp import ClientSession
from yarl import URL

from botrix.roles import Role
from tests.servers.keys import make_key
from tests.servers.system import System


@pytest_asyncio.fixture
async def asked(folder: Path) -> AsyncIterator[ClientSession]:
    """By nobody in particular, where a key is needed for all else; as it is sent."""
    system = System(folder)
    await system.start()
    await make_key(system, Role.READER)
    async with ClientSession(system.url, auto_decompress=False) as http:
        yield http
    await system.stop()


async def test_anybody_gets_these_files_and_nothing_else(asked: ClientSession) -> None:
    for path in ("../pages.py", "%2e%2e/pages.py", "vendor/preact.LICENSE", "%2fetc%2fpasswd", ""):
        url = URL(f"{str(asked._base_url).rstrip(chr(47))}/static/{path}", encoded=True)
        async with asked.get(url) as answer:
            assert answer.status in {401, 404}, path
    async with asked.get("/static/app.js") as answer:
        assert answer.status == 200
    async with asked.get("/api/me") as answer:
        assert answer.status == 401


async def test_a_file_is_sent_again_only_where_it_changed(asked: ClientSession) -> None:
    async with asked.get("/static/app.js") as first:
        assert first.headers["Cache-Control"] == "no-cache"
    known = {"If-None-Match": first.headers["ETag"]}
    async with asked.get("/static/app.js", headers=known) as again:
        assert (again.status, await again.read()) == (304, b"")


async def test_it_is_packed_for_who_can_unpack_it(asked: ClientSession) -> None:
    async with asked.get("/", headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
        plain = await answer.read()
    async with asked.get("/", headers={"Accept-Encoding": "gzip"}) as answer:
        packed = await answer.read()
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain)


async def test_the_page_lets_in_nothing_but_its_own_files(asked: ClientSession) -> None:
    async with asked.get("/") as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
