"""Keycloak as a real process: fetched once by Maven, built once, a realm of its own for each test.

Its database is in memory, so that a new process knows nothing of the last one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import requests

from tests.servers.installed import TOOLS, alone
from tests.servers.system import free_port

VERSION = "26.7.3"
_SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy"
_OLDEST_JAVA = 17
ADMIN = ("operator", "operators-password")
"""An administrator of the whole server."""
CLIENT = ("botrix", "operators-secret")
"""The service account of every realm; it may manage users and nothing else."""
SEATS = "seats"
"""A public client of every realm, at which people sign in by their password."""


class Said(NamedTuple):
    """What the server answered."""

    status: int
    body: Any


def missing() -> str | None:
    """Why there can be no Keycloak here, or None. Raises AssertionError for a changed archive."""
    if java() is None:
        return f"there is no Java {_OLDEST_JAVA}; on Debian: apt-get install default-jdk-headless"
    if shutil.which("mvn") is None:
        return "there is no Maven; on Debian: apt-get install maven"
    try:
        distribution()
    except subprocess.CalledProcessError as error:
        return f"Keycloak {VERSION} cannot be had: {error.stdout[-300:]} {error.stderr[-300:]}"
    return None


@cache
def java() -> Path | None:
    """The home of a Java that is new enough, the one that is named first."""
    named = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    if on_path:
        named.append(Path(on_path).resolve().parents[1])
    for home in [*named, *sorted(Path("/usr/lib/jvm").glob("*"))]:
        if (home / "bin" / "java").exists() and _major(home) >= _OLDEST_JAVA:
            return home
    return None


def _major(home: Path) -> int:
    said = subprocess.run(
        [home / "bin" / "java", "-version"], capture_output=True, text=True, check=False
    )
    found = re.search(r'version "(\d+)', said.stderr)
    return int(found[1]) if found else 0


@cache
def distribution() -> Path:
    """Unpacked and built for a database in memory; kept in `.tools/`."""
    made = TOOLS / f"keycloak-{_SHA256[:12]}"
    with alone("keycloak"):
        if not (made / "ready").exists():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir(parents=True)
            archive = _archive(made)
            shutil.unpack_archive(archive, made)
            archive.unlink()
            script = made / f"keycloak-{VERSION}" / "bin" / "kc.sh"
            _run("sh", script, "build", "--db=dev-mem")
            (made / "ready").touch()
    return made / f"keycloak-{VERSION}"


def _archive(folder: Path) -> Path:
    """Maven asks where its own settings say."""
    _run("mvn", "-q", "-B", _COPY, f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={folder}")
    (archive,) = folder.glob("*.zip")
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    assert found == _SHA256, f"{archive} is another one than {_SHA256}; look why, then correct it"
    return archive


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=600, env=_environ())


def _environ() -> dict[str, str]:
    return {
        **os.environ,
        "JAVA_HOME": str(java()),
        "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
        "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN[0],
        "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN[1],
    }


class Keycloak:
    """url: where it listens, on loopback. Ended by pid."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        self._until = 0.0

    def begin(self) -> None:
        """From a folder of its own, into which its data go; what it runs is only linked there."""
        home = distribution()
        (self._folder / "bin").mkdir()
        shutil.copy(home / "bin" / "kc.sh", self._folder / "bin")
        for name in ("lib", "conf", "providers", "themes"):
            (self._folder / name).symlink_to(home / name)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", self._folder / "bin" / "kc.sh", "start", "--optimized", "--cache=local",
                 "--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={self.port}",
                 "--hostname-strict=false"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environ(),
                start_new_session=True,  # its script keeps Java as a child
            )  # fmt: skip
        self._wait(120)

    def stop(self) -> None:
        process, self._process = self._process, None
        self._session.close()
        if process is None:
            return
        process.terminate()  # the script ends Java, and then itself
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def ask(self, method: str, path: str, body: Any = None) -> Said:
        """As the administrator of the server. path: below `/admin/realms`."""
        if time.monotonic() > self._until:
            said = self.sign_in("master", "admin-cli", *ADMIN)
            self._session.headers["Authorization"] = f"Bearer {said.body['access_token']}"
            self._until = time.monotonic() + 30
        answer = self._session.request(method, f"{self.url}/admin/realms{path}", json=body)
        return Said(answer.status_code, answer.json() if answer.content else None)

    def sign_in(self, realm: str, client: str, username: str, password: str) -> Said:
        grant = {"grant_type": "password", "username": username, "password": password}
        return self.token(realm, client_id=client, **grant)

    def token(self, realm: str, **form: str) -> Said:
        path = f"{self.url}/realms/{quote(realm)}/protocol/openid-connect/token"
        answer = requests.post(path, data=form)
        return Said(answer.status_code, answer.json())

    def _wait(self, within: float) -> None:
        process, deadline = self._process, time.monotonic() + within
        while not self._answers():
            assert process is not None
            ended = process.poll() is not None or time.monotonic() > deadline
            assert not ended, (self._folder / "log").read_text()[-3000:]
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/realms/master", timeout=5).ok
        except requests.ConnectionError:
            return False


class Realm:
    """A realm of its own, in which CLIENT may manage users, and only administrators attributes that
    the user profile does not name."""

    def __init__(self, server: Keycloak, name: str) -> None:
        self.server = server
        self.name = name
        self._path = f"/{quote(name, safe='')}"
        said = server.ask("POST", "", _representation(name))
        assert said.status == 201, said
        self.unmanaged("ADMIN_EDIT")

    def unmanaged(self, policy: str | None) -> None:
        """For attributes that its user profile does not name; None, as of a new realm, drops
        them."""
        profile = self.ask("GET", "/users/profile").body
        profile.pop("unmanagedAttributePolicy", None)
        self.profile({**profile, "unmanagedAttributePolicy": policy} if policy else profile)

    def settings(self, folder: Path, **more: str) -> dict[str, str]:
        """Of a directory, whose secret is put into the folder."""
        client, secret = CLIENT
        file = folder / "client-secret"
        file.write_text(secret)
        own = {"client_id": client, "client_secret_file": str(file)}
        return {"url": self.server.url, "realm": self.name, **own, **more}

    def ask(self, method: str, path: str = "", body: Any = None) -> Said:
        return self.server.ask(method, self._path + path, body)

    def change(self, **settings: Any) -> None:
        assert self.ask("PUT", "", settings).status == 204

    def profile(self, profile: dict[str, Any]) -> None:
        assert self.ask("PUT", "/users/profile", profile).status == 200

    def grant(self, *roles: str) -> None:
        """CLIENT has these, and no others."""
        client, _ = CLIENT
        by_id = f"/clients?clientId={client}", "/clients?clientId=realm-management"
        (own,), (manager,) = (self.ask("GET", path).body for path in by_id)
        account = self.ask("GET", f"/clients/{own['id']}/service-account-user").body
        mapped = f"/users/{account['id']}/role-mappings/clients/{manager['id']}"
        self.ask("DELETE", mapped, self.ask("GET", mapped).body)
        known = self.ask("GET", f"/clients/{manager['id']}/roles").body
        wanted = [role for role in known if role["name"] in roles]
        assert self.ask("POST", mapped, wanted).status == 204

    def users(self) -> dict[str, dict[str, Any]]:
        """All of them, by name."""
        rows = self.ask("GET", "/users?max=100000").body
        return {row["username"]: row for row in rows}

    def groups(self, username: str) -> list[str]:
        entry_id = self.users()[username]["id"]
        return [group["path"] for group in self.ask("GET", f"/users/{entry_id}/groups").body]

    def sign_in(self, username: str, password: str) -> Said:
        return self.server.sign_in(self.name, SEATS, username, password)

    def remove(self) -> None:
        self.ask("DELETE")


def _representation(name: str) -> dict[str, Any]:
    """Passwords are hashed once, since most tests are not about that."""
    client, secret = CLIENT
    account = {
        "username": f"service-account-{client}",
        "enabled": True,
        "serviceAccountClientId": client,
        "clientRoles": {"realm-management": ["manage-users"]},
    }
    return {
        "realm": name,
        "enabled": True,
        "passwordPolicy": "hashAlgorithm(pbkdf2-sha256) and hashIterations(1)",
        "groups": [{"name": "staff", "subGroups": [{"name": "night"}]}],
        "clients": [
            {"clientId": client, "secret": secret, "serviceAccountsEnabled": True,
             "standardFlowEnabled": False},
            {"clientId": SEATS, "publicClient": True, "directAccessGrantsEnabled": True},
        ],
        "users": [account],
    }  # fmt: skip


@contextmanager
def keycloak(folder: Path) -> Iterator[Keycloak]:
    made = Keycloak(folder)
    try:
        made.begin()
        yield made
    finally:
        made.stop()
