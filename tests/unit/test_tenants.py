"""`botrix tenant`, and directories of tenants: what an operator types."""

from __future__ import annotations

import json
import os
from asyncio import to_thread
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from botrix.cli import main
from botrix.ledger.migrate import upgrade
from botrix.services import Services
from botrix.settings import Settings

_QUOTAS = ("open_jobs", "accounts_per_job", "accounts_per_day", "requests_per_minute")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOTRIX_DATA", str(tmp_path))
    upgrade(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    return tmp_path


def said(*words: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == status, result.output
    return result


def listed() -> dict[str, dict[str, object]]:
    rows = json.loads(said("tenant", "list", "--json").stdout)
    return {row["id"]: row for row in rows}


@pytest.mark.usefixtures("data")
def test_quotas_are_set_and_taken_away() -> None:
    assert [listed()["default"][name] for name in _QUOTAS] == [None] * 4
    told = said("tenant", "create", "acme", "--open-jobs", "50", "--accounts-per-day", "0").output
    assert "--tenant acme" in told
    said("tenant", "set", "acme", "--open-jobs", "none", "--requests-per-minute", "600")
    assert [listed()["acme"][name] for name in _QUOTAS] == [None, None, 0, 600]
    days = ("--password-days", "7", "--retention-days", "90")
    (row,) = json.loads(said("tenant", "set", "acme", *days, "--json").stdout)
    assert (row["password_days"], row["retention_days"]) == (7, 90)
    acts = said("audit", "export", "--tenant", "acme").stdout
    assert [json.loads(line)["what"] for line in acts.splitlines()] == [
        "tenant.create", "tenant.set", "tenant.set",
    ]  # fmt: skip


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("create", "Acme"), "small letters"),
        (("create", "a" * 41), "small letters"),
        (("create", "-a"), "no such option|small letters|No such option"),
        (("create", "default"), "already"),
        (("set", "nobody", "--open-jobs", "1"), "no tenant 'nobody'"),
        (("set", "default", "--open-jobs", "-1"), "no quota"),
        (("set", "default", "--open-jobs", "9999999999"), "no quota"),
        (("set", "default", "--open-jobs", "x"), "no quota"),
        (("set", "default"), "nothing is to be set"),
    ],
)
def test_what_cannot_be_used_is_told(words: tuple[str, ...], told: str) -> None:
    result = CliRunner().invoke(main, ["tenant", *words])
    assert result.exit_code in (1, 2)
    assert any(part in result.output for part in told.split("|")), result.output
    assert list(listed()) == ["default"]


async def test_each_tenant_has_directories_of_its_own(data: Path) -> None:
    """Also those of kind local, which without a setting have a file each."""
    await to_thread(said, "tenant", "create", "acme")
    add = ("directory", "add", "local", "--kind", "local")
    assert "acme" in (await to_thread(said, *add, "--tenant", "acme")).output
    assert "nobody" in (await to_thread(said, *add, "--tenant", "nobody", status=1)).output
    await to_thread(said, "directory", "check", "local", "--tenant", "acme")
    rows = (await to_thread(said, "directory", "list", "--tenant", "acme", "--json")).stdout
    assert [row["name"] for row in json.loads(rows)] == ["local"]
    async with Services(Settings.read(data=data)) as services:
        for tenant in ("acme", "default"):
            await services.directories.creator(tenant, "local")
    names = {name for name in await to_thread(os.listdir, data) if name.startswith("local-")}
    assert {"local-directory.sqlite", "local-directory-acme.sqlite"} <= names
