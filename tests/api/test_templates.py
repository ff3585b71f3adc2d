"""Templates and mappings, from the request to the accounts, on both databases."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

from botrix.roles import Role
from tests.servers.keys import bearing, make_key, make_tenant
from tests.servers.system import System

SCHOOL = {
    "username": '{{ given_name | slug: "" | first: 1 }}.{{ family_name | slug: "" }}',
    "email": "{{ username }}@school.example",
    "groups": ["class-{{ class | lower }}"],
}
ROSTER = "First Name,Last Name,Class\nJürgen,Müller,7A\nJana,Müller,7B\n,,7B\nAnna,Łoś,7A\n"


async def put(system: System, name: str, body: dict[str, Any], expected: int = 200) -> Any:
    async with system.http.put(f"/api/templates/{name}", json=body) as answer:
        said = await answer.json()
        assert answer.status == expected, said
        return said


async def send(
    system: System, roster: str, expected: int = 202, key: str = "", **query: str
) -> Any:
    headers = {"Content-Type": "text/csv", **({"Idempotency-Key": key} if key else {})}
    async with system.http.post(
        "/api/accounts/import", data=roster.encode(), headers=headers, params=query
    ) as answer:
        said = await answer.json()
        assert answer.status == expected, said
        return said


async def accounts(system: System, job: str) -> list[tuple[str, str, list[str]]]:
    page = await system.get(f"/api/jobs/{job}/accounts")
    return [(one["username"], one["email"], one["groups"]) for one in page["items"]]


async def test_a_roster_becomes_what_its_template_says_and_the_same_again(system: System) -> None:
    await put(system, "school", SCHOOL)
    first = await send(system, ROSTER, template="school")
    assert first["ignored_columns"] == []
    assert [row["row"] for row in first["rows"]] == [4]
    expected = [
        ("j.muller", "j.muller@school.example", ["class-7a"]),
        ("j.muller2", "j.muller2@school.example", ["class-7b"]),
        ("a.los", "a.los@school.example", ["class-7a"]),
    ]
    assert await accounts(system, first["id"]) == expected
    again = await send(system, ROSTER, template="school")
    assert await accounts(system, again["id"]) == expected


async def test_names_that_are_derived_get_numbers_also_without_a_template(system: System) -> None:
    roster = "given_name,family_name,username\nAnna,Meier,\nAnna,Meier,\nA,M,anna.meier\nA,M,x\n"
    job = await send(system, roster)
    assert [name for name, _, _ in await accounts(system, job["id"])] == [
        "anna.meier", "anna.meier2", "x",
    ]  # fmt: skip
    assert job["rows"] == [{"row": 4, "reason": "repeats the user name of row 2"}]


async def test_numbers_go_on_from_batch_to_batch(system: System) -> None:
    roster = "given_name,family_name\n" + "Anna,Meier\n" * 1203
    job = await send(system, roster)
    query = "SELECT username FROM accounts WHERE job_id = ? ORDER BY idx"
    names = [name for (name,) in system.rows(query, job["id"])]
    assert names == ["anna.meier", *(f"anna.meier{n}" for n in range(2, 1204))]


async def test_template_and_mapping_are_part_of_what_was_asked(system: System) -> None:
    await put(system, "school", SCHOOL)
    first = await send(system, ROSTER, key="k", template="school")
    assert (await send(system, ROSTER, key="k", template="school"))["id"] == first["id"]
    await send(system, ROSTER, 422, key="k")
    await send(system, ROSTER, 422, key="k", template="school", mapping='{"Class": null}')
    await put(system, "school", {**SCHOOL, "max_length": 20})
    await send(system, ROSTER, 422, key="k", template="school")


async def test_a_known_header_is_told(system: System) -> None:
    canvas = "user_id,login_id,first_name,last_name,status\n1,bob,Bob,S,active\n2,ed,E,D,deleted\n"
    job = await send(system, canvas)
    assert job["mapping"] == "canvas"
    assert [row["row"] for row in job["rows"]] == [3]
    assert [name for name, _, _ in await accounts(system, job["id"])] == ["bob"]
    said = await send(system, canvas, 422, mapping="moodel")
    assert "there is no mapping" in said["detail"]
    assert "there is no template" in (await send(system, canvas, 422, template="x"))["detail"]


async def test_templates_are_kept_shown_and_removed(system: System) -> None:
    said = await put(system, "b", {"username": "{{ a", "groups": []}, 422)
    assert "cannot be read" in said["detail"]
    await put(system, "b", {"usernme": "x"}, 422)
    for name in ("b", "a", "b"):
        await put(system, name, SCHOOL)
    listed = await system.get("/api/templates")
    assert [one["name"] for one in listed["items"]] == ["a", "b"]
    shown = await system.get("/api/templates/a")
    assert shown["body"] == {**SCHOOL, "attributes": {}, "max_length": 64, "suffixes": True}
    for expected in (204, 404):
        async with system.http.delete("/api/templates/a") as answer:
            assert answer.status == expected
    noted = system.rows("SELECT what, object FROM audit ORDER BY n")
    acts = [what for what, name in noted if name == "a"]
    assert acts == ["template.set", "template.remove"]


async def test_a_preview_tells_what_each_column_means(system: System) -> None:
    async def means(content: str, **asked: Any) -> dict[str, str | None]:
        seen = await system.post("/api/templates/preview", {"content": content, **asked}, 200)
        return {column["name"]: column["means"] for column in seen["columns"]}

    plain = {"User": "username", "E-Mail": "email", "Shoe size": None}
    assert await means("User,E-Mail,Shoe size\na,a@b.example,41\n") == plain
    moodle = await means("username,firstname,lastname,cohort1,suspended\na,A,B,x,0\n")
    assert (moodle["cohort1"], moodle["suspended"]) == ("groups", "check")
    school = await means("First Name,Last Name,Roll\nA,B,7\n", template={"username": "{{ roll }}"})
    assert school["Roll"] == "template"
    assert await means('{"username": "a"}\n', content_type="application/x-ndjson") == {}


async def test_a_preview_is_what_an_import_would_do(system: System) -> None:
    await put(system, "school", SCHOOL)
    job = await send(system, ROSTER, template="school")
    for template in ("school", SCHOOL):
        asked = {"template": template, "content": ROSTER}
        seen = await system.post("/api/templates/preview", asked, 200)
        made = [(r["username"], r["email"], r["groups"]) for r in seen["rows"] if "username" in r]
        assert made == await accounts(system, job["id"])
        assert [row for row in seen["rows"] if "reason" in row] == job["rows"]
    mapped = {"mapping": {"Class": "title"}, "content": ROSTER}
    seen = await system.post("/api/templates/preview", mapped, 200)
    assert seen["rows"][0]["attributes"] == {"title": "7A"}
    assert {"name": "Class", "means": "title"} in seen["columns"]
    many = {"content": "username\n" + "".join(f"u{n}\n" for n in range(300))}
    seen = await system.post("/api/templates/preview", many, 200)
    assert len(seen["rows"]) == 100
    await system.post("/api/templates/preview", {"content": "x" * 65_537}, 422)


async def test_a_template_is_its_tenants_alone(system: System) -> None:
    make_tenant(system, "other")
    foreign = bearing(system, await make_key(system, Role.OPERATOR, "other"))
    mine = bearing(system, await make_key(system, Role.OPERATOR))
    async with mine.put("/api/templates/t", json=SCHOOL) as answer:
        assert answer.status == 200
    async with foreign.put("/api/templates/t", json={"username": "x"}) as answer:
        assert answer.status == 200
    async with mine.get("/api/templates/t") as answer:
        assert (await answer.json())["body"]["username"] == SCHOOL["username"]
    for one in (foreign, mine):
        await one.close()


async def botrix(system: System, *words: str) -> tuple[int | None, str, str]:
    """How it ended, and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *words, "--url", system.url, stdout=PIPE, stderr=PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


async def test_the_commands(system: System, folder: Path) -> None:
    body, roster = folder / "school.json", folder / "class.csv"
    body.write_text(json.dumps(SCHOOL))
    roster.write_text(ROSTER)
    _, said, _ = await botrix(system, "template", "set", "school", str(body))
    assert "botrix template preview school" in said
    _, said, err = await botrix(system, "template", "preview", "school", str(roster))
    assert "j.muller2@school.example" in said
    assert "row 4 left out" in err
    _, said, _ = await botrix(system, "template", "preview", str(body), str(roster), "--json")
    assert len(json.loads(said)["rows"]) == 4
    assert "school" in (await botrix(system, "template", "list"))[1]
    _, said, _ = await botrix(system, "template", "show", "school")
    assert json.loads(said)["username"] == SCHOOL["username"]
    _, said, _ = await botrix(system, "import", str(roster), "--template", "school", "--json")
    assert json.loads(said)["count"] == 3
    assert "was removed" in (await botrix(system, "template", "remove", "school"))[1]


async def test_commands_that_cannot_be_done_say_why(system: System, folder: Path) -> None:
    roster = folder / "class.csv"
    roster.write_text(ROSTER)
    for words, reason in (
        (("template", "show", "x"), "there is no template 'x'; see: botrix template list"),
        (("template", "set", "x", str(roster)), "cannot be read as JSON"),
        (("import", str(roster), "--mapping", '{"Klasse": null}'), "has no column 'Klasse'"),
        (("import", str(roster), "--template", "x"), "there is no template 'x'"),
    ):
        status, _, err = await botrix(system, *words)
        assert (status, err.count("Error")) == (1, 1)
        assert reason in err


async def test_what_failed_keeps_its_name_when_it_comes_again(system: System) -> None:
    """Else the second Anna would be taken for the first, who is there already."""
    system.add_directory("sim", reject="meier2")
    await system.worker()
    roster = "given_name,family_name\nAnna,Meier\nAnna,Meier\nAnna,Meier\n"
    job = await system.final((await send(system, roster, directory="sim"))["id"])
    assert (job["created"], job["failed"]) == (2, 1)
    async with system.http.get(f"/api/jobs/{job['id']}/failed-rows") as answer:
        failed = await answer.text()
    assert "botrix row 3: as anna.meier2: " in failed
    again = await send(system, failed, directory="sim")
    assert [name for name, _, _ in await accounts(system, again["id"])] == ["anna.meier2"]
    mended = failed.replace("Anna,Meier", "Anna,Maier")
    other = await send(system, mended, directory="sim")
    assert [name for name, _, _ in await accounts(system, other["id"])] == ["anna.maier"]
