"""What kinds say of their settings, and that it is so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from botrix.creators import OWN, load, open_creator, settings_of
from botrix.creators.creator import Secret
from botrix.creators.declared import From, Setting, Type, names, sealed
from botrix.errors import DirectoryError

_WEB = {"url": "https://x.example/v2", "token": Secret("t")}
_BASES: dict[str, dict[str, Any]] = {
    "scim": _WEB,
    "jupyterhub": _WEB,
    "keycloak": {**_WEB, "realm": "seats"},
    "ldap": {
        "url": "ldaps://x.example", "profile": "openldap", "bind_dn": "cn=a,dc=x",
        "password": Secret("p"), "base": "ou=people,dc=x",
    },
    "simulated": {},
    "local": {},
}  # fmt: skip


@pytest.fixture
def base(kind: str, tmp_path: Path) -> dict[str, Any]:
    """Of a directory that can be opened."""
    return {"path": str(tmp_path / "d")} if kind == "local" else _BASES[kind]


def _settings(kind: str) -> tuple[Setting, ...]:
    found = settings_of(kind)
    assert found is not None
    return found


def test_there_is_one_for_each_kind() -> None:
    assert set(_BASES) == set(OWN)


@pytest.mark.parametrize("kind", OWN)
def test_each_is_told_so_that_a_form_can_be_drawn(kind: str) -> None:
    found = _settings(kind)
    assert len({one.name for one in found}) == len(found)
    assert sealed(found) == load(kind).SEALED
    for one in found:
        assert one.help.endswith(".")
        assert len(one.help) <= 90, one.name
        assert one.default is None or not one.required, one.name
        assert not one.choices or one.default in (None, *one.choices), one.name


async def _complaint(kind: str, config: dict[str, Any]) -> str:
    try:
        await (await open_creator(kind, config)).close()
    except DirectoryError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", OWN)
async def test_what_is_told_is_known_and_nothing_else(kind: str, base: dict[str, Any]) -> None:
    assert await _complaint(kind, base) == ""
    for name in names(_settings(kind)):
        said = await _complaint(kind, {**base, name: object()})
        assert "no setting" not in said, name
    assert await _complaint(kind, {**base, "colour": 1}) != ""


@pytest.mark.parametrize("kind", OWN)
async def test_what_is_required_is(kind: str, base: dict[str, Any]) -> None:
    for one in _settings(kind):
        if one.required and (one.name in base or not one.ways):
            assert one.name in base, one.name
            less = {name: value for name, value in base.items() if name != one.name}
            assert await _complaint(kind, less) != "", one.name


@pytest.mark.parametrize("kind", OWN)
async def test_defaults_are_what_counts(kind: str, base: dict[str, Any]) -> None:
    usual = {one.name: one.default for one in _settings(kind) if one.default is not None}
    usual.pop("client_auth", None)  # of another way to sign in
    assert await _complaint(kind, {**usual, **base}) == ""


_ODD = {
    Type.INTEGER: "x", Type.NUMBER: "x", Type.BOOLEAN: "x", Type.LIST: "x", Type.MAP: "x",
    Type.URL: 1,
}  # fmt: skip


@pytest.mark.parametrize("kind", OWN)
async def test_a_value_of_another_type_is_refused(kind: str, base: dict[str, Any]) -> None:
    for one in _settings(kind):
        if one.type in _ODD:
            assert await _complaint(kind, {**base, one.name: _ODD[one.type]}) != "", one.name
        if one.choices:
            assert await _complaint(kind, {**base, one.name: "none of them"}) != "", one.name


def test_files_are_for_the_terminal_unless_told_otherwise() -> None:
    assert Setting("path", "x.", Type.FILE).place is From.TERMINAL
    assert Setting("path", "x.", Type.FILE, entered=From.DEFAULT_TENANT).place is (
        From.DEFAULT_TENANT
    )
    assert Setting("url", "x.", Type.URL).place is From.ANYWHERE


@pytest.mark.parametrize("library", ["aiohttp", "liquid"])
def test_they_are_told_without_loading_what_would_use_them(library: str) -> None:
    look = f"import sys, botrix.creators as c; c.described(); sys.exit({library!r} in sys.modules)"
    assert subprocess.run((sys.executable, "-c", look), check=False).returncode == 0
