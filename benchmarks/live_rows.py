"""The list of jobs with thousands of rows loaded, while events of them come: whether the page stays
smooth.

    python -m benchmarks.live_rows [rows] [events a second]
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import CDPSession, Page, async_playwright

from benchmarks.crowd import fill_sqlite
from botrix.ledger.migrate import upgrade
from botrix.line import keys
from tests.servers.system import System

SECONDS = 10.0
_WATCH = """
window.frames = []; window.long = [];
new PerformanceObserver((list) => window.long.push(...list.getEntries().map((one) => one.duration)))
  .observe({type: 'longtask'});
let last = performance.now();
const frame = (now) => {
  window.frames.push(now - last); last = now; requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
"""
_SCROLL = """
setInterval(() => { document.querySelector('.list .rows').scrollTop += 400; }, 100)
"""
_BOX = "document.querySelector('.list .rows')"


async def _load(page: Page, rows: int) -> None:
    """As a person would, who scrolls to the end again and again."""
    there = "document.querySelectorAll('.list .rows > div')[0].clientHeight / 56"
    while await page.evaluate(there) < rows * 0.99:  # a few are still on their way in
        await page.evaluate(f"{_BOX}.scrollTop = {_BOX}.scrollHeight")
        await asyncio.sleep(0.1)
    await page.evaluate(f"{_BOX}.scrollTop = 0")


async def _tell(system: System, jobs: list[dict[str, Any]], rate: float, until: float) -> int:
    """Events as workers put them on the line."""
    told = 0
    began = time.monotonic()
    while time.monotonic() < until:
        job = jobs[told % len(jobs)]
        job |= {"created": job["created"] + 1, "count": 1000}
        event = {
            name: job[name] for name in ("count", "created", "existing", "failed", "cancelled")
        }
        event |= {"job_id": job["id"], "status": "running", "deleted": 0, "at": time.time()}
        event |= {"directory": job["directory"], "priority": "normal", "stage": "create"}
        fields = {"t": "default", "j": job["id"], "e": json.dumps({**event, "waits": None})}
        await system.redis.xadd(keys.EVENTS, fields, maxlen=20000)
        told += 1
        await asyncio.sleep(max(0.0, began + told / rate - time.monotonic()))
    return told


async def _busy(session: CDPSession) -> dict[str, float]:
    said = await session.send("Performance.getMetrics")
    return {one["name"]: one["value"] for one in said["metrics"]}


async def _measured(system: System, page: Page, rate: float) -> dict[str, float]:
    jobs = (await system.get("/api/jobs?limit=500"))["items"]
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    await page.evaluate(_WATCH)
    before, began = await _busy(session), time.monotonic()
    half = began + SECONDS / 2
    told = await _tell(system, jobs, rate, half)
    await page.evaluate(_SCROLL)
    told += await _tell(system, jobs, rate, half + SECONDS / 2)
    after, took = await _busy(session), time.monotonic() - began
    frames = sorted(await page.evaluate("window.frames"))
    long = await page.evaluate("window.long")
    return {
        "events a second": told / took,
        "frames a second": len(frames) / took,
        "frame, median ms": statistics.median(frames),
        "frame, 99th of 100 ms": frames[int(len(frames) * 0.99)],
        "worst frame ms": frames[-1],
        "tasks above 50 ms": len(long),
        "longest task ms": max(long, default=0.0),
        **{
            f"{name}, % of a core": 100 * (after[name] - before[name]) / took
            for name in ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
        },
    }


async def _run(rows: int, rate: float) -> dict[str, float]:
    with TemporaryDirectory(prefix="bx-") as name:
        system = System(Path(name), environ={"BOTRIX_LOG_LEVEL": "ERROR"})
        await asyncio.to_thread(upgrade, system.settings.ledger_url)
        fill_sqlite(system.settings.ledger_url.removeprefix("sqlite:///"), rows)
        system.rows("DELETE FROM keys RETURNING id")  # whoever has none needs none on this machine
        await system.start()
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                page = await browser.new_page(viewport={"width": 1280, "height": 800})
                await page.goto(f"{system.url}/#/jobs")
                await page.wait_for_selector(".list .rows .row")
                await _load(page, rows)
                figures = await _measured(system, page, rate)
                await page.evaluate(f"{_BOX}.scrollTop = 0")
                await page.get_by_text("of 1,000").first.wait_for()  # they did move
                await browser.close()
                return figures
        finally:
            await system.stop()


if __name__ == "__main__":
    wanted = [float(text) for text in sys.argv[1:]]
    rows = int(wanted[0]) if wanted else 10_000
    rate = wanted[1] if len(wanted) > 1 else 50.0
    for what, value in asyncio.run(_run(rows, rate)).items():
        print(f"{what:24} {value:10,.1f}")
