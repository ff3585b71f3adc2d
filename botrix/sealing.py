"""Secrets at rest: AES-256-GCM with a random nonce, bound to tenant and account (SP 800-38D).

Sealed form: 2 as the version byte, 4 bytes of the key's id, 12 of nonce, ciphertext with its
16-byte tag. Bound: tenant, tag and key id. Version 1 has no key id, so the keys are tried; what has
only the key file of an earlier release still seals so, for programs of that release beside it.

A process never forgets a key that it knew: what it holds in memory stays readable through rotation.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from botrix import key_ring
from botrix.entropy import random_bytes
from botrix.errors import SettingsError
from botrix.key_ring import Key, Ring

_log = logging.getLogger(__name__)
_V1, _V2 = b"\x01", b"\x02"
HEAD_BYTES = 5
"""Version and key id: what tells under which key something is sealed."""
_LOOK_EVERY = 1.0


class Sealer:
    """Seals with the first key of its ring, opens with any. `Sealer.watching` heeds its file."""

    def __init__(self, *keys: bytes) -> None:
        self._file: Path | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._clock: Callable[[], float] = time.monotonic
        self._next_look = 0.0
        self._said = ""
        self._changing = threading.Lock()  # the ledger's thread seals, too
        self._known: dict[bytes, AESGCM] = {}
        if keys:
            self._take(Ring(tuple(Key(key) for key in keys)))

    @classmethod
    def of(cls, ring: Ring) -> Sealer:
        sealer = cls()
        sealer._take(ring)
        return sealer

    @classmethod
    def watching(cls, path: Path, clock: Callable[[], float] = time.monotonic) -> Sealer:
        """Makes the file on first start. Raises SettingsError where it cannot be used."""
        sealer = cls()
        sealer._file, sealer._stamp, sealer._clock = path, key_ring.stamp(path), clock
        sealer._take(key_ring.read_or_make(path))
        return sealer

    def seal(self, text: str, tenant_id: str, tag: str) -> bytes:
        return self.seal_bytes(text.encode(), tenant_id, tag)

    def unseal(self, sealed: bytes, tenant_id: str, tag: str) -> str:
        """Raises SettingsError where the key is not known, or the text was changed or is bound to
        something else."""
        return self.unseal_bytes(sealed, tenant_id, tag).decode()

    def seal_bytes(self, data: bytes, tenant_id: str, tag: str) -> bytes:
        self._look()
        head, aead = self._active
        nonce = random_bytes(12)
        return head + nonce + aead.encrypt(nonce, data, _bound(head, tenant_id, tag))

    def unseal_bytes(self, sealed: bytes, tenant_id: str, tag: str) -> bytes:
        """Raises as `unseal` does."""
        if sealed[:1] == _V1:
            return self._unseal_by_trying(sealed, tenant_id, tag)
        if sealed[:1] != _V2 or len(sealed) < HEAD_BYTES + 28:
            raise SettingsError(
                f"the secret of {tag} is damaged, or was sealed by a newer release; upgrade, or "
                "restore it from your backup"
            )
        head = sealed[:HEAD_BYTES]
        aead = self._known.get(head) or self._read_for(head)
        if aead is None:
            raise SettingsError(
                f"the secret of {tag} was sealed with another key ({head[1:].hex()}); put that key "
                "back into the ring"
            )
        nonce, text = sealed[HEAD_BYTES:17], sealed[17:]
        try:
            return aead.decrypt(nonce, text, _bound(head, tenant_id, tag))
        except InvalidTag:
            raise SettingsError(
                f"the secret of {tag} was changed, or is another one's; restore it from your backup"
            ) from None

    @property
    def head(self) -> bytes:
        """How everything begins that is sealed now; shorter in version 1."""
        self._look()
        return self._active[0]

    def is_current(self, sealed: bytes) -> bool:
        """Whether it would be sealed with the same key today."""
        return sealed.startswith(self.head)

    def _unseal_by_trying(self, sealed: bytes, tenant_id: str, tag: str) -> bytes:
        for read in (False, True):
            if read:
                self._read()
            for aead in list(self._known.values()):
                try:
                    return aead.decrypt(sealed[1:13], sealed[13:], _bound(_V1, tenant_id, tag))
                except (InvalidTag, ValueError):  # the latter: too short
                    continue
        raise SettingsError(
            f"the secret of {tag} was sealed with another key, or changed; put the old sealing key "
            "back into the ring"
        )

    def _look(self) -> None:
        """Whether the file is another one, once a second at most."""
        if self._file is None or (now := self._clock()) < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY
        if key_ring.stamp(self._file) != self._stamp:
            self._read()

    def _read_for(self, head: bytes) -> AESGCM | None:
        self._read()
        return self._known.get(head)

    def _read(self) -> None:
        """A file that cannot be used, such as one that is being copied, changes nothing yet."""
        if self._file is None:
            return
        with self._changing:
            stamp = key_ring.stamp(self._file)
            try:
                self._take(key_ring.read(self._file))
                self._stamp, self._said = stamp, ""
            except SettingsError as error:
                if str(error) != self._said:
                    self._said = str(error)
                    _log.warning("the keys known so far stay in use: %s", error)

    def _take(self, ring: Ring) -> None:
        for key in ring.keys:
            self._known.setdefault(_V2 + bytes.fromhex(key.id), AESGCM(key.secret))
        head = _V2 + bytes.fromhex(ring.active.id)
        self._active = (_V1 if ring.raw else head, self._known[head])


def id_of(sealed: bytes) -> str | None:
    """Of the key that it was sealed with; version 1 does not tell."""
    return sealed[1:HEAD_BYTES].hex() if sealed[:1] == _V2 else None


def _bound(head: bytes, tenant_id: str, tag: str) -> bytes:
    """What is bound is unambiguous: the tenant's length stands before it."""
    if head == _V1:
        return f"{tenant_id}\0{tag}".encode()
    return _begun(head, tenant_id) + tag.encode()


@lru_cache(maxsize=256)
def _begun(head: bytes, tenant_id: str) -> bytes:
    tenant = tenant_id.encode()
    return len(tenant).to_bytes(4, "big") + tenant + head[1:]


def load_sealer(path: Path, keys: str = "") -> Sealer:
    """From the text of a ring, where it is given, else from the file, which is made on first
    start. Raises SettingsError."""
    if keys:
        return Sealer.of(key_ring.from_text(keys, "BOTRIX_SEALING_KEYS"))
    return Sealer.watching(path)
