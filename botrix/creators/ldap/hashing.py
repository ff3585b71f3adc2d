"""How a password is written into a directory that keeps what it is given.

OpenLDAP as it comes stores userPassword as it was sent, unless a policy says otherwise, and can
check only what the C library's crypt knows, and weaker: hence `crypt`, SHA-512 with 5,000 rounds.
"""

from __future__ import annotations

import base64
import ctypes
import ctypes.util
import hashlib
import secrets
import threading
from collections.abc import Callable
from functools import cache

from argon2 import PasswordHasher

from botrix.errors import DirectoryError, InvalidInput

_SALT = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROOM = 1 << 16
"""More than `struct crypt_data` takes anywhere."""
_HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


def hasher(scheme: str) -> Callable[[str], bytes]:
    """What to call for each password, from any thread. Raises DirectoryError for a scheme that
    there is not, or not on this machine."""
    match scheme:
        case "server":
            return str.encode
        case "unicode":
            return _unicode
        case "ssha512":
            return _ssha512
        case "argon2":
            return _argon2
        case "crypt":
            _library()
            return _crypt
        case _:
            raise DirectoryError(
                f"there is no password_scheme {scheme[:80]!a}; "
                "choose one of: crypt, ssha512, argon2, server"
            )


def is_slow(scheme: str) -> bool:
    """Whether it is work for a thread."""
    return scheme in ("crypt", "argon2")


def _unicode(password: str) -> bytes:
    """As Active Directory reads unicodePwd (MS-ADTS, 3.1.1.3.1.5)."""
    return f'"{password}"'.encode("utf-16-le")


def _ssha512(password: str) -> bytes:
    salt = secrets.token_bytes(16)
    digest = hashlib.sha512(password.encode() + salt).digest()
    return b"{SSHA512}" + base64.b64encode(digest + salt)


def _argon2(password: str) -> bytes:
    return f"{{ARGON2}}{_HASHER.hash(password)}".encode()


_local = threading.local()


def _crypt(password: str) -> bytes:
    if "\0" in password:
        raise InvalidInput("crypt would end this password at its NUL; choose another")
    salt = "".join(secrets.choice(_SALT) for _ in range(16))
    if not hasattr(_local, "room"):
        _local.room = ctypes.create_string_buffer(_ROOM)
    said = _library()(password.encode(), f"$6${salt}".encode(), _local.room)
    ctypes.memset(_local.room, 0, _ROOM)  # the password was in it
    if not said or not said.startswith(b"$6$"):
        raise InvalidInput("crypt of this machine refuses this password; choose a shorter one")
    return b"{CRYPT}" + bytes(said)


@cache
def _library() -> Callable[[bytes, bytes, ctypes.Array[ctypes.c_char]], bytes | None]:
    try:
        found = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1").crypt_r
    except (OSError, AttributeError):
        raise DirectoryError(
            "this machine has no libcrypt for password_scheme crypt; choose ssha512 or argon2, "
            "which the server must know, or server, where its policy hashes"
        ) from None
    found.restype = ctypes.c_char_p
    found.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
    answer: Callable[[bytes, bytes, ctypes.Array[ctypes.c_char]], bytes | None] = found
    return answer
