"""The file of the key ring: read, made, replaced."""

from __future__ import annotations

import base64
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from botrix import key_ring
from botrix.errors import SettingsError
from botrix.key_ring import Key, Ring
from botrix.sealing import load_sealer
from botrix.settings import Settings

_A, _B = b"a" * 32, b"b" * 32


def _text(*keys: bytes) -> str:
    return "\n".join(base64.b64encode(key).decode() for key in keys)


def test_first_starts_side_by_side_agree(tmp_path: Path) -> None:
    path = tmp_path / "data" / "sealing.key"
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as pool:
        rings = list(pool.map(key_ring.read_or_make, [path] * 16))
    assert len({ring.active.id for ring in rings}) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["sealing.key"]


def test_a_ring_reads_what_it_wrote() -> None:
    ring = Ring((Key(_A),)).with_waiting(_B)
    assert key_ring.from_text(ring.content().decode(), "here") == ring
    assert [ring.state(key) for key in ring.keys] == ["active", "waiting"]


def test_the_newest_that_waits_becomes_active() -> None:
    ring = Ring((Key(_A),)).with_waiting(_B).with_waiting(b"c" * 32).rotated(b"d" * 32)
    assert [key.secret[:1] for key in ring.keys] == [b"c", b"a", b"b"]
    assert [ring.state(key) for key in ring.keys] == ["active", "old", "waiting"]
    fresh = Ring((Key(_A),), raw=True).rotated(b"d" * 32)
    assert [key.secret[:1] for key in fresh.keys] == [b"d", b"a"]
    assert not fresh.raw
    assert [key.secret[:1] for key in ring.pruned().keys] == [b"c", b"b"]


def test_mode_owner_and_link_stay(tmp_path: Path) -> None:
    real, path = tmp_path / "real", tmp_path / "ring"
    path.symlink_to(real)
    key_ring.read_or_make(path)
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 65534, 65534)
    before = real.stat()
    key_ring.change(path, lambda ring: ring.rotated(_B))
    after = real.stat()
    assert path.is_symlink()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid,
    )  # fmt: skip
    assert sorted(one.name for one in tmp_path.iterdir()) == ["real", "ring"]


def test_changes_side_by_side_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    key_ring.read_or_make(path)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as pool:
        list(pool.map(_add, [path] * 12))
    assert len(key_ring.read(path).keys) == 13


def _add(path: Path) -> None:
    key_ring.change(path, lambda ring: ring.with_waiting(key_ring.fresh()))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no sealing key"),
        (b"# only words\n\n", "holds no sealing key"),
        (b"c2hvcnQ=\n", "line 1: that is no sealing key"),
        (f"{_text(_A)}\nx{_text(_B)}".encode(), "line 2: that is no sealing key"),
        (_text(_A, _A).encode(), "twice"),
        (b"\xff" * 40, "is no ring of sealing keys"),
        (b"x" * 31, "no sealing key"),
    ],
)
def test_what_is_no_ring_is_one_clear_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "ring"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=said) as raised:
        load_sealer(path)
    assert "\n" not in str(raised.value)
    assert _text(_A) not in str(raised.value)
    assert path.read_bytes() == content


def test_a_ring_from_the_environment() -> None:
    for between in (" ", ",", "\n", ", \n"):
        settings = Settings.read({"BOTRIX_SEALING_KEYS": _text(_A, _B).replace("\n", between)})
        sealer = load_sealer(settings.sealing_key_file, settings.sealing_keys)
        assert sealer.is_current(load_sealer(Path(), _text(_A)).seal("s", "t", "a"))
        assert sealer.unseal(load_sealer(Path(), _text(_B)).seal("s", "t", "a"), "t", "a") == "s"
        assert _text(_A) not in repr(settings)
        assert str(_A) not in repr(key_ring.from_text(_text(_A), "x"))


def test_keys_and_their_file_cannot_both_be_given(tmp_path: Path) -> None:
    environ = {"BOTRIX_SEALING_KEYS": _text(_A), "BOTRIX_SEALING_KEY_FILE": str(tmp_path / "x")}
    with pytest.raises(SettingsError, match="unset one"):
        Settings.read(environ)


@pytest.mark.parametrize("name", ["BOTRIX_PASSWORD_DAYS", "BOTRIX_RETENTION_DAYS"])
@pytest.mark.parametrize("value", ["-1", "1.5", "a week"])
def test_days_are_whole_and_not_negative(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.read({name: value})
