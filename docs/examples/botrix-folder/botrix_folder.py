"""A folder with one JSON file for each account: the file system refuses a second of a name."""

import asyncio
import json
import os
import secrets
from pathlib import Path
from urllib.parse import quote

from argon2 import PasswordHasher

from botrix.creators.creator import FIELDS, Check, Entries, Entry, Sighting, Whose
from botrix.creators.declared import Setting, Type
from botrix.errors import DirectoryError
from botrix.model import Outcome, OutcomeKind

SEALED, DEMANDS_A_CHANGE, GATED = (), False, False
SETTINGS = (Setting("path", "The folder; it must be there.", Type.FILE, required=True),)
_hash = PasswordHasher().hash


async def open_creator(config, timeout, gate):
    if set(config) != {"path"}:
        raise DirectoryError("a folder is configured by `path` alone; correct its settings")
    return Folder(Path(config["path"]))


class Folder:
    kind, unique_key, batch, concurrency = "folder", "username", 8, 2

    def __init__(self, path):
        self._path = path

    async def check(self):
        if not self._path.is_dir():
            return Check(False, problem=f"there is no folder {self._path}; make it, 0700")
        return Check(True, ("refuses a second account of a name", "keeps groups"))

    async def find(self, wanted):
        return [await asyncio.to_thread(self._find, one) for one in wanted]

    async def ours(self, after):
        names = sorted(file.name for file in self._path.glob("*.json"))
        page = [name for name in names if name > (after or "")][:100]
        try:
            entries = [await asyncio.to_thread(self._read, name) for name in page]
        except (OSError, ValueError, KeyError):
            return Entries(problem=f"a file in {self._path} cannot be read")
        ours = [entry for entry in entries if entry.is_of_botrix]
        return Entries(ours, page[-1] if page else None)

    async def create(self, wanted):
        return [await asyncio.to_thread(self._create, one) for one in wanted]

    async def join(self, members):
        return [await self._change(one.entry_id, groups=list(one.groups)) for one in members]

    async def set_password(self, entry_id, password):
        return await self._change(entry_id, hash=await asyncio.to_thread(_hash, password))

    async def disable(self, entry_id):
        return await self._change(entry_id, active=False)

    async def delete(self, entry_id):
        return _tried(entry_id, (self._path / entry_id).unlink)

    async def close(self): ...

    def _find(self, one):
        entry_id = f"{quote(one.person.username.casefold(), safe='')}.json"
        try:
            entry = self._read(entry_id)
        except FileNotFoundError:
            return Sighting(Whose.NOBODY if self._path.is_dir() else Whose.UNSURE)
        except (OSError, ValueError, KeyError):
            return Sighting(Whose.UNSURE, detail=f"{entry_id} cannot be read")
        if entry.tag == one.tag:
            return entry.seen(Whose.OURS)
        return entry.seen(Whose.OTHER_JOB if entry.is_of_botrix else Whose.FOREIGN)

    def _read(self, entry_id):
        kept = json.loads((self._path / entry_id).read_text())
        fields = {name: kept.get(name, "") for name in FIELDS}
        return Entry(entry_id, kept["username"], kept["tag"], fields, kept.get("active", True))

    def _create(self, one):
        entry_id = f"{quote(one.person.username.casefold(), safe='')}.json"
        if not self._path.is_dir():
            return Outcome(OutcomeKind.RETRY, reason="directory away", counted=False)
        fields = {name: getattr(one.person, name) for name in ("username", *FIELDS)}
        kept = {"tag": one.tag, "hash": _hash(one.password), **fields}
        return _tried(entry_id, self._write, entry_id, kept, os.link)

    async def _change(self, entry_id, **new):
        return await asyncio.to_thread(_tried, entry_id, self._write, entry_id, new, os.replace)

    def _write(self, entry_id, new, into):
        old = json.loads((self._path / entry_id).read_text()) if into is os.replace else {}
        whole = self._path / f".{secrets.token_hex(8)}"
        whole.write_text(json.dumps(old | new))
        try:
            into(whole, self._path / entry_id)  # a link fails where the name is taken
        finally:
            whole.unlink(missing_ok=True)


def _tried(entry_id, step, *arguments):
    """No verb raises for what its directory says; what cannot be told is unknown."""
    try:
        step(*arguments)
    except FileExistsError:
        return Outcome(OutcomeKind.CONFLICT, reason="name taken")
    except FileNotFoundError:
        return Outcome(OutcomeKind.REJECTED, reason="no such entry")
    except (OSError, ValueError) as error:
        return Outcome(OutcomeKind.UNKNOWN, reason="file", detail=f"{entry_id}: {error}")
    return Outcome(OutcomeKind.CREATED, entry_id)
