"""A directory that is a folder with one JSON file for each account, named by the user name.

The file system refuses a second file of a name, and shows a file only once it is whole.
"""

import asyncio
import json
import os
import secrets
from pathlib import Path
from urllib.parse import quote

from argon2 import PasswordHasher

from botrix.creators.creator import Check, Sighting, Whose
from botrix.errors import DirectoryError
from botrix.model import Outcome, OutcomeKind

SEALED = ()
DEMANDS_A_CHANGE = False
GATED = False
_hash = PasswordHasher().hash


async def open_creator(config, timeout, gate):
    if set(config) != {"path"}:
        raise DirectoryError("a folder is configured by `path` alone; correct its settings")
    return Folder(Path(config["path"]))


class Folder:
    kind = "folder"
    unique_key = "username"
    batch = 8
    concurrency = 2

    def __init__(self, path):
        self._path = path

    async def check(self):
        if not self._path.is_dir():
            return Check(False, problem=f"there is no folder {self._path}; make it")
        return Check(True, ("refuses a second account of a name", "keeps groups"))

    async def find(self, wanted):
        return [await asyncio.to_thread(self._find, one) for one in wanted]

    async def create(self, wanted):
        return [await asyncio.to_thread(self._create, one) for one in wanted]

    async def join(self, members):
        return [await self._change(one.entry_id, groups=list(one.groups)) for one in members]

    async def set_password(self, entry_id, password):
        return await self._change(entry_id, hash=await asyncio.to_thread(_hash, password))

    async def disable(self, entry_id):
        return await self._change(entry_id, active=False)

    async def delete(self, entry_id):
        return await asyncio.to_thread(_tried, (self._path / entry_id).unlink, entry_id)

    async def close(self):
        """Nothing is kept open."""

    def _find(self, one):
        entry_id = _named(one)
        try:
            tag = json.loads((self._path / entry_id).read_text())["tag"]
        except FileNotFoundError:
            return Sighting(Whose.NOBODY if self._path.is_dir() else Whose.UNSURE)
        except (OSError, ValueError, KeyError):
            return Sighting(Whose.UNSURE, detail=f"{entry_id} cannot be read")
        if tag == one.tag:
            return Sighting(Whose.OURS, entry_id)
        return Sighting(Whose.OTHER_JOB if tag.startswith("botrix:") else Whose.FOREIGN, entry_id)

    def _create(self, one):
        entry_id, person = _named(one), one.person
        if len(entry_id) > 200:
            return Outcome(OutcomeKind.REJECTED, reason="rejected", detail="the name is too long")
        if not self._path.is_dir():
            return Outcome(OutcomeKind.RETRY, reason="directory away", counted=False)
        kept = {"tag": one.tag, "username": person.username, "email": person.email, "active": True}
        kept |= {"groups": list(person.groups), "hash": _hash(one.password)}
        return _tried(lambda: self._write(entry_id, kept, os.link), entry_id)

    async def _change(self, entry_id, **new):
        def step():
            kept = json.loads((self._path / entry_id).read_text())
            self._write(entry_id, kept | new, os.replace)

        return await asyncio.to_thread(_tried, step, entry_id)

    def _write(self, entry_id, kept, into):
        whole = self._path / f".{secrets.token_hex(8)}"
        with open(whole, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(json.dumps(kept))
            file.flush()
            os.fsync(file.fileno())
        try:
            into(whole, self._path / entry_id)  # link fails where the name is taken
        finally:
            whole.unlink(missing_ok=True)


def _named(one):
    return f"{quote(one.person.username.casefold(), safe='')}.json"


def _tried(step, entry_id):
    """No verb raises for what its directory says; what cannot be told is unknown."""
    try:
        step()
    except FileExistsError:
        return Outcome(OutcomeKind.CONFLICT, reason="name taken")
    except FileNotFoundError:
        return Outcome(OutcomeKind.REJECTED, reason="no such entry")
    except (OSError, ValueError) as error:
        return Outcome(OutcomeKind.UNKNOWN, reason="file", detail=f"{entry_id}: {error}")
    return Outcome(OutcomeKind.CREATED, entry_id)
