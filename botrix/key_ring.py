"""The keys that passwords are sealed with: the first one seals, each of them opens.

The file: one key a line, 32 bytes in base64; `#` begins a comment. A key with the comment `waiting`
was added, and has not sealed yet. A file of exactly 32 bytes is of an earlier release: a ring of
that one key. A file is never changed in place, so that nobody reads half of one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from botrix.errors import SettingsError

KEY_BYTES = 32
WAITING = "waiting"
_HEAD = (
    "# Botrix: passwords are sealed with the first key, and opened with any. See: botrix key-ring\n"
    "# Keep a copy, apart from the ledger's: without these keys no stored password can be read.\n"
)


@dataclass(frozen=True, slots=True)
class Key:
    """waiting: was added, and has not sealed yet."""

    secret: bytes = field(repr=False)
    waiting: bool = False

    @property
    def id(self) -> str:
        return hashlib.sha256(self.secret).hexdigest()[:8]

    @property
    def line(self) -> str:
        return base64.b64encode(self.secret).decode() + (f"  # {WAITING}" if self.waiting else "")


@dataclass(frozen=True, slots=True)
class Ring:
    """raw: from a file of an earlier release, whose programs may run beside this one."""

    keys: tuple[Key, ...]
    raw: bool = False

    @property
    def active(self) -> Key:
        return self.keys[0]

    @property
    def newest_waiting(self) -> Key | None:
        return next((key for key in reversed(self.keys) if key.waiting), None)

    def state(self, key: Key) -> str:
        if key is self.active:
            return "active"
        return WAITING if key.waiting else "old"

    def with_waiting(self, secret: bytes) -> Ring:
        return Ring((*self.keys, Key(secret, waiting=True)))

    def rotated(self, secret: bytes) -> Ring:
        """The newest that waits becomes active; where none does, `secret`."""
        first = self.newest_waiting or Key(secret)
        others = tuple(key for key in self.keys if key is not first)
        return Ring((replace(first, waiting=False), *others))

    def pruned(self) -> Ring:
        """Without the old ones."""
        return Ring(tuple(key for key in self.keys if self.state(key) != "old"), self.raw)

    def content(self) -> bytes:
        return (_HEAD + "".join(f"{key.line}\n" for key in self.keys)).encode()


def fresh() -> bytes:
    """A new key."""
    return os.urandom(KEY_BYTES)


def from_text(text: str, where: str) -> Ring:
    """Keys in lines, or with white space or commas between them. Raises SettingsError."""
    found: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        keys, _, comment = line.partition("#")
        waiting = comment.strip() == WAITING
        words = [word for word in re.split(r"[\s,]+", keys) if word]
        found += [Key(_secret(word, f"{where}, line {number}"), waiting) for word in words]
    if not found:
        raise SettingsError(f"{where} holds no sealing key; restore it from your backup")
    if twice := next((k for n, k in enumerate(found) if k.id in {o.id for o in found[:n]}), None):
        raise SettingsError(f"{where} holds the sealing key {twice.id} twice; remove one of them")
    return Ring((replace(found[0], waiting=False), *found[1:]))


def _secret(word: str, where: str) -> bytes:
    try:
        secret = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != KEY_BYTES:
        raise SettingsError(
            f"{where}: that is no sealing key (32 bytes in base64); restore it from your backup"
        )
    return secret


def read(path: Path) -> Ring:
    """Raises SettingsError where there is none, or it is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"the sealing keys cannot be read from {path}: {error.strerror}; restore that file"
        ) from None
    if len(content) == KEY_BYTES:
        return Ring((Key(content),), raw=True)
    try:
        return from_text(content.decode(), str(path))
    except UnicodeDecodeError:
        raise SettingsError(
            f"{path} is no ring of sealing keys; restore it from your backup"
        ) from None


def read_or_make(path: Path) -> Ring:
    """On first start there is none yet; safe side by side."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make(Path(os.path.realpath(path)))
    except OSError as error:
        raise SettingsError(
            f"no sealing key can be made at {path}: {error.strerror}; give BOTRIX_SEALING_KEY_FILE"
        ) from None
    return read(path)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def change(path: Path, how: Callable[[Ring], Ring]) -> Ring:
    """Replaces the file, all of it or nothing; one at a time. Mode and owner stay."""
    target = Path(os.path.realpath(path))
    try:
        with _alone(target.parent):
            before = read(target)
            after = how(before)
            if after != before:
                _replace(target, after.content())
            return after
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be replaced: {error.strerror}; run this where the file may be written"
        ) from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    import fcntl

    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
        os.fsync(held)
    finally:
        os.close(held)


def _replace(path: Path, content: bytes) -> None:
    before = path.stat()
    new = _written(path, content)
    try:
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(new, before.st_uid, before.st_gid)
        new.chmod(before.st_mode & 0o777)
        new.rename(path)
    except OSError:
        new.unlink()
        raise


def _make(path: Path) -> None:
    new = _written(path, Ring((Key(fresh()),)).content())
    try:
        os.link(new, path)  # unlike rename, never replaces the key that another process made
    except FileExistsError:
        pass
    finally:
        new.unlink()


def _written(path: Path, content: bytes) -> Path:
    """A file beside it, on the disk, that nobody else can read."""
    new = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return new
