"""A real browser before a real stack. A page that writes an error to its console, breaks its own
policy or throws fails the test that looked at it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from botrix.roles import Role
from tests.servers.keys import make_key
from tests.servers.system import System, until

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_WIDE, _PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
Scheme = Literal["light", "dark"]

expect.set_options(timeout=15_000)


@pytest_asyncio.fixture
async def system(folder: Path) -> AsyncIterator[System]:
    """Embedded line, SQLite, an API, and no worker yet."""
    made = System(folder)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    if _CHROMIUM is None:
        pytest.skip("no Chromium on this machine: the dashboard was NOT tried")
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield made
        await made.close()


@dataclass
class Faults:
    """What a page must not have done. forgiven: words of those that a test itself brings about."""

    found: list[str] = field(default_factory=list)
    forgiven: list[str] = field(default_factory=list)

    def left(self) -> list[str]:
        return [one for one in self.found if not any(word in one for word in self.forgiven)]


@pytest_asyncio.fixture
async def faults() -> AsyncIterator[Faults]:
    seen = Faults()
    yield seen
    assert seen.left() == []


Opening = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture
async def opened(browser: Browser, system: System, faults: Faults) -> AsyncIterator[Opening]:
    """await opened("#/jobs", scheme="dark", phone=True) -> a page of its own."""
    contexts: list[BrowserContext] = []

    async def open_page(path: str = "", *, scheme: Scheme = "light", phone: bool = False) -> Page:
        context = await browser.new_context(
            base_url=system.url, color_scheme=scheme, viewport=_PHONE if phone else _WIDE,
            reduced_motion="reduce", locale="en-GB", accept_downloads=True,
        )  # fmt: skip
        contexts.append(context)
        page = await context.new_page()
        _watch(page, faults)
        await page.goto(f"/{path}")
        return page

    yield open_page
    for context in contexts:
        with contextlib.suppress(Exception):
            await context.close()


@pytest_asyncio.fixture
async def page(opened: Opening) -> Page:
    """The overview, in light colours."""
    return await opened()


def _watch(page: Page, faults: Faults) -> None:
    """Chromium tells of a breach of the Content-Security-Policy on the console too."""

    def said(message: Any) -> None:
        if message.type in {"error", "warning"}:
            faults.found.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    page.on("console", said)
    page.on("pageerror", lambda error: faults.found.append(f"threw: {error}"))


async def key_of(system: System, role: Role) -> str:
    """A new key, once the API knows that it needs one: it remembers for some seconds that it has
    none."""
    key = await make_key(system, role)

    async def is_asked_for() -> bool:
        return not await system.answers("/api/me")

    await until(is_asked_for, 15, "a key is needed")
    return key


async def accessible(page: Page) -> None:
    """Nothing serious is found by axe (WCAG 2.2, A and AA). It comes in by the browser's own
    protocol, since the page's policy lets in no foreign script."""
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text()
    session = await page.context.new_cdp_session(page)
    await session.send("Runtime.evaluate", {"expression": axe})
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    asked = {"runOnly": {"type": "tag", "values": tags}}
    run = f"axe.run(document, {json.dumps(asked)}).then((said) => JSON.stringify(said.violations))"
    answer = await session.send(
        "Runtime.evaluate", {"expression": run, "awaitPromise": True, "returnByValue": True}
    )
    await session.detach()
    found = json.loads(answer["result"]["value"])
    serious = [one for one in found if one["impact"] in {"serious", "critical"}]
    told = [(one["id"], [n["html"][:160] for n in one["nodes"]][:3]) for one in serious]
    assert told == []


async def picture(page: Page, name: str) -> None:
    """One of those in docs/pictures: made where BOTRIX_PICTURES asks for it; else the test fails
    where other headings, labels or buttons are there now than when it was made."""
    seen = "".join(f"{_same_each_time(line)}\n" for line in await page.evaluate(_LINES))
    beside = PICTURES / f"{name}.txt"
    if os.environ.get("BOTRIX_PICTURES"):
        PICTURES.mkdir(exist_ok=True)
        await page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")
        beside.write_text(seen)
    assert beside.read_text() == seen, f"the picture {name} is of another page; make pictures"


_LINES = """
[...document.querySelectorAll('h1, h2, h3, dt, label, legend, button, nav a, thead th,'
  + ' [role=columnheader], .verdict')]
  .filter((one) => one.checkVisibility()).map((one) => one.innerText.replace(/\\s+/g, ' ').trim())
"""


def _same_each_time(line: str) -> str:
    return re.sub(r"\d[\d,.:/]*", "0", re.sub(r"job_[0-9a-f]+", "job_…", line))
