"""What the supervisor hands on to the processes that it starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from botrix.cli.serving import first_commands
from botrix.errors import SettingsError
from botrix.settings import Settings
from botrix.supervisor import Supervisor

_HERE = Path(sys.executable).parent


def test_what_came_from_a_file_stays_in_it(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"sqlite:///{tmp_path}/s3cret.sqlite\n")
    given = {"BOTRIX_LEDGER_URL_FILE": str(tmp_path / "url"), "HOME": str(tmp_path)}
    settings = Settings.read(given)
    assert settings.ledger_url.endswith("s3cret.sqlite")
    environ = Supervisor(settings, 1, given)._environ
    assert "s3cret" not in str(environ)
    assert Settings.read(environ) == settings
    assert environ["REDIS_URL"] == settings.redis_url


def test_each_worker_has_a_port_of_its_own(tmp_path: Path) -> None:
    given = {"BOTRIX_METRICS_PORT": "9461", "HOME": str(tmp_path)}
    supervisor = Supervisor(Settings.read(given), 2, given)
    ports = [supervisor.environ_of(f"worker-{n}")["BOTRIX_METRICS_PORT"] for n in (1, 2)]
    assert ports == ["9461", "9462"]
    without = Supervisor(Settings.read({"HOME": str(tmp_path)}), 2, {"HOME": str(tmp_path)})
    assert "BOTRIX_METRICS_PORT" not in without.environ_of("worker-1")


def test_a_worker_that_people_look_at_is_heard_often(tmp_path: Path) -> None:
    """Every half a minute is enough for programs; whoever opens the page waits two seconds."""
    for given, expected in (({}, "2"), ({"HEALTH_CHECK_INTERVAL": "9"}, "9")):
        environ = {"HOME": str(tmp_path), **given}
        supervisor = Supervisor(Settings.read(environ), 1, environ)
        assert supervisor.environ_of("worker-1")["HEALTH_CHECK_INTERVAL"] == expected


@pytest.mark.parametrize(("path", "told"), [("/usr/bin", True), (str(_HERE), False)])
def test_its_commands_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, told: bool
) -> None:
    if not (_HERE / "botrix").exists():
        pytest.skip("botrix is not installed beside this Python")
    monkeypatch.setenv("PATH", path)
    said = first_commands(Settings.read({"HOME": str(tmp_path)}))
    assert (f'  export PATH="{_HERE}:$PATH"\n' in said) is told


@pytest.mark.parametrize("port", ["-1", "65536", "http", "9.5"])
def test_a_port_that_is_none(port: str) -> None:
    with pytest.raises(SettingsError, match="BOTRIX_METRICS_PORT"):
        Settings.read({"BOTRIX_METRICS_PORT": port})
