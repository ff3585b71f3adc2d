"""What the supervisor hands on to the processes that it starts."""

from __future__ import annotations

from pathlib import Path

from botrix.settings import Settings
from botrix.supervisor import Supervisor


def test_what_came_from_a_file_stays_in_it(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"sqlite:///{tmp_path}/s3cret.sqlite\n")
    given = {"BOTRIX_LEDGER_URL_FILE": str(tmp_path / "url"), "HOME": str(tmp_path)}
    settings = Settings.read(given)
    assert settings.ledger_url.endswith("s3cret.sqlite")
    environ = Supervisor(settings, 1, given)._environ
    assert "s3cret" not in str(environ)
    assert Settings.read(environ) == settings
    assert environ["REDIS_URL"] == settings.redis_url
