"""The frame of the dashboard: what it weighs, who gets in, and that it comes back by itself."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, Route, expect

from botrix.roles import Role
from tests.browser.conftest import Faults, Opening, accessible, key_of
from tests.servers.system import System, until

pytestmark = pytest.mark.suite("Chromium")
_HEAVIEST = 250_000


async def test_every_page_opens_and_anybody_can_use_it(opened: Opening) -> None:
    for path in ("", "#/jobs", "#/new", "#/accounts", "#/directories", "#/audit"):
        page = await opened(path)
        await expect(page.locator("h1")).to_be_visible()
        await accessible(page)
        await page.emulate_media(color_scheme="dark")
        await accessible(page)


async def test_a_page_that_there_is_not_says_so(opened: Opening) -> None:
    page = await opened("#/nothing")
    await expect(page.locator("h1")).to_have_text("There is no such page")


async def test_a_job_that_there_is_not_leads_to_all(opened: Opening, faults: Faults) -> None:
    faults.forgiven.append("404")
    page = await opened("#/jobs/nothing")
    await expect(page.get_by_role("alert")).to_contain_text("there is no job 'nothing'")
    await expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    await page.get_by_role("link", name="All jobs").click()
    await expect(page.locator("h1")).to_have_text("Jobs")


async def test_all_pages_together_weigh_little(opened: Opening) -> None:
    page = await opened()
    for name in ("Jobs", "New job", "Accounts", "Directories", "Audit", "Overview"):
        await page.get_by_role("link", name=name, exact=True).first.click()
        await expect(page.locator("h1")).to_have_text(name)
    weights = await page.evaluate(
        "performance.getEntriesByType('resource').filter(one => one.name.includes('/static/'))"
        ".map(one => [one.name, one.decodedBodySize])"
    )
    assert len(weights) > 10
    assert sum(weight for _, weight in weights) <= _HEAVIEST, weights


async def test_who_has_a_key_signs_in_and_out(
    system: System, opened: Opening, faults: Faults
) -> None:
    faults.forgiven.append("401")
    key = await key_of(system, Role.READER)
    page = await opened()
    await page.get_by_label("API key").fill("btx_not_one")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("not known")
    await accessible(page)
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("h1")).to_have_text("Overview")
    menu = page.get_by_role("navigation", name="Pages")
    await expect(menu.get_by_role("link", name="New job")).to_have_count(0)  # a reader's
    assert key not in await page.content()
    assert await page.evaluate("document.cookie") == ""
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("API key")).to_be_visible()


async def test_it_can_be_used_by_keyboard_alone(page: Page) -> None:
    await expect(page.locator("h1")).to_have_text("Overview")
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("To the content")).to_be_focused()
    for name in ("Botrix", "Overview", "Jobs"):
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name=name, exact=True)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Jobs")
    await expect(page.locator("h1")).to_be_focused()


async def test_on_a_phone_nothing_is_cut_off(opened: Opening) -> None:
    for path in ("", "#/jobs", "#/new", "#/accounts", "#/directories", "#/audit"):
        page = await opened(path, phone=True)
        await expect(page.locator("h1")).to_be_visible()
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, path
        assert await page.evaluate(_BEYOND) == [], path


_BEYOND = """
[...document.querySelectorAll('.menu :is(a, select, p)')].filter((one) => one.checkVisibility())
  .filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.textContent)
"""


async def test_it_comes_back_when_the_api_does(system: System, page: Page, faults: Faults) -> None:
    faults.forgiven += ["ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY", "Failed to load"]
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    old = system.supervisor.processes["api"]
    old.kill()
    await old.wait()
    await expect(page.get_by_text("Connection lost, trying again")).to_be_visible()
    await system.supervisor.start_api()
    await until(lambda: system.answers("/live"), 15, "the API is back")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()


async def test_charts_are_drawn_once_their_library_can_be_had(
    system: System, opened: Opening, faults: Faults
) -> None:
    """It is loaded after the page, and the API may be away just then."""
    faults.forgiven += ["ERR_FAILED", "Failed to load"]
    page = await opened("#/jobs")
    asked = 0

    async def first_fails(route: Route) -> None:
        nonlocal asked
        asked += 1
        await (route.abort() if asked == 1 else route.continue_())

    await page.route("**/vendor/uplot.js*", first_fails)
    await page.get_by_role("link", name="Overview").click()
    await expect(page.locator(".chart canvas").first).to_be_visible()
    assert asked >= 2
