"""Accounts as people look for them, and a password that is shown once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from botrix.roles import Role
from tests.browser.conftest import Faults, Opening, accessible, key_of
from tests.servers.system import System

pytestmark = pytest.mark.suite("Chromium")
SECRET = ".password code"


def rows(page: Page) -> Any:
    return page.get_by_role("table", name="Accounts").locator(".rows .row")


def button(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


async def signed_in(page: Page, key: str) -> None:
    await page.get_by_label("API key").fill(key)
    await button(page, "Sign in").click()


async def shown(page: Page) -> str:
    """The password, after it was asked for."""
    await button(page, "Show it").click()
    await expect(page.get_by_role("dialog", name="Show the password?")).to_be_visible()
    async with page.expect_response("**/reveal") as answering:
        await button(page, "Show it now").click()
    await expect(page.locator(SECRET)).not_to_be_empty()
    password = str((await (await answering.value).json())["password"])
    assert await page.locator(SECRET).text_content() == password
    return password


async def kept(page: Page, secret: str) -> list[str]:
    """Where the page still has it."""
    return list(await page.evaluate(_KEPT, secret))


_KEPT = """(secret) => {
  const found = [];
  if (document.documentElement.outerHTML.includes(secret)) found.push('markup');
  for (const node of document.querySelectorAll('*')) {
    if (typeof node.value === 'string' && node.value.includes(secret)) found.push(node.tagName);
  }
  for (const [name, text] of Object.entries({
    local: JSON.stringify({ ...localStorage }), session: JSON.stringify({ ...sessionStorage }),
    address: location.href, title: document.title, history: JSON.stringify(history.state),
  })) if ((text || '').includes(secret)) found.push(name);
  return found;
}"""


async def test_accounts_are_found_by_name_and_state(system: System, opened: Opening) -> None:
    system.add_directory("picky", reject="bad")
    await system.worker()
    await system.final(await system.generate(30, template="kim-{n:03}", groups=["staff"]))
    await system.final(await system.generate(2, template="bad-{n}", directory="picky"))
    page = await opened("#/accounts")
    await expect(page.get_by_text("32 accounts")).to_be_visible()
    await page.get_by_label("User name begins with").fill("KIM-02")
    await expect(page.get_by_text("10 accounts")).to_be_visible()
    await expect(rows(page).first).to_contain_text("kim-020")
    await page.get_by_label("State").select_option("failed")
    await expect(page.get_by_text("No account is like that.")).to_be_visible()
    await accessible(page)
    await page.get_by_label("User name begins with").fill("b")
    await expect(rows(page)).to_have_count(2)
    await expect(rows(page).first).to_contain_text("rejected: refused on demand")
    await rows(page).first.get_by_role("link").click()
    dialog = page.get_by_role("dialog", name="bad-1")
    await expect(dialog).to_contain_text("picky")
    await expect(dialog).to_contain_text("rejected")
    await expect(dialog.get_by_role("region", name="History")).to_contain_text("It failed rejected")
    await expect(button(page, "Show it")).to_have_count(0)  # there is no password
    await accessible(page)
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    assert page.url.endswith("#/accounts?prefix=b&status=failed")


async def test_a_search_that_finds_little_goes_on_through_empty_pages(
    system: System, opened: Opening
) -> None:
    """A page looks at 500 names of those with a state; the one that failed is beyond."""
    job = await system.generate(1, template="aa-{n}")
    sql = (
        "INSERT INTO accounts (job_id, tenant_id, idx, username, email, given_name, family_name,"
        " display_name, status, reason, updated_at) VALUES (?, 'default', ?, ?, '', '', '', '', ?,"
        " ?, 0)"
        " RETURNING idx"
    )
    for n in range(1, 1201):
        state = ("failed", "rejected") if n == 1100 else ("cancelled", None)
        system.rows(sql, job, n, f"many-{n:04}", *state)
    page = await opened("#/accounts?prefix=many&status=failed")
    await expect(rows(page)).to_have_count(1)
    await expect(rows(page).first).to_contain_text("many-1100")
    await expect(page.get_by_text("1 account", exact=True)).to_be_visible()


async def test_a_password_is_shown_once_and_leaves_nothing(
    system: System, opened: Opening, faults: Faults
) -> None:
    await system.worker()
    job = await system.generate(1, template="kim")
    await system.final(job)
    page = await opened(f"#/accounts?account={job}:0")
    other = await opened(f"#/accounts?account={job}:0")
    await expect(button(other, "Show it")).to_be_visible()
    secret = await shown(page)
    assert await kept(page, secret) == ["markup"]
    await expect(page.locator(SECRET)).to_be_focused()
    await accessible(page)
    await button(page, "Hide").click()
    assert await kept(page, secret) == []
    await expect(button(page, "Show it")).to_have_count(0)
    await expect(page.get_by_text("It was shown or erased")).to_be_visible()
    faults.forgiven.append("410")
    await button(other, "Show it").click()  # a page that does not know of it yet
    await button(other, "Show it now").click()
    await expect(other.get_by_role("alert")).to_contain_text("was revealed")
    await button(other, "Leave it").click()
    await expect(button(other, "Set a new one")).to_be_visible()
    assert await kept(other, secret) == []


async def test_a_password_goes_after_a_minute_and_with_the_page(
    system: System, opened: Opening
) -> None:
    await system.worker()
    job = await system.generate(2, template="kim-{n}")
    await system.final(job)
    page = await opened()
    await page.clock.install()
    await page.goto(f"{system.url}/#/accounts?account={job}:0")
    secret = await shown(page)
    await page.clock.run_for(58_000)
    assert await kept(page, secret) == ["markup"]
    await page.clock.run_for(3_000)
    assert await kept(page, secret) == []
    await page.goto(f"{system.url}/#/accounts?account={job}:1")
    second = await shown(page)
    element = await page.query_selector(SECRET)
    assert element is not None
    await page.goto(f"{system.url}/#/jobs")
    await expect(page.get_by_role("heading", name="Jobs", level=1)).to_be_visible()
    assert await element.text_content() == ""
    assert await kept(page, second) == []
    await page.go_back()
    await expect(page.get_by_text("It was shown or erased")).to_be_visible()
    assert await kept(page, second) == []


async def test_a_password_that_was_shown_is_set_anew(system: System, opened: Opening) -> None:
    await system.worker()
    job = await system.generate(1, template="kim")
    await system.final(job)
    page = await opened(f"#/accounts?account={job}:0")
    first = await shown(page)
    await button(page, "Hide").click()
    await button(page, "Set a new one").click()
    dialog = page.get_by_role("dialog", name="Set a new password?")
    await dialog.get_by_role("button", name="Set a new one").click()
    told = page.get_by_role("dialog", name="kim").get_by_role("status")
    await expect(told.get_by_text("kim has a new password.")).to_be_visible()  # not behind it
    await expect(button(page, "Show it")).to_be_visible()
    assert await shown(page) != first
    await page.reload()
    happened = page.get_by_role("region", name="History").locator("li")
    await expect(happened.last).to_contain_text("Finished")  # it was created before that


async def test_a_key_without_the_right_sees_no_password(
    system: System, opened: Opening, faults: Faults
) -> None:
    faults.forgiven.append("401")
    await system.worker()
    job = await system.generate(1)
    await system.final(job)
    for role, may in ((Role.OPERATOR, 0), (Role.REVEALER, 1)):
        key = await key_of(system, role)
        page = await opened(f"#/accounts?account={job}:0")
        await signed_in(page, key)
        await expect(page.get_by_role("region", name="History")).to_contain_text("It was created")
        await expect(button(page, "Show it")).to_have_count(may)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True])
async def test_the_pages_fit_any_screen(
    system: System, opened: Opening, scheme: str, phone: bool
) -> None:
    await system.worker()
    job = await system.generate(3, template="kim-{n}", dry_run=True)
    shows = {
        "#/accounts": "kim-3",
        f"#/accounts?account={job}:0": "What happened",
        "#/new": "How many",
        "#/new?from=roster": "or drop it here",
        f"#/new/{job}": "Create 3 accounts",
    }
    page = await opened("", scheme=scheme, phone=phone)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    for path, text in shows.items():
        await page.goto(f"{system.url}/{path}")
        await expect(page.get_by_text(re.compile(text)).first).to_be_visible()
        await accessible(page)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
