"""What is sealed opens for its own tenant and account by its own key, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from botrix import key_ring
from botrix.errors import SettingsError
from botrix.key_ring import Key, Ring
from botrix.sealing import Sealer, id_of, load_sealer

_KEYS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4, unique=True)
_OLD = b"o" * 32


@given(keys=_KEYS, text=st.text(), tenant=st.text(), tag=st.text())
def test_what_is_sealed_opens(keys: list[bytes], text: str, tenant: str, tag: str) -> None:
    sealer = Sealer(*keys)
    sealed = sealer.seal(text, tenant, tag)
    assert sealer.unseal(sealed, tenant, tag) == text
    assert sealer.is_current(sealed)
    assert id_of(sealed) == Key(keys[0]).id
    assert text.encode() not in sealed or len(text) < 4
    assert sealed != sealer.seal(text, tenant, tag)


@given(keys=_KEYS, other=st.binary(min_size=32, max_size=32), data=st.data())
def test_old_keys_open_and_others_do_not(
    keys: list[bytes], other: bytes, data: st.DataObject
) -> None:
    old = data.draw(st.sampled_from(keys))
    sealed = Sealer(old).seal("secret", "t", "a")
    ring = Sealer(*keys)
    assert ring.unseal(sealed, "t", "a") == "secret"
    assert ring.is_current(sealed) == (old == keys[0])
    if other not in keys:
        with pytest.raises(SettingsError, match="another key"):
            Sealer(other).unseal(sealed, "t", "a")


@pytest.mark.parametrize("raw", [False, True])
@given(text=st.text(max_size=50), data=st.data())
def test_a_changed_byte_never_opens(raw: bool, text: str, data: st.DataObject) -> None:
    sealer = Sealer.of(Ring((Key(_OLD), Key(b"p" * 32))[: 1 if raw else 2], raw=raw))
    sealed = bytearray(sealer.seal(text, "t", "a"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SettingsError):
        sealer.unseal(bytes(sealed), "t", "a")


@given(st.binary(max_size=60))
def test_what_was_never_sealed_is_one_clear_error(garbage: bytes) -> None:
    with pytest.raises(SettingsError, match="of a"):
        Sealer(_OLD).unseal(garbage, "t", "a")


@given(bound=st.tuples(st.text(), st.text()), other=st.tuples(st.text(), st.text()))
def test_another_tenant_or_account_never_opens(
    bound: tuple[str, str], other: tuple[str, str]
) -> None:
    sealer = Sealer(_OLD)
    sealed = sealer.seal("secret", *bound)
    if bound != other:
        with pytest.raises(SettingsError, match="another one's"):
            sealer.unseal(sealed, *other)


def test_where_the_tenant_ends_is_bound_too() -> None:
    sealer = Sealer(_OLD)
    with pytest.raises(SettingsError):
        sealer.unseal(sealer.seal("secret", "a\0b", "c"), "a", "b\0c")


@given(text=st.text(), nonce=st.binary(min_size=12, max_size=12))
def test_version_1_stays_readable(text: str, nonce: bytes) -> None:
    """Written out by hand here, as the release before sealed it."""
    sealed = b"\x01" + nonce + AESGCM(_OLD).encrypt(nonce, text.encode(), b"t\0a")
    assert id_of(sealed) is None
    for sealer in (Sealer(_OLD), Sealer(b"n" * 32, _OLD), Sealer.of(Ring((Key(_OLD),), raw=True))):
        assert sealer.unseal(sealed, "t", "a") == text
    assert not Sealer(_OLD).is_current(sealed)
    assert Sealer.of(Ring((Key(_OLD),), raw=True)).is_current(sealed)


def test_a_raw_file_keeps_sealing_in_version_1(tmp_path: Path) -> None:
    """Else an older worker beside this one could not open it."""
    path = tmp_path / "key"
    path.write_bytes(_OLD)
    sealed = load_sealer(path).seal("secret", "t", "a")
    assert AESGCM(_OLD).decrypt(sealed[1:13], sealed[13:], b"t\0a") == b"secret"
    assert sealed[:1] == b"\x01"
    assert path.read_bytes() == _OLD


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_running_process_heeds_the_file_and_forgets_no_key(tmp_path: Path) -> None:
    path, clock = tmp_path / "ring", _Clock()
    sealer = Sealer.watching(path, clock)
    first = sealer.seal("before", "t", "a")
    ring = key_ring.change(path, lambda ring: ring.rotated(b"n" * 32))
    assert id_of(sealer.seal("at once", "t", "a")) == id_of(first)
    clock.now += 1.0
    second = sealer.seal("after", "t", "a")
    assert id_of(second) == ring.active.id != id_of(first)
    key_ring.change(path, Ring.pruned)
    clock.now += 1.0
    assert id_of(sealer.seal("later", "t", "a")) == ring.active.id
    assert sealer.unseal(first, "t", "a") == "before"
    with pytest.raises(SettingsError, match="another key"):
        load_sealer(path).unseal(first, "t", "a")


def test_an_unknown_key_is_looked_for_in_the_file(tmp_path: Path) -> None:
    path, clock = tmp_path / "ring", _Clock()
    sealer = Sealer.watching(path, clock)
    key_ring.change(path, lambda ring: ring.rotated(b"n" * 32))
    sealed = load_sealer(path).seal("secret", "t", "a")
    assert sealer.unseal(sealed, "t", "a") == "secret", "without waiting for its second"


def test_a_file_that_is_being_copied_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / "ring", _Clock()
    sealer = Sealer.watching(path, clock)
    whole = key_ring.read(path).rotated(b"n" * 32).content()
    path.write_bytes(whole[:-70])
    for _ in range(3):
        clock.now += 1.0
        sealed = sealer.seal("secret", "t", "a")
    assert caplog.text.count("stay in use") == 1
    path.write_bytes(whole)
    clock.now += 1.0
    assert id_of(sealer.seal("secret", "t", "a")) == Key(b"n" * 32).id
    assert sealer.unseal(sealed, "t", "a") == "secret"
