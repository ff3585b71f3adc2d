"""A JupyterHub as it is, with its proxy before it: two processes on loopback, ended by pid."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from tests.servers.installed import environment, node_programs
from tests.servers.system import free_port, until

TOKEN = "operators-token-of-32-characters"
_GUIDE = Path(__file__).parents[2] / "deployment" / "jupyterhub"
BY_SEATS = re.findall(r"```python\n(.*?)```", (_GUIDE / "README.md").read_text(), re.DOTALL)[0]
"""The lines that the guide tells to put there."""
_CONFIG = """
{said}
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.redirect_to_server = False
c.JupyterHub.load_groups = {{"staff": {{"users": []}}}}
"""
BY_DUMMY = f"""
{BY_SEATS}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.DummyAuthenticator.password = "the-same-for-all"
"""


class Hub:
    """url: of its REST API. folder: empty. said: in its configuration, besides where it listens.
    scopes: of the token, if not those of the guide. crypt_key: whether it can keep an auth_state.
    """

    def __init__(
        self,
        folder: Path,
        said: str = BY_SEATS,
        scopes: tuple[str, ...] = (),
        crypt_key: bool = True,
    ) -> None:
        try:
            self._programs = environment("jupyterhub") / "bin"
            self._proxy = node_programs("jupyterhub") / "configurable-http-proxy"
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            why = getattr(error, "stderr", "") or error
            pytest.skip(f"JupyterHub or its proxy cannot be had: {why}")
        self._ports = {name: free_port() for name in ("port", "hub", "api")}
        self.folder = folder
        self._log = folder / "hub.log"
        shutil.copy(_GUIDE / "botrix_seats.py", folder)
        if scopes:
            said += f'c.JupyterHub.load_roles[0]["scopes"] = {list(scopes)!r}'
        (folder / "config.py").write_text(_CONFIG.format(said=said, folder=folder, **self._ports))
        self._environ = {
            **os.environ,
            "BOTRIX_TOKEN": TOKEN,
            "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(16),  # of the hub to its proxy
        }
        if crypt_key:
            self._environ["JUPYTERHUB_CRYPT_KEY"] = secrets.token_hex(32)
        self.port = self._ports["port"]
        self._site = f"http://127.0.0.1:{self.port}/hub"
        self.url = f"{self._site}/api"
        self.process: Popen[bytes] | None = None
        self._before: Popen[bytes] | None = None

    async def start(self) -> None:
        ports = self._ports
        self._before = self._run(
            str(self._proxy), "--ip", "127.0.0.1", "--port", str(ports["port"]),
            "--api-ip", "127.0.0.1", "--api-port", str(ports["api"]),
            "--default-target", f"http://127.0.0.1:{ports['hub']}",
        )  # fmt: skip
        await self.start_hub()

    async def start_hub(self) -> None:
        self.process = self._run(
            str(self._programs / "jupyterhub"), "-f", str(self.folder / "config.py")
        )
        await until(self._answers, 60, f"the hub answers; see {self._log}")

    def stop(self) -> None:
        for process in (self.process, self._before):
            if process is not None:
                process.kill()
                process.wait()

    def kill_hub(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def clear(self) -> None:
        """As it was at its start."""
        for name in await self.users():
            await self.ask("DELETE", f"/users/{quote(name, safe='')}")

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """As the operator; an error of the server is an error here."""
        headers = {"Authorization": f"token {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, self.url + path, json=body) as answer,
        ):
            assert answer.status < 500, await answer.text()
            return await answer.json(content_type=None)

    async def users(self) -> dict[str, dict[str, Any]]:
        """By name. A hub shows at most 200 unless it is asked for more."""
        listed: dict[str, dict[str, Any]] = {}
        while page := await self.ask("GET", f"/users?limit=200&offset={len(listed)}"):
            listed |= {user["name"]: user for user in page}
        return listed

    async def logs_in(self, name: str, password: str) -> bool:
        """Through the form, as a person would; then the hub must know who it is."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            async with browser.get(f"{self._site}/login") as page:
                (token,) = re.findall(r'name="_xsrf" value="([^"]+)"', await page.text())
            form = {"username": name, "password": password, "_xsrf": token}
            async with browser.post(
                f"{self._site}/login", data=form, allow_redirects=False
            ) as answer:
                if answer.status != 302:
                    assert answer.status == 403, await answer.text()
                    return False
            async with browser.get(f"{self._site}/home") as home:
                return f'user: "{name.lower()}"' in await home.text()

    async def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self._log.read_text()
        try:
            return (await self.ask("GET", "/user"))["name"] == "botrix"
        except (OSError, aiohttp.ClientError, AssertionError):
            return False

    def _run(self, *command: str) -> Popen[bytes]:
        path = f"{self._programs}:{self._environ['PATH']}"
        with self._log.open("ab") as log:
            return Popen(
                command, env={**self._environ, "PATH": path}, cwd=self.folder, stdin=DEVNULL,
                stdout=log, stderr=STDOUT,
            )  # fmt: skip
