"""What `botrix secrets` makes, and how files take the place of variables."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from botrix import key_ring
from botrix.cli import main
from botrix.errors import SettingsError
from botrix.settings import Settings


def _made(folder: Path) -> dict[str, bytes]:
    result = CliRunner().invoke(main, ["secrets", "--folder", str(folder)])
    assert result.exit_code == 0, result.output
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    for content in files.values():  # what is printed ends in a log
        assert content.decode(errors="replace").strip() not in result.output
    return files


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    assert _made(tmp_path) == _made(tmp_path)


@pytest.mark.parametrize("lost", ["app/ledger_url", "line/users.acl", "door/api_key"])
def test_what_is_missing_is_made_to_fit_the_rest(tmp_path: Path, lost: str) -> None:
    before = _made(tmp_path)
    (tmp_path / lost).unlink()
    after = _made(tmp_path)
    same = {name for name in before if before[name] == after[name]}
    assert same == (set(before) if lost != "door/api_key" else set(before) - {lost})


def test_users_hold_hashes_of_the_passwords_in_use(tmp_path: Path) -> None:
    made = {
        name: content.decode(errors="replace").strip() for name, content in _made(tmp_path).items()
    }
    password = urlsplit(made["app/redis_url"]).password
    assert password
    users = made["line/users.acl"]
    for secret in (password, made["line/viewer"], made["line/scaler"]):
        assert secret not in users
        assert hashlib.sha256(secret.encode()).hexdigest() in users
    assert urlsplit(made["app/ledger_url"]).password == made["ledger/password"]
    assert len({*made.values()}) == len(made)


def test_two_installations_share_nothing(tmp_path: Path) -> None:
    one, other = _made(tmp_path / "one"), _made(tmp_path / "other")
    assert not set(one.values()) & set(other.values())


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("in the way")
    result = CliRunner().invoke(main, ["secrets", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert result.output.endswith("give another --folder\n")


def test_a_file_gives_what_the_variable_would(tmp_path: Path) -> None:
    _made(tmp_path)
    settings = Settings.read({
        "BOTRIX_LEDGER_URL_FILE": str(tmp_path / "app" / "ledger_url"),
        "REDIS_URL_FILE": str(tmp_path / "app" / "redis_url"),
        "BOTRIX_API_KEY_FILE": str(tmp_path / "door" / "api_key"),
        "BOTRIX_SEALING_KEY_FILE": str(tmp_path / "app" / "sealing.key"),
    })  # fmt: skip
    assert settings.ledger_url == (tmp_path / "app" / "ledger_url").read_text().strip()
    assert settings.api_key.startswith("btx_")
    assert not key_ring.read(settings.sealing_key_file).raw
    for secret in (settings.ledger_url, settings.redis_url, settings.api_key):
        assert secret not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"REDIS_URL_FILE": "/nowhere/at/all"}, "cannot be read"),
        ({"REDIS_URL_FILE": os.devnull, "REDIS_URL": "redis://x"}, "unset one"),
        ({"BOTRIX_API_KEY_FILE": "/"}, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Settings.read(environ)
