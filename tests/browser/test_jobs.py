"""The pages of jobs, of one job and of the audit record, as people use them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Download, Page, Route, expect

from botrix.roles import Role
from tests.browser.conftest import Faults, Opening, accessible, key_of
from tests.servers.system import System

pytestmark = [pytest.mark.suite("Chromium"), pytest.mark.asyncio]
SLOW = {"delay": 0.2, "batch": 2, "concurrency": 1}


def row_of(page: Page, job: str) -> Any:
    """Of the list of jobs."""
    return page.locator(".jobs-list .rows .row").filter(has=page.locator(f'a[href="#/jobs/{job}"]'))


def told(page: Page) -> Any:
    """How the job is, in a sentence."""
    return page.locator(".told")


async def text_of(file: Download) -> str:
    path = await file.path()
    return await asyncio.to_thread(path.read_text)


async def imported(system: System, rows: str, **query: str) -> str:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    async with system.http.post(
        f"/api/accounts/import?{asked}", data=rows.encode(), headers={"Content-Type": "text/csv"}
    ) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["id"])


async def test_a_new_job_appears_and_is_watched_until_it_ends(
    system: System, opened: Opening
) -> None:
    system.add_directory("slow", **SLOW)
    page = await opened("#/jobs")
    await expect(page.get_by_text("No job yet.")).to_be_visible()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    job = await system.generate(12, directory="slow")
    await expect(row_of(page, job)).to_contain_text("pending")
    await system.worker()
    await expect(row_of(page, job)).to_contain_text("running")
    await expect(row_of(page, job)).to_contain_text("left")  # its pace is known
    await expect(row_of(page, job)).to_contain_text("completed", timeout=30_000)
    await expect(row_of(page, job)).to_contain_text("12 of 12")
    await row_of(page, job).click()
    await expect(told(page)).to_contain_text("All 12 accounts are there.")
    await expect(page.get_by_role("progressbar")).to_have_attribute(
        "aria-valuetext", "12 of 12: 12 created"
    )


async def test_what_failed_is_told_by_reason_and_tried_again(
    system: System, opened: Opening
) -> None:
    system.add_directory("picky", reject="bad", fail_first=4)
    await system.worker()
    names = ["bad1", "bad2", "bad3", "good1", "good2"]
    rows = "".join(f"{name},{name}@school.example\n" for name in names)
    job = await imported(system, f"username,email\n{rows}noaddress,oh\n", directory="picky")
    await system.final(job)
    page = await opened(f"#/jobs/{job}")
    await expect(told(page)).to_contain_text("5 of 5 accounts could not be created.")
    reasons = page.locator(".reasons li")
    await expect(reasons.nth(0)).to_contain_text("rejected")
    await expect(reasons.nth(1)).to_contain_text("failed on demand")
    await reasons.nth(1).get_by_role("link").click()
    await expect(page).to_have_url(re.compile(r"status=failed&reason=failed\+on\+demand"))
    accounts = page.locator(".accounts-of .rows .row")
    await expect(accounts).to_have_count(2)
    await expect(accounts.first).to_contain_text("good1")
    await page.get_by_role("button", name="Retry 5 failed").click()
    await expect(page.get_by_text("5 failed accounts are tried again.")).to_be_visible()
    await expect(told(page)).to_contain_text("3 of 5 accounts could not be created.")
    await expect(reasons).to_have_count(1)
    await expect(accounts).to_have_count(0)  # none failed for that reason any more
    happened = page.locator(".timeline")
    await expect(happened).to_contain_text("Somebody had its failed accounts tried again")
    await expect(happened).to_contain_text("3 accounts failed")


async def test_reasons_are_counted_as_accounts_fail(system: System, opened: Opening) -> None:
    """Each with what the directory said of one of them."""
    system.add_directory("closed", reject=".", **SLOW)
    job = await system.generate(12, directory="closed")
    page = await opened(f"#/jobs/{job}")
    await expect(told(page)).to_contain_text("It waits in the line for a worker.")
    await system.worker()
    reason = page.locator(".reasons li")
    await expect(reason).to_contain_text("rejected")
    await expect(told(page)).to_contain_text("12 of 12 accounts could not be created.")
    await expect(reason.locator(".number")).to_have_text("12")
    await expect(reason.locator(".such")).to_have_text("refused on demand")


async def test_rows_that_were_left_out_are_shown_and_downloaded(
    system: System, opened: Opening
) -> None:
    await system.worker()
    job = await imported(system, "username,email\nann,ann@school.example\nbob,nowhere\n")
    await system.final(job)
    page = await opened(f"#/jobs/{job}")
    await expect(page.get_by_role("heading", name="1 row was left out")).to_be_visible()
    await expect(page.get_by_label("Accounts by outcome")).to_contain_text("1 row left out")
    await expect(page.get_by_role("cell", name="email is not an address")).to_be_visible()
    async with page.expect_download() as coming:
        await page.get_by_role("button", name="Download failed rows").click()
    file = await coming.value
    assert file.suggested_filename == f"{job}-failed.csv"
    assert "bob,nowhere" in await text_of(file)


async def test_an_undo_needs_the_number_to_be_typed(system: System, opened: Opening) -> None:
    await system.worker()
    job = await system.generate(7)
    await system.final(job)
    page = await opened(f"#/jobs/{job}")
    await page.get_by_role("button", name="Undo…").click()
    remove = page.get_by_role("button", name="Remove the accounts")
    await expect(remove).to_be_disabled()
    await page.get_by_label("Type 7 to confirm").fill("8")
    await expect(remove).to_be_disabled()
    await page.get_by_label("Type 7 to confirm").fill("7")
    await remove.click()
    await expect(page.get_by_text("7 accounts are being removed.")).to_be_visible()
    await expect(told(page)).to_contain_text("All 7 accounts are removed.")
    await page.get_by_role("link", name=job).click()  # what it undoes
    await expect(told(page)).to_contain_text("All 7 accounts were removed since.")
    await expect(page.get_by_text("Undone by")).to_be_visible()
    await expect(page.get_by_role("button", name="Undo…")).to_have_count(0)


async def test_the_filter_stands_in_the_address(system: System, opened: Opening) -> None:
    system.add_directory("lab")
    system.add_directory("closed", reject=".")
    await system.worker()
    good, bad = await system.generate(2, directory="lab"), await system.generate(1)
    refused = await system.generate(2, directory="closed")
    for job in (good, bad, refused):
        await system.final(job)
    page = await opened("#/jobs?status=failed")
    await expect(row_of(page, refused)).to_be_visible()
    await expect(row_of(page, good)).to_have_count(0)
    await page.get_by_role("button", name="completed").click()
    await expect(page).to_have_url(re.compile(r"#/jobs\?status=completed$"))
    await expect(row_of(page, good)).to_be_visible()
    await expect(row_of(page, refused)).to_have_count(0)
    await page.get_by_label("Directory").select_option("lab")
    await page.get_by_label("Asked for in").select_option("1h")
    await expect(row_of(page, bad)).to_have_count(0)
    await page.reload()
    await expect(row_of(page, good)).to_be_visible()
    await expect(page.get_by_label("Directory")).to_have_value("lab")
    await expect(page).to_have_url(re.compile("status=completed&directory=lab&since=1h"))
    await page.get_by_role("button", name="Show all").click()
    await expect(row_of(page, refused)).to_be_visible()


async def test_a_job_leaves_a_filter_that_it_does_not_fit_any_more(
    system: System, opened: Opening
) -> None:
    system.add_directory("slow", **SLOW)
    page = await opened("#/jobs?status=running")
    job = await system.generate(30, directory="slow")
    await system.worker()
    await expect(row_of(page, job)).to_be_visible()
    await expect(row_of(page, job)).to_have_count(0, timeout=30_000)


async def test_a_job_is_paused_resumed_and_cancelled(system: System, opened: Opening) -> None:
    system.add_directory("slow", **SLOW)
    await system.worker()
    job = await system.generate(500, directory="slow")
    page = await opened(f"#/jobs/{job}")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator(".how .state")).to_contain_text("paused")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await page.get_by_role("button", name="Cancel…").click()
    await page.get_by_role("button", name="Cancel the job").click()
    await expect(told(page)).to_contain_text("Cancelled:")
    await expect(page.locator(".timeline")).to_contain_text("Somebody cancelled it")
    await expect(page.get_by_role("button", name="Cancel…")).to_have_count(0)
    assert (await system.get(f"/api/jobs/{job}"))["status"] == "cancelled"


async def test_many_jobs_are_counted_and_then_cancelled(system: System, opened: Opening) -> None:
    system.add_directory("lab")
    jobs = [await system.generate(3, directory="lab") for _ in range(3)]
    other = await system.generate(3)
    page = await opened("#/jobs?status=pending&directory=lab")
    await page.get_by_role("button", name="Cancel many…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator(".found")).to_contain_text("3 jobs.")
    await dialog.get_by_label("Type 3 to confirm").fill("3")
    await dialog.get_by_role("button", name="Cancel them").click()
    await expect(page.get_by_text("3 jobs are to be cancelled.")).to_be_visible()
    for job in jobs:
        assert (await system.get(f"/api/jobs/{job}"))["status"] == "cancelled"
    assert (await system.get(f"/api/jobs/{other}"))["status"] == "pending"


async def test_a_plan_is_looked_at_and_applied(system: System, opened: Opening) -> None:
    await system.worker()
    job = await system.generate(6, dry_run=True)
    page = await opened(f"#/jobs/{job}")
    await expect(told(page)).to_contain_text("Nothing was created yet.")
    await expect(page.get_by_role("link", name="6 would be created")).to_be_visible()
    await page.get_by_role("button", name="Apply the plan").click()
    await expect(told(page)).to_contain_text("All 6 accounts are there.")


async def test_passwords_are_exported_once(system: System, opened: Opening, faults: Faults) -> None:
    faults.forgiven.append("410")
    await system.worker()
    job = await system.generate(3)
    await system.final(job)
    page = await opened(f"#/jobs/{job}")
    await page.get_by_role("button", name="Export…").click()
    await expect(page.get_by_text("passwords in the clear")).to_be_visible()
    await page.get_by_label("A list (CSV)").check()
    async with page.expect_download() as coming:
        await page.get_by_role("button", name="Export, and erase here").click()
    text = await text_of(await coming.value)
    assert len(text.splitlines()) == 4
    await expect(page.get_by_text("3 passwords left with the file")).to_be_visible()
    await page.get_by_role("button", name="Export…").click()
    await page.get_by_role("button", name="Export, and erase here").click()
    await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(
        "is left to export"
    )


async def test_accounts_are_found_by_name_and_number(system: System, opened: Opening) -> None:
    system.add_directory("quick")
    await system.worker()
    rows = "".join(f"user{n:03},u{n}@school.example\n" for n in range(300))
    job = await imported(system, f"username,email\n{rows}", directory="quick")
    await system.final(job)
    page = await opened(f"#/jobs/{job}")
    accounts = page.locator(".accounts-of .rows .row")
    await page.get_by_label("Find").fill("user12")
    await expect(accounts).to_have_count(10)
    await page.get_by_label("Find").fill("7")
    await expect(accounts).to_have_count(1)
    await expect(accounts).to_contain_text("user007")
    await expect(accounts.get_by_role("link")).to_have_attribute(
        "href", f"#/accounts?account={job}%3A7"
    )
    await expect(page).to_have_url(re.compile("find=7"))


async def test_a_reader_is_offered_nothing_that_he_may_not(
    system: System, opened: Opening, faults: Faults
) -> None:
    faults.forgiven.append("401")
    await system.worker()
    job = await system.generate(2)
    await system.final(job)
    key = await key_of(system, Role.READER)
    page = await opened(f"#/jobs/{job}")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(told(page)).to_contain_text("All 2 accounts are there.")
    for name in ("Undo…", "Export…"):
        await expect(page.get_by_role("button", name=name)).to_have_count(0)
    await expect(page.get_by_role("link", name="Audit")).to_have_count(0)
    await page.get_by_role("link", name="Jobs").click()
    await expect(row_of(page, job)).to_be_visible()
    await expect(page.get_by_role("button", name="Cancel many…")).to_have_count(0)


async def test_without_events_the_pages_go_on_by_asking(
    system: System, opened: Opening, faults: Faults
) -> None:
    faults.forgiven += ["/api/events", "ERR_FAILED"]
    system.add_directory("slow", **SLOW)

    async def cut(route: Route) -> None:
        await route.abort()

    page = await opened("#/directories")
    await page.route("**/api/events*", cut)
    await page.goto("/#/jobs")
    await page.reload()
    await expect(page.get_by_text("No job yet.")).to_be_visible()
    job = await system.generate(12, directory="slow")
    await expect(row_of(page, job)).to_be_visible()
    await system.worker()
    await row_of(page, job).click()
    await expect(told(page)).to_contain_text("All 12 accounts are there.", timeout=30_000)


async def test_the_audit_record_has_the_newest_first(system: System, opened: Opening) -> None:
    first = await system.generate(2)
    await system.post(f"/api/jobs/{first}/cancel", {}, 202)
    await system.generate(3)
    page = await opened("#/audit")
    lines = page.locator(".audit-list .rows .row")
    await expect(lines).to_have_count(3)
    await expect(lines.first).to_contain_text("3 accounts")
    await expect(lines.nth(1)).to_contain_text("job.cancel")
    await expect(lines.nth(2)).to_contain_text("2 accounts")
    await page.get_by_label("Find").fill("cancel")
    await expect(lines).to_have_count(1)
    await lines.get_by_role("link", name=first).click()
    await expect(told(page)).to_contain_text("Cancelled:")


@pytest.mark.parametrize(("scheme", "phone"), [("light", False), ("dark", False), ("light", True)])
async def test_everybody_can_use_them(
    system: System, opened: Opening, scheme: str, phone: bool
) -> None:
    system.add_directory("picky", reject="a")
    await system.worker()
    rows = "username,email\nanna,a@b.example\nbob,b@b.example\ncyd,nowhere\n"
    mixed = await imported(system, rows, directory="picky")
    planned = await system.generate(5, dry_run=True)
    await system.final(mixed)
    page = await opened("#/jobs", scheme=scheme, phone=phone)
    await expect(row_of(page, mixed)).to_contain_text("1 failed")
    await expect(row_of(page, mixed)).to_contain_text("1 row left out")
    await accessible(page)
    for path, there in (
        (f"#/jobs/{mixed}", "Why accounts failed"),
        (f"#/jobs/{planned}", "Apply the plan"),
        ("#/audit", "job.import"),
    ):
        await page.goto(f"/{path}")
        await expect(page.get_by_text(there).first).to_be_visible()
        await accessible(page)
        width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert width <= 0, f"{path} is wider than the window"
    await page.goto(f"/#/jobs/{mixed}")
    await page.get_by_role("button", name="Undo…").click()
    await expect(page.get_by_role("dialog", name="Undo this job?")).to_be_visible()
    await accessible(page)
