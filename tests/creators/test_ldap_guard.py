"""What an `ldap` directory connects to: only what was checked."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest
from aiohttp.abc import ResolveResult

from botrix import guard
from botrix.addresses import Target
from botrix.creators.gate import Answered, Gate
from botrix.creators.ldap.client import Client
from botrix.creators.ldap.messages import Reply
from botrix.creators.ldap.settings import read
from tests.creators.test_scim_guard import Names
from tests.servers.ldap_scripted import scripted


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that would have been connected to: nothing leaves this machine."""
    tried: list[str] = []

    async def no_way_out(_: Target, found: ResolveResult) -> socket.socket:
        tried.append(found["host"])
        raise OSError(errno.ENETUNREACH, "no way out of this test")

    monkeypatch.setattr(guard, "_connected", no_way_out)
    return tried


def client(tmp_path: Path, url: str, names: Names, gate: Gate) -> Client:
    path = tmp_path / "operator"
    path.write_text("operators-password")
    config = {
        "url": url, "bind_dn": "cn=x", "password_file": str(path), "profile": "openldap",
        "base": "dc=x", "allow_plain": True,
    }  # fmt: skip
    return Client(read(config), 2.0, gate, names)


async def asked(one: Client) -> Reply:
    answer = await one.root()
    assert isinstance(answer, Reply)
    return answer


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
async def test_a_name_that_is_rebound_is_refused(
    tmp_path: Path, connected: list[str], scheme: str
) -> None:
    """First a public address, then that of a metadata service."""
    gate, names = Gate(), Names(["8.8.8.8"], ["169.254.169.254"])
    one = client(tmp_path, f"{scheme}://ldap.example", names, gate)
    first = await asked(one)
    assert "Network is unreachable" in first.problem
    second = await asked(one)
    await one.close()
    assert (second.sent, names.asked) == (False, 2)
    assert "169.254.169.254" in second.problem
    assert connected == ["8.8.8.8"]
    assert gate.tally.answers == {Answered.AWAY: 2}


@pytest.mark.parametrize(
    "found",
    [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["127.0.0.1"], ["::ffff:7f00:1"], ["fe80::1"], []],
)
async def test_a_name_that_leads_elsewhere_is_not_connected_to(
    tmp_path: Path, connected: list[str], found: list[str]
) -> None:
    one = client(tmp_path, "ldaps://ldap.example", Names(found), Gate())
    assert not (await asked(one)).sent
    await one.close()
    assert connected == []


async def test_of_many_addresses_the_next_is_tried(tmp_path: Path) -> None:
    """As localhost is found on many machines, where a server listens on one of them."""
    async with scripted() as server:
        names = Names(["::1", "127.0.0.1"])
        one = client(tmp_path, f"ldap://localhost:{server.port}", names, Gate())
        assert not isinstance(await one.root(), Reply)
        await one.close()
    assert names.asked == 1
