"""What failed of a roster comes back as it was sent, to who may have it, as long as it is kept."""

from __future__ import annotations

import asyncio
import io
import json
import stat
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from botrix.cli import main
from botrix.ledger import keeping
from botrix.ledger.keeping import Rule
from botrix.roles import Role
from botrix.services import open_ledger
from tests.api.test_password_commands import _run
from tests.servers.keys import bearing, make_key, make_tenant
from tests.servers.system import System

CSV, NDJSON = "text/csv", "application/x-ndjson"
_ROSTER = (
    "\ufeffuser;Name;Password;Room\r\n"
    "ada;Ada;s3cret-a;007\r\n"
    'bad-bob;"Bob; ""B""";"s3;cret""b";\r\n'
    "bad-eve;Eve;;1\r\n"
    "ADA;Other;s3cret-c;2\r\n"
    "zoe;Zoë\r\n"
    'kim;"K\r\nM";s3cret-d;3\r\n'
).encode()
_FAILED = (
    "\ufeffuser;Name;Password;Room;botrix_reason\r\n"
    'bad-bob;"Bob; ""B""";"s3;cret""b";;"botrix row 3: rejected: refused on demand"\r\n'
    'bad-eve;Eve;;1;"botrix row 4: rejected: refused on demand"\r\n'
    'ADA;Other;s3cret-c;2;"botrix row 5: repeats the user name of row 2"\r\n'
    'zoe;Zoë;"botrix row 6: has 2 cells where the header has 4; put a cell that holds the delimiter'
    ' in quotes"\r\n'
    'kim;"K\r\nM";s3cret-d;3;"botrix row 7: display_name contains a line break; remove it, or close'
    ' the quote before it"\r\n'
)


async def _import(system: System, body: bytes, kind: str = CSV) -> dict[str, Any]:
    asked = system.http.post(
        "/api/accounts/import?directory=sim",
        data=io.BytesIO(body),
        headers={"Content-Type": kind},
    )
    async with asked as answer:
        assert answer.status == 202
        return dict(await answer.json())


async def _ended(system: System, body: bytes, kind: str = CSV) -> str:
    """Of whose rows those with `bad-` in their names are refused."""
    system.add_directory("sim", reject="bad-")
    await system.worker()
    return str((await system.final((await _import(system, body, kind))["id"]))["id"])


async def _file(http: aiohttp.ClientSession, job: str) -> tuple[int, Any, Any]:
    async with http.get(f"/api/jobs/{job}/failed-rows") as answer:
        if answer.status == 200:
            return 200, (await answer.read()).decode(), answer.headers
        return answer.status, (await answer.json(content_type=None))["detail"], answer.headers


async def test_failed_rows_come_as_they_were_sent_and_can_be_sent_again(system: System) -> None:
    job = await _ended(system, _ROSTER)
    status, text, headers = await _file(system.http, job)
    assert (status, text) == (200, _FAILED)
    told = ("Botrix-Rows", "Botrix-Left", "Botrix-Passwords")
    assert [headers[name] for name in told] == ["5", "0", "yes"]
    assert headers["Content-Disposition"] == f'attachment; filename="{job}-failed.csv"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    acts = system.rows("SELECT what, object, detail FROM audit WHERE what = 'job.failed-rows'")
    assert acts == [("job.failed-rows", job, "5 rows")]
    again = await _import(system, text.encode())
    assert (again["count"], again["bad_rows"], again["ignored_columns"]) == (3, 2, ["Room"])
    assert again["failed_rows"] == f"/api/jobs/{again['id']}/failed-rows"
    second = await system.final(again["id"])
    assert (second["existing"], second["failed"]) == (1, 2), "ADA is there already"
    _, third, _ = await _file(system.http, again["id"])
    assert third.count("botrix_reason") == 1
    mended = text.replace("bad-", "").replace("zoe;Zoë", "zoe;Zoë;;").replace("K\r\nM", "KM")
    good = await _import(system, mended.replace("ADA;", "ada2;").encode())
    assert (good["count"], good["bad_rows"], good["failed_rows"]) == (5, 0, None)
    assert (await system.final(good["id"]))["created"] == 5


async def test_ndjson_comes_back_as_ndjson(system: System) -> None:
    lines = [
        {"username": "ada", "password": "s3cret-a"},
        {"username": "bad-bob", "groups": ["a", "b"], "password": 's3"cret'},
        {"username": "zoe", "room": 7},
    ]
    job = await _ended(system, b"\n".join(json.dumps(x).encode() for x in lines), NDJSON)
    status, text, headers = await _file(system.http, job)
    assert (status, headers["Content-Type"]) == (200, NDJSON)
    found = [json.loads(line) for line in text.splitlines()]
    reasons = [line.pop("botrix_reason") for line in found]
    assert found == lines[1:]
    assert reasons[0] == "botrix row 2: rejected: refused on demand"
    assert reasons[1].startswith("botrix row 3: Object contains unknown field")


async def test_what_may_hold_passwords_needs_a_key_that_may_reveal(system: System) -> None:
    secret = await _ended(system, b"username,password\nbad-ada,s3cret\n")
    plain = (await _import(system, b"username\nbad-ada\n\nbob,x\n"))["id"]
    await system.final(plain)
    generated = await system.generate(1, directory="sim")
    make_tenant(system, "other")
    wanted = {
        Role.READER: (403, 200), Role.SUBMITTER: (403, 200), Role.OPERATOR: (403, 200),
        Role.REVEALER: (200, 200), Role.ADMIN: (200, 200),
    }  # fmt: skip
    for role, statuses in wanted.items():
        async with bearing(system, await make_key(system, role)) as http:
            found = [await _file(http, job) for job in (secret, plain)]
            assert tuple(status for status, _, _ in found) == statuses, role
            assert ("s3cret" in found[0][1]) is (statuses[0] == 200)
            assert found[1][1].count("botrix row") == 2
            status, said, _ = await _file(http, generated)
            assert (status, f"/api/jobs/{generated}/retry" in said) == (409, True)
    assert system.rows("SELECT count(*) FROM audit WHERE what = 'job.failed-rows'") == [(2,)]
    async with bearing(system, await make_key(system, tenant="other")) as http:
        assert [(await _file(http, job))[0] for job in (secret, plain, "none")] == [404] * 3


async def test_nothing_of_it_lies_open_and_nothing_is_left_of_it(system: System) -> None:
    job = await _ended(system, _ROSTER)
    (chunk,) = system.rows("SELECT first_row, last_row, sealed FROM roster_chunks")
    assert chunk[:2] == (2, 7)
    assert b"s3cret" not in bytes(chunk[2])
    (layout,) = system.rows("SELECT layout FROM jobs WHERE id = ?", job)
    assert "s3cret" not in layout[0]
    assert "layout" not in await system.get(f"/api/jobs/{job}")
    system.rows("UPDATE accounts SET sealed = NULL WHERE row = 3 RETURNING idx")
    _, text, _ = await _file(system.http, job)
    assert 'bad-bob;"Bob; ""B""";;;"botrix row 3' in text, "its password was erased before"
    system.rows("UPDATE jobs SET finished_at = 1000 RETURNING id")
    system.rows("UPDATE accounts SET updated_at = 1000 RETURNING idx")
    ledger = open_ledger(system.direct_url)
    try:
        assert [step.done async for step in keeping.erase(ledger, Rule(30, 0))] == [False, True]
    finally:
        await ledger.close()
    assert system.rows("SELECT count(*) FROM roster_chunks") == [(0,)]
    status, said, _ = await _file(system.http, job)
    assert (status, "was erased, as its time was over" in said) == (410, True)
    system.rows("UPDATE jobs SET layout = NULL RETURNING id")  # as an earlier release left it
    status, said, _ = await _file(system.http, job)
    assert (status, "not kept by the release" in said) == (410, True)


async def test_what_was_taken_back_leaves_no_rows(system: System) -> None:
    body, kind = b"username\n" + b"ann\n" * 700 + b"=x\n", {"Content-Type": CSV}
    for query in ("strict=true", "directory=none"):
        async with system.http.post(
            f"/api/accounts/import?{query}", data=body, headers=kind
        ) as answer:
            assert answer.status == 422
    keyed = kind | {"Idempotency-Key": "k"}
    for wanted in (1, 1):
        asked = system.http.post("/api/accounts/import", data=b"username\nbob\n", headers=keyed)
        async with asked as answer:
            assert answer.status == 202
        assert system.rows("SELECT count(*) FROM roster_chunks") == [(wanted,)]


async def test_a_long_roster_comes_in_order_and_whole(system: System) -> None:
    """In many chunks, some of them without any row that failed, some of long rows."""
    lines = [b"username,note"]
    for n in range(1, 12_001):
        bad = n % 1000 < 3 or n > 11_900
        long = b"x" * (60_000 if 3000 < n < 3060 else 3)
        lines.append(
            (b"bad-%d," if bad else b"a%d,") % n + long + (b",x" if n % 3000 == 5 else b"")
        )
        if n % 4000 == 0:
            lines += [b""] * 3
    job = await _ended(system, b"\n".join(lines))
    status, text, headers = await _file(system.http, job)
    assert status == 200
    found = text.splitlines()[1:]
    wanted = [
        number for number, line in enumerate(lines, 1)
        if line.startswith(b"bad-") or line.endswith(b",x")
    ]  # fmt: skip
    assert [int(line.split("botrix row ")[1].split(":")[0]) for line in found] == wanted
    assert headers["Botrix-Rows"] == str(len(found)) == str(len(wanted))
    assert all(
        line.startswith(lines[n - 1].decode()) for n, line in zip(wanted, found, strict=True)
    )
    assert system.rows("SELECT count(*) FROM roster_chunks")[0][0] > 24


async def test_the_command_writes_a_file_that_can_be_imported(
    system: System, tmp_path: Path
) -> None:
    job, out = await _ended(system, _ROSTER), tmp_path / "failed.csv"
    code, said, err = await _run(system, "failed-rows", job, "--out", str(out))
    assert (code, said) == (0, f"{out}: 5 rows; mend them, then: botrix import {out}\n")
    assert "passwords in the clear" in err
    assert out.read_bytes().decode() == _FAILED
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    code, _, err = await _run(system, "failed-rows", job, "--out", str(out))
    assert (code, "cannot be made (File exists)" in err) == (1, True)
    other = tmp_path / "failed.ndjson"
    code, _, err = await _run(system, "failed-rows", job, "--out", str(other))
    assert (code, "the roster was CSV" in err, other.exists()) == (1, True, False), err
    code, said, err = await _run(system, "import", str(out), "--directory", "sim", "--watch")
    assert code == 1, "some are refused again"
    latest = system.rows("SELECT id FROM jobs ORDER BY created_at DESC LIMIT 1")[0][0]
    assert f"botrix failed-rows {latest} --out FILE" in err
    code, said, _ = await _run(system, "failed-rows", "none", "--out", str(other))
    assert (code, other.exists()) == (1, False)
    fine = (await _import(system, b"username\nfine\n"))["id"]
    await system.final(fine)
    code, said, _ = await _run(system, "failed-rows", fine, "--out", str(other), "--json")
    assert (code, json.loads(said)) == (0, {"rows": 0, "left": 0, "file": None})
    assert not other.exists()


async def test_what_is_erased_meanwhile_is_no_whole_file(system: System) -> None:
    system.add_directory("sim")
    line = b"%d," + b"x" * 20_000 + b",one too many\n"
    job = (await _import(system, b"username,x\n" + b"".join(line % n for n in range(2000))))["id"]
    async with system.http.get(f"/api/jobs/{job}/failed-rows") as answer:
        assert answer.status == 200
        assert await answer.content.readline() == b"username,x,botrix_reason\n"
        system.rows("DELETE FROM roster_chunks WHERE first_row < 100 RETURNING first_row")
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


@pytest.mark.parametrize("path", ["/api/jobs/{}/failed-rows", "/api/audit/export"])
async def test_who_hangs_up_keeps_nobody_waiting(system: System, path: str) -> None:
    """At any moment of the reading: a transaction that is left open would shut others out."""
    system.add_directory("sim")
    rows = b"".join(b"%d,x,one too many\n" % n for n in range(5000))
    job = (await _import(system, b"username,x\n" + rows))["id"]
    for _ in range(40):
        await _import(system, b"username\n")
    for n in range(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", system.settings.port)
        head = f"GET {path.format(job)} HTTP/1.1\r\nHost: 127.0.0.1:{system.settings.port}\r\n\r\n"
        writer.write(head.encode())
        await reader.read(100)
        await asyncio.sleep(n % 10 * 0.002)  # fmt: skip
        writer.transport.abort()
        async with asyncio.timeout(4):
            await system.generate(1, directory="sim")


class _Breaking(BaseHTTPRequestHandler):
    """An API that dies in the middle of an answer."""

    def do_GET(self) -> None:
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nBotrix-Rows: 2\r\nBotrix-Left: 0\r\n"
            b"Botrix-Passwords: no\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nada,x\r\n"
        )

    def log_message(self, *_: Any) -> None:
        pass


def test_a_file_that_broke_off_is_no_file(tmp_path: Path) -> None:
    out = tmp_path / "failed.csv"
    with HTTPServer(("127.0.0.1", 0), _Breaking) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            done = CliRunner().invoke(main, ["failed-rows", "j", "--out", str(out), "--url", url])
        finally:
            server.shutdown()
            thread.join()
    assert (done.exit_code, out.exists()) == (1, False), done.output
    assert "broke off" in done.output
