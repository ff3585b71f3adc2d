"""The dashboard before a ledger of a million jobs: when it can be read, what it weighs, and when
an event of it is on the screen.

    python -m benchmarks --only dashboard

Chromium, a cold cache each time. `--jobs 10000` is a short look.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import statistics
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import Browser, Page, async_playwright
from rich.console import Console
from rich.table import Table

from benchmarks.crowd import fill_sqlite
from botrix.ledger.migrate import upgrade
from tests.servers.system import System

TIMES = 10
_SEEN = """
new MutationObserver(() => {
  if (!window.meaningful && document.querySelector('.jobs li') && document.querySelector('.tile'))
    window.meaningful = performance.now();
  for (const row of document.querySelectorAll('.jobs li')) {
    const id = row.querySelector('a').hash.split('/').pop();
    if (row.textContent.includes('completed') && !(id in window.seen)) window.seen[id] = Date.now();
  }
}).observe(document, {subtree: true, childList: true, characterData: true});
window.seen = {};
"""
_WEIGHT = """
performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
  .filter((one) => !one.name.includes('/api/')).reduce((sum, one) => sum + one.decodedBodySize, 0)
"""


async def _opened(browser: Browser, url: str) -> Page:
    context = await browser.new_context()
    page = await context.new_page()
    await page.add_init_script(_SEEN)
    await page.goto(url)
    await _when(page, "window.meaningful")
    return page


async def _when(page: Page, expression: str) -> float:
    """Asked by the browser's protocol: the page's policy lets nobody wait within it."""
    while (value := await page.evaluate(expression)) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return float(value)


async def _painted(browser: Browser, url: str) -> dict[str, float]:
    page = await _opened(browser, url)
    first = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    found = {
        "first paint, ms": float(await page.evaluate(first)),
        "jobs on screen, ms": float(await page.evaluate("window.meaningful")),
        "weight, kB": await page.evaluate(_WEIGHT) / 1000,
    }
    await page.context.close()
    return found


async def _on_screen(page: Page, system: System) -> float:
    """Milliseconds from the commit that ended a job until the page says so."""
    job = await system.generate(1, directory="quick")
    await system.final(job)
    seen = await _when(page, f"window.seen['{job}']")
    [[finished]] = system.rows("SELECT finished_at FROM jobs WHERE id = ?", job)
    return seen - 1000 * float(finished)


def _fill(url: str, jobs: int) -> None:
    upgrade(url)
    path = url.removeprefix("sqlite:///")
    fill_sqlite(path, jobs)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM keys")  # so that nobody needs to sign in
        newest = "SELECT max(n) FROM audit a WHERE a.tenant_id = tenants.id"
        db.execute(f"UPDATE tenants SET audit_n = coalesce(({newest}), 0)")


async def _measured(jobs: int) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {}
    with TemporaryDirectory(prefix="bx-") as name:
        system = System(Path(name), log=Path(name) / "log")
        await asyncio.to_thread(_fill, system.settings.ledger_url, jobs)
        await system.start()
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                for _ in range(TIMES):
                    for what, value in (await _painted(browser, system.url)).items():
                        figures.setdefault(what, []).append(value)
                system.add_directory("quick")
                await system.worker()
                page = await _opened(browser, system.url)
                figures["commit to screen, ms"] = [
                    await _on_screen(page, system) for _ in range(TIMES)
                ]
                await browser.close()
        finally:
            await system.stop()
    return figures


def main(jobs: int, as_json: bool) -> int:
    """Medians and the worst of ten."""
    figures = asyncio.run(_measured(jobs))
    if as_json:
        print(json.dumps({"jobs": jobs, "all": figures}))
        return 0
    table = Table(f"dashboard, {jobs:,} jobs", "median", "worst of ten")
    for what, values in figures.items():
        table.add_row(what, f"{statistics.median(values):,.0f}", f"{max(values):,.0f}")
    Console().print(table)
    print(
        "wanted: jobs on screen <= 1,000 ms, weight <= 250 kB, commit to screen <= 500 ms",
        file=sys.stderr,
    )
    return 0
