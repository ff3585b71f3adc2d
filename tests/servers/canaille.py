"""canaille, an identity provider of another author, as a real process: its SCIM API is reached by a
client of its own OAuth 2.0 server, and who was created signs in there."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from botrix.creators.creator import Secret
from botrix.creators.web.authorization import basic
from tests.servers.installed import environment
from tests.servers.system import free_port

CLIENT, SECRET = "botrix", "operators-secret"
GROUP = "staff"
_PORTAL = ("portal", "portals-secret")
"""By which people sign in; the operator's own client may not ask for their passwords."""
_SIGNED = {"Authorization": basic(*_PORTAL)}


def missing() -> str | None:
    """Why there can be no canaille here, or None."""
    try:
        environment("canaille")
    except subprocess.SubprocessError as error:
        words = getattr(error, "stderr", "") or str(error)
        return f"canaille cannot be installed: {words.strip().splitlines()[-1]}"
    return None


class Canaille:
    """url: of its SCIM base. A database of its own, in which there is one group. Ended by pid."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/scim/v2"
        self.token_url = f"http://127.0.0.1:{self.port}/oauth/token"
        self.database = folder / "canaille.sqlite"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def config(self, secret: str = SECRET) -> dict[str, Any]:
        """Of a `scim` directory."""
        return {
            "url": self.url, "token_url": self.token_url, "client_id": CLIENT,
            "client_secret": Secret(secret),
        }  # fmt: skip

    def begin(self) -> None:
        """Blocks, as does `start`: it is for whole runs of tests."""
        shutil.copy(_seeded(), self.database)
        self.start()

    def start(self) -> None:
        with (self._folder / "canaille.log").open("ab") as log:
            self._process = subprocess.Popen(
                _command("run", "--bind", f"127.0.0.1:{self.port}"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder,
                env=_environ(self.database), start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 90
        while not self._answers():
            assert time.monotonic() < deadline, f"canaille does not answer at {self.url}"
            time.sleep(0.1)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)  # it has workers of its own
            process.wait()

    def empty(self) -> None:
        """As it was at first."""
        for table in ("membership_association_table", "token", "user"):
            self._change(f"DELETE FROM {table}")

    async def logs_in(self, username: str, password: str) -> bool:
        """By the grant of RFC 6749, 4.3. Two tokens of one second and user are the same to it, and
        then cannot be stored; so there is none yet."""
        self._change("DELETE FROM token WHERE subject_id IS NOT NULL")
        form = {"grant_type": "password", "username": username, "password": password}
        async with (
            aiohttp.ClientSession(headers=_SIGNED) as session,
            session.post(self.token_url, data=form) as answer,
        ):
            assert answer.status in (200, 400), await answer.text()
            return answer.status == 200

    def revoke(self) -> None:
        """Every token that was given out."""
        self._change("DELETE FROM token")

    def created(self) -> Counter[str]:
        """How many users there are of each name."""
        return Counter(name for (name,) in self.rows("SELECT user_name FROM user"))

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database, timeout=10)) as db:
            return db.execute(sql, values).fetchall()

    def _change(self, sql: str) -> None:
        with closing(sqlite3.connect(self.database, timeout=10)) as db, db:
            db.execute(sql)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "canaille.log").read_text()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/scim/v2/ServiceProviderConfig")
            return connection.getresponse().status == 401
        except OSError:
            return False
        finally:
            connection.close()


def _seeded() -> Path:
    """A database with what every test needs, made once: the program takes its time to start."""
    folder = environment("canaille")
    how = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    kept = folder / f"seeded-{how}.sqlite"
    if not kept.exists():
        with TemporaryDirectory(dir=folder) as made:
            path = Path(made, "canaille.sqlite")
            _run(path, "db", "upgrade")
            _client(path, CLIENT, SECRET, "client_credentials")
            _client(path, *_PORTAL, "password")
            _run(path, "create", "group", "--display-name", GROUP)
            path.rename(kept)
    return kept


def _client(database: Path, name: str, secret: str, grant: str) -> None:
    _run(
        database, "create", "client", "--client-id", name, "--client-name", name,
        "--client-secret", secret, "--grant-types", grant,
        "--token-endpoint-auth-method", "client_secret_basic",
    )  # fmt: skip


def _run(database: Path, *arguments: str) -> None:
    subprocess.run(
        _command(*arguments), check=True, capture_output=True, text=True, timeout=120,
        cwd=database.parent, env=_environ(database),
    )  # fmt: skip


def _command(*arguments: str) -> list[str]:
    return [str(environment("canaille") / "bin" / "canaille"), *arguments]


def _environ(database: Path) -> dict[str, str]:
    return {
        **os.environ,
        "SECRET_KEY": "of a test",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE_SQL__DATABASE_URI": f"sqlite:///{database}",
        "PYTHONWARNINGS": "ignore",
    }
