"""What somebody does to a directory behind Botrix's back: the same before each kind."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.servers.ldap import PEOPLE, Slapd, missing, slapd
from tests.servers.scim import TOKEN, RealScim
from tests.servers.system import System


class Behind(Protocol):
    """kind, config: as a directory."""

    kind: str
    config: dict[str, Any]

    async def remove(self, name: str) -> None: ...

    async def change(self, name: str, email: str) -> None: ...

    async def rename(self, name: str, to: str) -> None: ...

    async def add(self, name: str, tag: str) -> None: ...

    async def tags(self) -> dict[str, str]:
        """By name."""
        ...


class BehindLocal:
    def __init__(self, path: Path) -> None:
        self.kind, self.config = "local", {"path": str(path)}
        self._path = path

    async def remove(self, name: str) -> None:
        self._do("DELETE FROM entries WHERE username = ?", name)

    async def change(self, name: str, email: str) -> None:
        self._do("UPDATE entries SET email = ? WHERE username = ?", email, name)

    async def rename(self, name: str, to: str) -> None:
        sql = "UPDATE entries SET username = ?, username_key = ? WHERE username = ?"
        self._do(sql, to, to, name)

    async def add(self, name: str, tag: str) -> None:
        self._do(
            "INSERT INTO entries VALUES (hex(randomblob(9)), ?, ?, ?, '', '', '', '', '', 1, 0, 0)",
            name, name, tag,
        )  # fmt: skip

    async def tags(self) -> dict[str, str]:
        return dict(self._do("SELECT username, tag FROM entries"))

    def _do(self, sql: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(self._path, timeout=10)) as db, db:
            return db.execute(sql, values).fetchall()


class BehindScim:
    def __init__(self, server: RealScim, token: Path) -> None:
        token.write_text(TOKEN)
        self.kind, self.config = "scim", {"url": server.url, "token_file": str(token)}
        self._server = server

    async def remove(self, name: str) -> None:
        await self._server.ask("DELETE", f"/Users/{(await self._user(name))['id']}")

    async def change(self, name: str, email: str) -> None:
        await self._put(name, emails=[{"value": email, "type": "work", "primary": True}])

    async def rename(self, name: str, to: str) -> None:
        await self._put(name, userName=to)

    async def add(self, name: str, tag: str) -> None:
        said = await self._server.ask("POST", "/Users", {"userName": name, "externalId": tag})
        assert said["externalId"] == tag

    async def tags(self) -> dict[str, str]:
        said = await self._server.ask("GET", "/Users?count=1000")
        return {user["userName"]: user["externalId"] for user in said.get("Resources", ())}

    async def _user(self, name: str) -> Any:
        said = await self._server.ask("GET", "/Users?count=1000")
        return next(user for user in said["Resources"] if user["userName"] == name)

    async def _put(self, name: str, **new: Any) -> None:
        user = await self._user(name)
        said = await self._server.ask("PUT", f"/Users/{user['id']}", {**user, **new})
        assert said["id"] == user["id"], said


class BehindLdap:
    def __init__(self, server: Slapd) -> None:
        self.kind, self.config = "ldap", server.settings()
        self._server = server

    async def remove(self, name: str) -> None:
        await self._server.modify(f"dn: uid={name},{PEOPLE}\nchangetype: delete\n")

    async def change(self, name: str, email: str) -> None:
        change = f"changetype: modify\nreplace: mail\nmail: {email}\n"
        await self._server.modify(f"dn: uid={name},{PEOPLE}\n{change}")

    async def rename(self, name: str, to: str) -> None:
        assert await self._server.rename(f"uid={name},{PEOPLE}", f"uid={to}") == 0

    async def add(self, name: str, tag: str) -> None:
        code = await self._server.add(
            f"uid={name},{PEOPLE}", objectClass="inetOrgPerson", uid=name, cn=name, sn=name,
            labeledURI=tag,
        )  # fmt: skip
        assert code == 0

    async def tags(self) -> dict[str, str]:
        rows = await self._server.search("(uid=*)", "uid", "labeledURI", base=PEOPLE)
        return {row["uid"][0].decode(): row["labeledURI"][0].decode() for row in rows}


@asynccontextmanager
async def behind(kind: str, folder: Path, system: System) -> AsyncIterator[Behind]:
    """A directory `place` of the system."""
    async with AsyncExitStack() as stack:
        made: Behind
        if kind == "local":
            made = BehindLocal(folder / "entries.sqlite")
        elif kind == "scim":
            if find_spec("scim2_server") is None:
                pytest.skip("scim2-server is not installed")
            server = RealScim()
            stack.push_async_callback(server.stop)
            await server.begin()
            made = BehindScim(server, folder / "token")
        else:
            if why := missing():
                pytest.skip(f"slapd was NOT tried: {why}")
            (folder / "slapd").mkdir()
            made = BehindLdap(await stack.enter_async_context(slapd(folder / "slapd")))
        system.add_directory("place", kind=made.kind, **made.config)
        yield made
