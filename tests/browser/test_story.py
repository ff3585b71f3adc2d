"""What a person does on a first day, from the empty page to the undo, in one go; and the pictures
of it in the docs, which fail where they would no longer show what is there.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from botrix.roles import Role
from tests.browser.conftest import Faults, Opening, accessible, key_of, picture
from tests.servers.system import System, until

pytestmark = pytest.mark.suite("Chromium")
_PEOPLE = (
    ("anna.nowak", "Anna,Nowak", "class-7a"), ("ben.okafor", "Ben,Okafor", "class-7a"),
    ("chiara.rossi", "Chiara,Rossi", "class-7b"), ("dilan.yilmaz", "Dilan,Yilmaz", "class-7b"),
    ("erik.lund", "Erik,Lund", "class-7a"), ("fatou.diallo", "Fatou,Diallo", "class-7b"),
)  # fmt: skip
_ROSTER = (
    "username,given_name,family_name,email,groups\n"
    + "".join(f"{user},{name},{user}@school.example,{group}\n" for user, name, group in _PEOPLE)
    + "broken,Bro,Ken,not-an-address,\nanna.nowak,Anna,Again,again@school.example,\n"
)


async def _import(page: Page) -> None:
    """From the menu to the job of a roster that was looked at first."""
    await page.get_by_role("link", name="New job", exact=True).first.click()
    await page.get_by_role("link", name=re.compile("roster", re.IGNORECASE)).click()
    chosen = {"name": "class.csv", "mimeType": "text/csv", "buffer": _ROSTER.encode()}
    await page.get_by_label(re.compile("Choose (a roster|another)")).set_input_files(chosen)
    await expect(page.get_by_text("All 8 rows: 6 can be used, 2 cannot.")).to_be_visible()
    await picture(page, "new-roster")
    await page.get_by_role("button", name="Look first").click()
    await expect(page.get_by_role("button", name="Create 6 accounts")).to_be_visible()
    await picture(page, "new-plan")
    await page.get_by_role("button", name="Create 6 accounts").click()


async def _whole(page: Page) -> None:
    """All parts of the job are there."""
    await expect(page.get_by_role("heading", name="2 rows were left out")).to_be_visible()
    await expect(page.locator(".timeline li").first).to_be_visible()
    created = page.locator(".accounts-of .rows .row").filter(has_text="created")
    await expect(created).to_have_count(6)


async def test_a_first_day(system: System, opened: Opening, folder: Path, faults: Faults) -> None:
    faults.forgiven.append("401")  # before anybody has signed in
    system.add_directory("school", delay=0.05, fail_first=1)
    key = await key_of(system, Role.ADMIN)
    page = await opened()
    await expect(page.get_by_label("API key")).to_be_visible()
    await picture(page, "sign-in")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("No worker runs, so jobs wait.")).to_be_visible()
    await system.worker()
    await expect(page.get_by_text("All is well. 1 worker, nothing to do.")).to_be_visible()

    await _import(page)
    await expect(page.locator(".told")).to_contain_text("All 6 accounts are there.")
    job = page.url.rpartition("/")[2]
    async with page.expect_download() as coming:
        await page.get_by_role("button", name="Download failed rows").click()
    await (await coming.value).save_as(folder / "mend.csv")
    assert len((folder / "mend.csv").read_text().splitlines()) == 3
    await page.reload()  # as who comes later sees it
    await _whole(page)
    await picture(page, "job")

    await page.get_by_role("link", name="Overview", exact=True).click()
    await expect(page.locator(".jobs li")).to_contain_text("6 in local, 2 rows left out")
    await page.get_by_role("link", name="Accounts", exact=True).click()
    await page.get_by_label(re.compile("name", re.IGNORECASE)).first.fill("anna")
    await expect(page.get_by_text("1 account", exact=True)).to_be_visible()
    await page.get_by_role("link", name=re.compile("anna.nowak")).click()
    known = page.get_by_role("dialog", name="anna.nowak")
    await expect(known).to_contain_text("Directory")
    await expect(known).to_contain_text("It was created")
    await page.get_by_role("button", name="Show it", exact=True).click()
    await expect(page.get_by_role("button", name="Show it now")).to_be_visible()
    await picture(page, "reveal")
    await page.get_by_role("button", name="Show it now").click()
    await expect(page.locator(".secret code")).to_have_text(re.compile(r"\S{12,}"))
    await page.get_by_role("button", name="Hide").click()
    await expect(page.get_by_role("button", name="Set a new one")).to_be_visible()

    await page.goto(f"/#/jobs/{job}")
    await page.get_by_role("button", name="Undo…").click()
    await page.get_by_label("Type 6 to confirm").fill("6")
    await _whole(page)
    await picture(page, "undo")
    await page.get_by_role("button", name="Remove the accounts").click()
    await expect(page.locator(".told")).to_contain_text("All 6 accounts are removed.")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()


async def test_a_worker_that_is_killed_is_seen_to_be_replaced(
    system: System, opened: Opening
) -> None:
    """What it held is looked after by the next, and the page shows it without being asked."""
    system.add_directory("slow", delay=0.2, batch=2, concurrency=1)
    await system.worker("first")
    page = await opened()
    job = await system.generate(40, directory="slow")
    row = page.locator(".jobs li").filter(has=page.locator(f'a[href="#/jobs/{job}"]'))
    await expect(row).to_contain_text("running")
    workers = page.get_by_role("region", name="Workers", exact=True)
    await expect(workers).to_contain_text("first")

    async def some() -> bool:
        return bool((await system.get(f"/api/jobs/{job}"))["created"] >= 4)

    await until(some, 20, "some accounts are there")
    await expect(row).to_contain_text(re.compile(r"\d+ of 40 in slow"))
    await system.kill("first")
    await system.worker("second")
    await expect(workers).to_contain_text("second")
    await expect(row).to_contain_text("completed", timeout=60_000)
    final = await system.final(job)
    assert final["created"] == 40
    await row.get_by_role("link").click()
    await expect(page.locator(".timeline")).to_contain_text(re.compile("lost|first"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_overview_in_both_colours(system: System, opened: Opening, scheme: str) -> None:
    system.add_directory("lab")
    system.add_directory("closed", reject=".")
    await system.worker()
    page = await opened(scheme=scheme)
    await expect(page.get_by_text("All is well.")).to_be_visible()
    for count, directory in ((250, "lab"), (3, "closed"), (40, "lab")):
        await system.final(await system.generate(count, directory=directory))
    await expect(page.get_by_text(re.compile("at most .* of late"))).to_be_visible()
    await expect(page.get_by_text("All is well.")).to_be_visible()
    await expect(page.get_by_text("3 failed: rejected")).to_be_visible()
    await expect(page.get_by_role("region", name="Workers", exact=True)).to_contain_text("worker-1")
    await expect(page.locator(".uplot")).to_have_count(2)
    await accessible(page)
    await picture(page, f"overview-{scheme}")
