"""New jobs as people ask for them: a number of accounts, or a roster that is looked at first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import FilePayload, Page, Route, expect

from botrix.roles import Role
from tests.browser.conftest import Faults, Opening, accessible, key_of
from tests.servers.system import System

pytestmark = pytest.mark.suite("Chromium")
ROSTER = (
    "User name,First Name,Last Name,E-Mail,Shoe size,Groups\n"
    "ann,Ann,Nowak,ann@school.example,38,class-7a;year-7\n"
    "=bob,Bob,Braun,bob@school.example,41,class-7a\n"
    "kim,Kim,Klein,nonsense,42,\n"
    "łucja,Łucja,Zając,lucja@school.example,39,class-7b\n"
    "eve,Eve,Ernst,eve@school.example,40,class-7b\n"
)
JOB = re.compile(r"#/jobs/job_[0-9a-f]+$")
PLAN = re.compile(r"#/new/job_[0-9a-f]+$")


def file(content: str | bytes, name: str = "class.csv") -> FilePayload:
    data = content.encode() if isinstance(content, str) else content
    return {"name": name, "mimeType": "text/csv", "buffer": data}


async def choose(page: Page, roster: FilePayload | Path) -> None:
    await page.get_by_label(re.compile("Choose (a roster|another)")).set_input_files(roster)


def button(page: Page, name: str | re.Pattern[str]) -> Any:
    return page.get_by_role("button", name=name)


def tile(page: Page, name: str) -> Any:
    return page.locator(".tile", has_text=name).locator("dd.number")


async def jobs(system: System) -> list[dict[str, Any]]:
    return list((await system.get("/api/jobs"))["items"])


async def test_a_roster_is_looked_at_then_created_and_its_bad_rows_come_back(
    system: System, opened: Opening, folder: Path
) -> None:
    await system.worker()
    await system.final(await system.generate(1, template="eve"))
    page = await opened("#/new?from=roster")
    await choose(page, file(ROSTER))
    await expect(page.get_by_text("All 5 rows: 2 can be used, 3 cannot.")).to_be_visible()
    await expect(page.get_by_label("Shoe size")).to_have_value("")
    await expect(page.get_by_label("First Name")).to_have_value("given_name")
    ann = page.get_by_role("row", name=re.compile("ann@school.example"))
    await expect(ann).to_contain_text("Ann Nowak")
    await expect(ann).to_contain_text("class-7a; year-7")
    await expect(page.get_by_text("begins like a formula")).to_be_visible()
    await accessible(page)
    await button(page, "Look first").click()
    await expect(page).to_have_url(PLAN)
    await expect(tile(page, "create")).to_have_text("1")
    await expect(tile(page, "adopt")).to_have_text("1")
    await expect(tile(page, "conflict")).to_have_text("0")
    await expect(tile(page, "invalid")).to_have_text("3")
    await expect(page.get_by_text("email is not an address")).to_be_visible()
    await accessible(page)
    async with page.expect_download() as saving:
        await button(page, "Download them").click()
    saved = await saving.value
    assert re.fullmatch(r"job_[0-9a-f]+-failed\.csv", saved.suggested_filename)
    await saved.save_as(folder / "bad.csv")
    header, *rows = (folder / "bad.csv").read_text().splitlines()
    assert header == ROSTER.splitlines()[0] + ",botrix_reason"
    assert [row.split(",")[0] for row in rows] == ["=bob", "kim", "łucja"]
    await button(page, "Create 1 account").click()
    await expect(page).to_have_url(JOB)
    job = await system.final(page.url.rpartition("/")[2])
    assert (job["created"], job["existing"], job["bad_rows"]) == (1, 1, 3)


async def test_a_plan_that_is_left_creates_nothing(system: System, opened: Opening) -> None:
    await system.worker()
    page = await opened("#/new?from=roster")
    await choose(page, file("username,name\nann,Ann A\n"))
    await button(page, "Look first").click()
    await button(page, "Leave it").click()
    await expect(page).to_have_url(re.compile("from=roster"))
    (job,) = await jobs(system)
    assert (await system.final(job["id"]))["status"] == "cancelled"
    assert job["created"] == 0


async def test_a_number_of_accounts_is_asked_for_with_all_care(
    system: System, opened: Opening
) -> None:
    page = await opened("#/new")
    await page.get_by_label("How many").fill("25")
    await page.get_by_label("User names").fill("lab-{n:03}")
    await expect(page.get_by_text("Such as lab-001.")).to_be_visible()
    await page.get_by_label("Groups").fill("staff; lab")
    await page.get_by_label("Priority").select_option("high")
    await page.get_by_text("More:").click()
    await page.get_by_label("A few first").fill("5")
    await page.get_by_label("of which may fail").fill("12.5")
    await page.get_by_label("Stop after failures").fill("3")
    await page.get_by_label("What another job").select_option("fail")
    await page.get_by_label("Not before").fill("2037-01-02T08:00")
    await accessible(page)
    await button(page, "Create 25 accounts").dblclick()
    await expect(page).to_have_url(JOB)
    (job,) = await jobs(system)
    named = ("count", "template", "groups", "priority", "canary", "max_error_rate")
    assert [job[name] for name in named] == [25, "lab-{n:03}", ["staff", "lab"], "high", 5, 0.125]
    assert (job["max_failures"], job["on_conflict"]) == (3, "fail")
    assert job["not_before"].startswith("2037-01-0")


async def test_what_the_api_refuses_is_told_and_can_be_mended(
    system: System, opened: Opening, faults: Faults
) -> None:
    faults.forgiven.append("422")
    page = await opened("#/new")
    await page.get_by_label("User names").fill("{nobody}")
    await button(page, "Create 10 accounts").click()
    await expect(page.get_by_role("alert")).to_contain_text("unknown placeholder '{nobody}'")
    await page.get_by_label("User names").fill("kim-{n}")
    await button(page, "Create 10 accounts").click()
    await expect(page).to_have_url(JOB)


async def test_an_answer_that_was_lost_makes_no_second_job(
    system: System, opened: Opening, faults: Faults
) -> None:
    faults.forgiven.append("ERR_FAILED")
    page = await opened("#/new")
    lost: list[str] = []

    async def lose(route: Route) -> None:
        if not lost:
            lost.append((await route.request.all_headers())["idempotency-key"])
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/api/accounts/generate", lose)
    await button(page, "Create 10 accounts").click()
    await expect(page.get_by_role("alert")).to_contain_text("does not answer")
    assert len(await jobs(system)) == 1
    await button(page, "Create 10 accounts").click()
    await expect(page).to_have_url(JOB)
    assert len(await jobs(system)) == 1


async def test_a_number_can_be_looked_at_first(system: System, opened: Opening) -> None:
    await system.worker()
    page = await opened("#/new")
    await page.get_by_text("More:").click()
    await page.get_by_label("Look first").check()
    await button(page, "Look at 10 accounts").click()
    await expect(page).to_have_url(PLAN)
    await expect(button(page, "Create 10 accounts")).to_be_enabled()
    await button(page, "Create 10 accounts").click()
    await expect(page).to_have_url(JOB)
    assert (await system.final(page.url.rpartition("/")[2]))["created"] == 10


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"", "class.csv", "class.csv is empty"),
        (b"\n \n", "class.csv", "class.csv is blank"),
        (b"PK\x03\x04" + bytes(99), "class.xlsx", "class.xlsx is a workbook, not a CSV"),
        ("name\n".encode("utf-16"), "class.csv", "class.csv is UTF-16, not UTF-8"),
        (b'[{"username": "a"}]', "class.json", "class.json is one JSON list"),
    ],
)
async def test_what_is_no_roster_is_told_at_once(
    opened: Opening, content: bytes, name: str, says: str
) -> None:
    page = await opened("#/new?from=roster")
    await choose(page, file(content, name))
    await expect(page.get_by_role("alert").get_by_role("paragraph")).to_have_text(
        re.compile(f"^{re.escape(says)}")
    )
    await expect(button(page, "Look first")).to_have_count(0)
    await choose(page, file("username\nann\n"))
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(button(page, "Look first")).to_be_enabled()


async def test_rosters_are_read_as_they_come(opened: Opening, faults: Faults) -> None:
    page = await opened("#/new?from=roster")
    semicolons = "Given name;Surname;Email\nJürgen;Müller;jm@school.example\n"
    await choose(page, file(b"\xef\xbb\xbf" + semicolons.encode()))
    await expect(page.get_by_text("The one row: 1 can be used.")).to_be_visible()
    await expect(page.get_by_role("row", name=re.compile("jm"))).to_contain_text("Jürgen Müller")
    await choose(page, file("username,name\nann,J\xfcrgen\n".encode("latin-1")))
    await expect(page.get_by_text("Some letters are not UTF-8")).to_be_visible()
    moodle = "username,firstname,lastname,email,cohort1,suspended\na,A,B,a@b.example,c1,0\n"
    await choose(page, file(moodle))
    await expect(page.get_by_text("Recognised: Moodle")).to_be_attached()
    await expect(page.get_by_label("suspended")).to_be_disabled()
    await choose(page, file('{"username": "ann", "groups": ["x", "y"]}\n', "a.ndjson"))
    await expect(page.get_by_role("row", name=re.compile("ann"))).to_contain_text("x; y")
    faults.forgiven.append("422")
    await choose(page, file("Vorname;Nachname\nJ;M\n"))
    await expect(page.get_by_role("alert")).to_contain_text("the header names no usable column")


async def test_somebody_says_what_the_columns_are(system: System, opened: Opening) -> None:
    await system.worker()
    body = {"username": "{{ given_name | lower }}-{{ roll }}"}
    async with system.http.put("/api/templates/school", json=body) as answer:
        assert answer.status == 200
    page = await opened("#/new?from=roster")
    await choose(page, file("First Name,Last Name,Roll,Class\nAnn,Nowak,017,7A\n"))
    await expect(page.get_by_role("row", name=re.compile("ann.nowak"))).to_be_visible()
    await page.get_by_label("Class").select_option("department")
    await expect(page.get_by_text("department: 7A")).to_be_visible()
    await page.get_by_label("Template").select_option("school")
    await expect(page.get_by_role("row", name=re.compile("ann-017"))).to_be_visible()
    await expect(page.get_by_label("Roll", exact=True)).to_be_disabled()
    await button(page, "Create at once").click()
    await expect(page).to_have_url(JOB)
    job = page.url.rpartition("/")[2]
    await system.final(job)
    (made,) = (await system.get(f"/api/jobs/{job}/accounts"))["items"]
    assert (made["username"], made["attributes"]) == ("ann-017", {"department": "7A"})


@pytest.mark.timeout(240)
async def test_a_large_roster_is_sent_from_the_disk_while_the_page_answers(
    system: System, opened: Opening, folder: Path
) -> None:
    large = folder / "large.csv"
    with large.open("w") as rows:
        rows.write("username,name\n")
        rows.writelines(f"u{n},User {n}\n" for n in range(60_000))
    page = await opened("#/new?from=roster")
    await page.evaluate(_WATCHED)
    await choose(page, large)
    await expect(page.get_by_text("The first 100 rows: 100 can be used.")).to_be_visible()
    await button(page, "Create at once").click()
    await expect(page.get_by_role("progressbar")).to_be_visible()
    await expect(page).to_have_url(JOB, timeout=120_000)
    job = await system.get(f"/api/jobs/{page.url.rpartition('/')[2]}")
    assert job["count"] == 60_000
    assert await page.evaluate("window.read") == 64 * 1024
    assert await page.evaluate("window.longest") < 1000


_WATCHED = """() => {  // bytes of the file that the page read; milliseconds without an answer
  window.read = window.longest = 0;
  for (const way of ['arrayBuffer', 'text', 'stream']) {
    const usual = Blob.prototype[way];
    Blob.prototype[way] = function () { window.read += this.size; return usual.call(this); };
  }
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) window.longest = Math.max(window.longest, one.duration);
  }).observe({ type: 'longtask' });
}"""


async def test_an_upload_can_be_stopped(system: System, opened: Opening) -> None:
    page = await opened("#/new?from=roster")
    await choose(page, file("username\n" + "".join(f"u{n}\n" for n in range(2000))))
    begun: list[Route] = []

    async def hold(route: Route) -> None:
        begun.append(route)

    await page.route("**/api/accounts/import**", hold)
    await button(page, "Create at once").click()
    await button(page, "Stop").click()
    await expect(page.get_by_role("alert")).to_contain_text("Nothing was made")
    await expect(button(page, "Create at once")).to_be_enabled()
    assert await jobs(system) == []


async def test_strict_refuses_a_roster_with_its_reason(
    system: System, opened: Opening, faults: Faults
) -> None:
    faults.forgiven.append("422")
    page = await opened("#/new?from=roster")
    await choose(page, file(ROSTER))
    await page.get_by_label("All or nothing").check()
    await button(page, "Create at once").click()
    await expect(page.get_by_role("alert")).to_contain_text("row 3: username begins like a formula")
    assert await jobs(system) == []


async def test_a_key_sees_only_what_it_may_do(
    system: System, opened: Opening, faults: Faults
) -> None:
    faults.forgiven.append("401")
    for role, sees in ((Role.READER, "not ask for accounts"), (Role.SUBMITTER, "How many")):
        key = await key_of(system, role)
        page = await opened("#/new")
        await page.get_by_label("API key").fill(key)
        await button(page, "Sign in").click()
        await expect(page.get_by_text(sees)).to_be_visible()
