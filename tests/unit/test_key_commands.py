"""`botrix key` and `botrix audit`, as people at a terminal see them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from botrix.cli import main
from botrix.keys import read_key
from botrix.ledger.migrate import upgrade


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    upgrade(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    monkeypatch.setenv("BOTRIX_DATA", str(tmp_path))
    return tmp_path


def _run(*command: str) -> Result:
    return CliRunner().invoke(main, command)


def _created(*more: str) -> str:
    done = _run("key", "create", "--role", "reader", "--name", "Ann", *more)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


@pytest.mark.usefixtures("data")
def test_a_key_is_made_listed_and_revoked() -> None:
    text = _created("--expires", "12h")
    key = read_key(text)
    assert key is not None
    rows = json.loads(_run("key", "list", "--json").stdout)
    assert [(row["id"], row["role"], row["good"]) for row in rows] == [(key.id, "reader", True)]
    assert key.secret not in str(rows)
    assert _run("key", "revoke", key.id).exit_code == 0
    assert json.loads(_run("key", "list", "--json").stdout)[0]["good"] is False
    again = _run("key", "revoke", key.id)
    assert (again.exit_code, again.stderr) == (1, f"Error: key {key.id} was revoked before\n")


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--expires", "soon"), "no span of time"),
        (("--expires", "0d"), "no span of time"),
        (("--tenant", "nobody"), "there is no tenant 'nobody'"),
        (("--name", "a\nb"), "printable"),
        (("--name", ""), "printable"),
        (("--role", "root"), "'root' is not one of"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_line(more: tuple[str, ...], said: str) -> None:
    done = _run("key", "create", "--role", "reader", "--name", "Ann", *more)
    assert done.exit_code != 0
    assert said in done.stderr
    assert json.loads(_run("key", "list", "--json").stdout) == []


def _tampered(data: Path, *statements: str) -> None:
    """By somebody who may write to the database."""
    with closing(sqlite3.connect(data / "ledger.sqlite")) as db:
        db.execute("DROP TRIGGER audit_no_update")
        db.execute("DROP TRIGGER audit_no_delete")
        for sql in statements:
            db.execute(sql)
        db.commit()


def test_an_untouched_record_is_whole(data: Path) -> None:
    for _ in range(3):
        _created()
    done = _run("audit", "verify")
    assert done.exit_code == 0
    assert done.stdout.startswith("3 lines, none missing or changed; it ends with 3:")
    lines = [json.loads(line) for line in _run("audit", "export").stdout.splitlines()]
    assert [(line["n"], line["what"], line["who"][:8]) for line in lines] == [
        (n, "key.create", "console:") for n in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        (["UPDATE audit SET who = 'key:0' WHERE n = 2"], "line 2 was changed"),
        (["UPDATE audit SET at = at + 1 WHERE n = 1"], "line 1 was changed"),
        (["UPDATE audit SET detail = 'x', hash = 'y' WHERE n = 3"], "line 3 was changed"),
        (["DELETE FROM audit WHERE n = 2"], "line 2 is missing"),
        (["DELETE FROM audit WHERE n = 1"], "line 1 is missing"),
        (["DELETE FROM audit WHERE n = 3"], "the last lines are missing"),
        (
            ["DELETE FROM audit WHERE n = 2", "UPDATE audit SET n = 2 WHERE n = 3"],
            "line 2 was changed",
        ),
    ],
)
def test_a_line_that_is_missing_or_changed_is_found(
    data: Path, statements: list[str], problem: str
) -> None:
    for _ in range(3):
        _created()
    _tampered(data, *statements)
    done = _run("audit", "verify")
    assert done.exit_code == 1
    assert problem in done.stdout


def test_an_end_that_was_written_down_must_still_be_there(data: Path) -> None:
    _created()
    end = json.loads(_run("audit", "verify", "--json").stdout)["end"]
    _created()
    assert _run("audit", "verify", "--expect", end).exit_code == 0
    assert _run("audit", "verify", "--expect", f"1:{'0' * 64}").exit_code == 1
    later = json.loads(_run("audit", "verify", "--json").stdout)["end"]
    _tampered(
        data,
        "DELETE FROM audit WHERE n = 2",
        "UPDATE tenants SET audit_n = 1, audit_hash = (SELECT hash FROM audit WHERE n = 1)",
    )
    assert _run("audit", "verify").exit_code == 0  # a chain of its own, as far as it tells
    done = _run("audit", "verify", "--expect", later)
    assert "there was a line 2" in done.stdout
    assert _run("audit", "verify", "--expect", "no end").exit_code == 1


def test_the_record_is_append_only(data: Path) -> None:
    _created()
    with closing(sqlite3.connect(data / "ledger.sqlite")) as db:
        for sql in ("UPDATE audit SET who = ''", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(sql)
