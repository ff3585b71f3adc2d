"""The page of directories: one is tried, added, checked, paused and resumed, and its jobs wait."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import Faults, Opening, accessible
from tests.servers.scim import TOKEN, RealScim
from tests.servers.system import System

pytestmark = pytest.mark.suite("the dashboard in a browser")


@pytest_asyncio.fixture
async def scim() -> AsyncIterator[RealScim]:
    server = RealScim()
    try:
        await server.begin()
        yield server
    finally:
        await server.stop()


async def _fill(page: Page, url: str, token: str) -> None:
    await page.get_by_label("Kind").select_option("scim")
    await page.get_by_label("Name", exact=True).fill("school")
    await page.get_by_label("URL").fill(url)
    await page.get_by_label("Token", exact=True).fill(token)


async def test_one_is_tried_added_paused_and_resumed(
    opened: Opening, system: System, scim: RealScim, faults: Faults
) -> None:
    faults.forgiven.append("422")
    page = await opened("#/directories")
    await page.get_by_role("link", name="Add a directory").click()
    await expect(page.get_by_role("heading", name="Add a directory")).to_be_visible()
    await _fill(page, "ftp://x", "not-it")
    await page.get_by_role("button", name="Check", exact=True).click()
    await expect(page.get_by_label("URL")).to_have_attribute("aria-invalid", "true")
    await _fill(page, scim.url, "not-it")
    await page.get_by_role("button", name="Check", exact=True).click()
    await expect(page.get_by_text("school cannot be used")).to_be_visible()
    await _fill(page, scim.url, TOKEN)
    await page.get_by_role("button", name="Check", exact=True).click()
    await expect(page.get_by_text("school can be used")).to_be_visible()
    await accessible(page)
    await page.get_by_role("button", name="Add", exact=True).click()
    card = page.get_by_role("region", name="school")
    await card.get_by_role("button", name="Check school").click()
    await expect(card.get_by_text("refuses a second account")).to_be_visible()
    await card.get_by_role("button", name="Pause school").click()
    await page.get_by_label("Why, for those who wonder").fill("holidays")
    await page.get_by_role("button", name="Pause", exact=True).click()
    await expect(card.get_by_text("holidays")).to_be_visible()
    await system.worker()
    await system.generate(2, directory="school")
    held = card.get_by_role("link", name="1", exact=True)
    await expect(held).to_have_attribute("href", "#/jobs?directory=school")
    await accessible(page)
    await card.get_by_role("button", name="Resume school").click()
    await expect(card.get_by_role("button", name="Pause school")).to_be_visible()
    assert TOKEN not in await page.content()


async def test_a_form_of_every_kind_can_be_used_on_a_phone(opened: Opening) -> None:
    page = await opened("#/directories/new", scheme="dark", phone=True)
    kinds = page.get_by_label("Kind")
    for kind in ("jupyterhub", "keycloak", "ldap", "local", "scim", "simulated"):
        await kinds.select_option(kind)
        await page.get_by_text("More settings").click()
        await accessible(page)
        wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide, kind
    await kinds.select_option("keycloak")
    await page.get_by_label("user and password").check()
    await expect(page.get_by_label("Username")).to_be_visible()
    await page.get_by_label("token", exact=True).check()
    await expect(page.get_by_label("Username")).to_have_count(0)
