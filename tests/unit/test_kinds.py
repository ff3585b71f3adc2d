"""Which kinds of directories there are, and what is said of those that cannot be used."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from botrix import creators
from botrix.creators import (
    OWN,
    brought,
    check_policy,
    check_secrets,
    described,
    kinds,
    load,
    open_creator,
    settings_of,
)
from botrix.creators.creator import Secret
from botrix.creators.declared import Setting
from botrix.creators.gate import Gate
from botrix.creators.limits import MOST, Limits, OnUndo, read_limits, read_on_undo
from botrix.entering import Asked, check_remote
from botrix.errors import DirectoryError
from botrix.passwords import read_policy


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Entry points by name; what they name may be written to files there."""
    found: dict[str, str] = {}

    def points(*, group: str) -> EntryPoints:
        assert group == "botrix.creators"
        return EntryPoints(EntryPoint(name, value, group) for name, value in found.items())

    monkeypatch.setattr(creators.plugins, "entry_points", points)
    monkeypatch.syspath_prepend(str(tmp_path))
    return found


def _module(name: str, monkeypatch: pytest.MonkeyPatch, **parts: Any) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(parts)
    monkeypatch.setitem(sys.modules, name, made)
    return made


_WHOLE: dict[str, Any] = {
    "SEALED": ("token",), "DEMANDS_A_CHANGE": False, "GATED": False, "open_creator": print,
}  # fmt: skip


def test_own_kinds_can_all_be_loaded() -> None:
    assert set(OWN) <= set(kinds())
    for kind in OWN:
        assert load(kind).GATED in (True, False)


def test_a_kind_of_another_package(
    plugins: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _module("elsewhere", monkeypatch, **_WHOLE)
    plugins["acme"] = "elsewhere"
    assert kinds() == sorted([*OWN, "acme"])
    assert load("acme").SEALED == ("token",)


def test_a_kind_of_another_package_may_tell_its_settings(
    plugins: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = Setting("token", "The operator's.", secret=True)
    _module("elsewhere", monkeypatch, **{**_WHOLE, "SETTINGS": (token,), "GATED": True})
    _module("silent", monkeypatch, **_WHOLE)
    plugins |= {"acme": "elsewhere", "mute": "silent", "gone": "not_there"}
    told = [one.name for one in settings_of("acme") or ()]
    assert told == ["token", "concurrency", "rate", "on_undo"]
    assert settings_of("mute") is None
    found = {one.kind: (one.problem[:8], settings) for one, settings in described()}
    assert set(found) == {*OWN, "acme", "mute", "gone"}
    assert found["mute"] == ("", None)
    assert found["gone"] == ("the kind", None)


async def test_one_that_does_not_is_entered_at_the_terminal_alone(
    plugins: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _module("silent", monkeypatch, **_WHOLE)
    plugins["mute"] = "silent"
    with pytest.raises(DirectoryError, match="at the terminal alone"):
        await check_remote(Asked("mute", {}), True)


def test_none_takes_the_name_of_one_of_ours(
    plugins: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _module("elsewhere", monkeypatch, **_WHOLE)
    plugins["local"] = "elsewhere"
    assert load("local").__name__ == "botrix.creators.local"  # type: ignore[attr-defined]
    assert kinds() == sorted(OWN)
    assert [one.problem[:8] for one in brought() if one.kind == "local"] == ["", "not used"]


def test_a_kind_that_there_is_not(plugins: dict[str, str]) -> None:
    plugins["acme"] = "elsewhere"
    with pytest.raises(DirectoryError, match=r"no kind of directory 'ldpa'; choose one of: acme"):
        load("ldpa")


@pytest.mark.parametrize(
    ("source", "value", "problem"),
    [
        (None, "broken_kind", "No module named 'broken_kind'"),
        ("import not_installed_here", "broken_kind", "No module named 'not_installed_here'"),
        ("", "broken_kind:Kind", "has no attribute 'Kind'"),
        ("raise RuntimeError('two\\nlines')", "broken_kind", "here: two lines"),
        ("raise ValueError", "broken_kind", "here: ValueError"),
        ("this is no Python", "broken_kind", "invalid syntax"),
        ("SEALED = ()", "broken_kind", "it has no DEMANDS_A_CHANGE"),
        ("SETTINGS, SEALED = ['url'], ()", "broken_kind", "it has no SETTINGS, or one of no use"),
        (
            "from botrix.creators.declared import Setting\nSEALED = ()\n"
            "SETTINGS = (Setting('token', 'x.', secret=True),)",
            "broken_kind",
            "it has no SETTINGS, or one of no use",
        ),
    ],
)
async def test_a_kind_that_cannot_be_used_says_why_in_a_line(
    plugins: dict[str, str], tmp_path: Path, source: str | None, value: str, problem: str
) -> None:
    sys.modules.pop("broken_kind", None)
    if source is not None:
        (tmp_path / "broken_kind.py").write_text(source)
    plugins["acme"] = value
    for ask in (load, lambda kind: check_secrets(kind, ["token"])):
        with pytest.raises(DirectoryError, match="the kind acme cannot be used here") as caught:
            ask("acme")
        assert problem in str(caught.value)
        assert str(caught.value).isprintable()
    with pytest.raises(DirectoryError, match="cannot be used here"):
        await open_creator("acme", {})
    sys.modules.pop("broken_kind", None)


def test_what_a_kind_cannot_do_is_refused() -> None:
    with pytest.raises(DirectoryError, match="these may be sealed: token"):
        check_secrets("scim", ["token", "url"])
    with pytest.raises(DirectoryError, match="these may be sealed: none"):
        check_secrets("local", ["path"])
    with pytest.raises(DirectoryError, match="leave must_change out"):
        check_policy("scim", read_policy('{"must_change": true}'))
    check_policy("local", read_policy('{"must_change": true}'))
    check_secrets("scim", ["token"])


async def test_a_sealed_setting_that_is_none_is_refused_and_not_shown() -> None:
    with pytest.raises(DirectoryError, match="these may be sealed") as caught:
        await open_creator("local", {"path": Secret("s3cret")})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        ({}, Limits(MOST, None)),
        ({"url": "x"}, Limits(MOST, None)),
        ({"concurrency": 1}, Limits(1, None)),
        ({"concurrency": 256, "rate": 1_000_000}, Limits(256, 1e6)),
        ({"rate": 0.5}, Limits(MOST, 0.5)),
        ({"rate": None}, Limits(MOST, None)),
    ],
)
def test_limits(config: dict[str, Any], limits: Limits) -> None:
    assert read_limits(config) == limits


def test_what_an_undo_does() -> None:
    assert read_on_undo({}) is OnUndo.DELETE
    assert read_on_undo({"on_undo": "disable"}) is OnUndo.DISABLE
    for other in ("burn", "", None, True, ["delete"], {}):
        with pytest.raises(DirectoryError, match="`on_undo` must be delete or disable"):
            read_on_undo({"on_undo": other})


async def test_every_kind_has_that_setting(tmp_path: Path) -> None:
    path = str(tmp_path / "d")
    for kind, more in (("local", {"path": path}), ("simulated", {})):
        await (await open_creator(kind, {**more, "on_undo": "disable"})).close()
        with pytest.raises(DirectoryError, match="`on_undo`"):
            await open_creator(kind, {**more, "on_undo": "burn"})


@pytest.mark.parametrize("most", [0, -1, 257, 10**30, 1.5, "8", True, None, [8]])
def test_a_concurrency_that_is_refused(most: object) -> None:
    with pytest.raises(DirectoryError, match="`concurrency` must be a number from 1 to 256"):
        read_limits({"concurrency": most})


@pytest.mark.parametrize(
    "rate", [0, -1, 0.0, 1_000_001, 10**400, float("nan"), float("inf"), "5", True, [5]]
)
def test_a_rate_that_is_refused(rate: object) -> None:
    with pytest.raises(DirectoryError, match="`rate` must be a number of operations a second"):
        read_limits({"rate": rate})


async def test_limits_are_set_where_requests_go_through_the_gate(tmp_path: Path) -> None:
    gate = Gate()
    settings = {"url": "http://127.0.0.1:1/scim", "token": Secret("t"), "rate": 3}
    creator = await open_creator("scim", {**settings, "concurrency": 5}, gate=gate)
    await creator.close()
    assert (gate.rate, gate.most, gate.governed) == (3.0, 5, True)
    with pytest.raises(DirectoryError, match="`rate`"):
        await open_creator("scim", {**settings, "rate": 0}, gate=Gate())
    other = Gate()
    await (await open_creator("local", {"path": str(tmp_path / "d")}, gate=other)).close()
    assert (other.rate, other.governed) == (None, False)
    with pytest.raises(DirectoryError):
        await open_creator("local", {"path": str(tmp_path / "d"), "rate": 3})
