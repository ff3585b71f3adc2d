"""The simulated directory as a SCIM server in a process of its own, which misbehaves on demand.

    python -m botrix.creators.simulated_server --port 9000 --log calls.ndjson --token T

Every call is in the append-only log before it is answered: what the log says was created, was. What
it shall do wrong is given at the start (--quirks) or later, by `PUT /_quirks`. Loopback only; it is
for tests, demonstrations and measurements.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from aiohttp import web

_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
_EQUALS = re.compile(r'userName eq ("(?:[^"\\]|\\.)*")')
_CONFIGURATION = {"filter": {"supported": True, "maxResults": 1000}, "patch": {"supported": True}}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Rule:
    """do: an HTTP status as text, reset, junk, huge, drip, redirect, hang, slow (the answer comes
    `seconds` later) or late (no answer, and what was asked is done `seconds` later). on: create,
    find or change. done: whether what was asked is done all the same. share: of the calls; times:
    at most so many; match: of those for a name with this text."""

    do: str
    on: str = "create"
    done: bool = False
    share: float = 1.0
    times: int = 1_000_000_000
    retry_after: str = ""
    seconds: float = 1.0
    match: str = ""


@dataclass(frozen=True, slots=True)
class Quirks:
    """delay: seconds per call; width: works on so many at once, and lets others wait (0: on all).
    blind: seconds until `find` sees what was created. steal: the share of names that somebody else
    takes just before a create. The others are deviations of real servers."""

    delay: float = 0.0
    steal: float = 0.0
    width: int = 0
    blind: float = 0.0
    ignore_filter: bool = False
    no_filter: bool = False
    duplicate_is_500: bool = False
    drop_external_id: bool = False
    seed: int | None = None
    rules: tuple[Rule, ...] = ()


def read_quirks(given: dict[str, Any]) -> Quirks:
    """Raises TypeError for what is none."""
    rules = tuple(Rule(**rule) for rule in given.get("rules", ()))
    return Quirks(**{**given, "rules": rules})


@dataclass(slots=True)
class _Store:
    """The entries by id, and the id of each name."""

    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)


class SimulatedServer:
    """The handlers; `log` is written with one system call a line."""

    def __init__(self, log: Path, token: str, quirks: Quirks) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._token = token
        self._store = _Store()
        self._landing: set[asyncio.Task[None]] = set()
        self._set(quirks)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_get("/ServiceProviderConfig", self._configuration)
        app.router.add_post("/Users", self._ruled("create", self._create))
        app.router.add_get("/Users", self._ruled("find", self._find))
        app.router.add_patch("/Users/{id}", self._ruled("change", self._patch))
        app.router.add_delete("/Users/{id}", self._ruled("change", self._delete))
        app.router.add_put("/_quirks", self._put_quirks)
        app.router.add_get("/_entries", self._entries)
        app.router.add_get("/_most", self._at_once)
        app.router.add_post("/_login", self._login)
        return app

    def _set(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self._rng = random.Random(quirks.seed)  # noqa: S311  a fault is no secret
        self._width = asyncio.Semaphore(quirks.width) if quirks.width else None
        self._inside = self._most = 0
        self._left = [rule.times for rule in quirks.rules]

    def _ruled(self, verb: str, handler: _Handler) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Authorization") != f"Bearer {self._token}":
                return _error(401, "the token is not valid")
            await request.read()
            await self._work()
            rule = self._rule(verb, await request.text() + request.query_string)
            if rule is None:
                answer = await handler(request)
                self._note(verb, request, answer.status)
                return answer
            if rule.do == "late":
                self._land(asyncio.create_task(self._later(verb, handler, request, rule)))
                return await _misbehave(Rule("reset"), request)
            done = await handler(request) if rule.done or rule.do == "slow" else None
            self._note(verb, request, done.status if done else 0, rule.do)
            if done and rule.do == "slow":
                await asyncio.sleep(rule.seconds)
                return done
            return await _misbehave(rule, request)

        return handle

    async def _later(self, verb: str, handler: _Handler, request: web.Request, rule: Rule) -> None:
        self._note("held", request, 0)
        await asyncio.sleep(rule.seconds)
        answer = await handler(request)
        self._note(verb, request, answer.status, rule.do)

    def _land(self, task: asyncio.Task[None]) -> None:
        self._landing.add(task)
        task.add_done_callback(self._landing.discard)

    async def _work(self) -> None:
        """What it takes, before an answer; and how many are at it at once, for who asks later."""
        self._inside += 1
        self._most = max(self._most, self._inside)
        try:
            async with self._width or contextlib.nullcontext():
                await asyncio.sleep(self._quirks.delay)
        finally:
            self._inside -= 1

    def _rule(self, verb: str, said: str) -> Rule | None:
        for n, rule in enumerate(self._quirks.rules):
            fits = rule.on == verb and self._left[n] > 0 and rule.match in said
            if fits and self._rng.random() < rule.share:
                self._left[n] -= 1
                return rule
        return None

    def _note(self, verb: str, request: web.Request, status: int, fault: str = "") -> None:
        said = request.get("said", {})
        peer = request.transport.get_extra_info("peername") if request.transport else None
        line = {"at": time.time(), "verb": verb, "status": status, "fault": fault, **said}
        line["port"] = peer[1] if peer else 0
        os.write(self._log, json.dumps(line).encode() + b"\n")

    async def _create(self, request: web.Request) -> web.Response:
        user = await _object(request)
        name = user.get("userName")
        if not isinstance(name, str) or not name:
            return _error(400, "userName is missing", "invalidValue")
        request["said"] = {"userName": name, "externalId": user.get("externalId")}
        if self._quirks.steal and self._rng.random() < self._quirks.steal:
            self._add({"userName": name, "externalId": "stolen"})
        if name.casefold() in self._store.names:
            if self._quirks.duplicate_is_500:
                return web.Response(status=500, text="<h1>Integrity Error</h1>")
            return _error(409, "userName is in use", "uniqueness")
        return web.json_response(_shown(self._add(user)), status=201)

    def _add(self, user: dict[str, Any]) -> dict[str, Any]:
        entry_id = f"{self._rng.getrandbits(96):024x}"
        entry = {**user, "id": entry_id, "meta": {"resourceType": "User"}}
        entry["password"] = _digest(entry_id, str(user.get("password", "")))
        if self._quirks.drop_external_id:
            entry.pop("externalId", None)
        self._store.entries[entry_id] = entry
        self._store.names.setdefault(user["userName"].casefold(), entry_id)
        self._store.since[entry_id] = time.monotonic()
        return entry

    async def _find(self, request: web.Request) -> web.Response:
        wanted = request.query.get("filter")
        if wanted is not None and self._quirks.no_filter:
            return _error(501, "filters are not supported")
        if wanted is not None and not self._quirks.ignore_filter:
            match = _EQUALS.fullmatch(wanted)
            if match is None:
                return _error(400, "the filter cannot be read", "invalidFilter")
            name = json.loads(match[1]).casefold()
            request["said"] = {"userName": name}
            entry = self._store.entries.get(self._store.names.get(name, ""))
            candidates = [entry] if entry else []
        else:
            candidates = list(self._store.entries.values())
        seen = [e for e in candidates if self._visible(e["id"])]
        start = max(1, int(request.query.get("startIndex", "1")))
        page = [_shown(e) for e in seen[start - 1 :][: int(request.query.get("count", "1000"))]]
        return web.json_response(
            {"schemas": [_LIST], "totalResults": len(seen), "startIndex": start, "Resources": page}
        )

    def _visible(self, entry_id: str) -> bool:
        return time.monotonic() - self._store.since[entry_id] >= self._quirks.blind

    async def _patch(self, request: web.Request) -> web.Response:
        entry = self._store.entries.get(request.match_info["id"])
        if entry is None:
            return _error(404, "there is no such user")
        for operation in (await _object(request)).get("Operations", []):
            if operation.get("path") == "active":
                entry["active"] = operation.get("value")
            if operation.get("path") == "password":
                entry["password"] = _digest(entry["id"], str(operation.get("value")))
        return web.json_response(_shown(entry))

    async def _delete(self, request: web.Request) -> web.Response:
        entry = self._store.entries.pop(request.match_info["id"], None)
        if entry is None:
            return _error(404, "there is no such user")
        request["said"] = {"userName": entry["userName"], "externalId": entry.get("externalId")}
        del self._store.names[entry["userName"].casefold()]
        return web.Response(status=204)

    async def _configuration(self, _: web.Request) -> web.Response:
        return web.json_response(_CONFIGURATION)

    async def _put_quirks(self, request: web.Request) -> web.Response:
        try:
            self._set(read_quirks(await _object(request)))
        except (TypeError, ValueError) as error:
            return _error(400, f"these are no quirks: {error}")
        return web.Response(status=204)

    async def _at_once(self, request: web.Request) -> web.StreamResponse:
        """The most calls that were under way at once since the quirks were set."""
        return web.json_response(self._most)

    async def _entries(self, _: web.Request) -> web.Response:
        shown = [_shown(entry) for entry in self._store.entries.values()]
        return web.json_response(shown)

    async def _login(self, request: web.Request) -> web.Response:
        """Of {userName, password}: 204 where they belong together, 401 where not."""
        asked = await _object(request)
        entry_id = self._store.names.get(str(asked.get("userName", "")).casefold(), "")
        entry = self._store.entries.get(entry_id, {})
        right = entry.get("password") == _digest(entry_id, str(asked.get("password", "")))
        return web.Response(status=204 if right else 401)


def _digest(entry_id: str, password: str) -> str:
    """No hash for real passwords; it only spares the log and the answers the plain text."""
    return hashlib.sha256(f"{entry_id}:{password}".encode()).hexdigest()


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "password"}


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        read = json.loads(await request.read())
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _error(status: int, detail: str, kind: str = "") -> web.Response:
    body = {"schemas": [_ERROR], "status": str(status), "detail": detail}
    return web.json_response({**body, "scimType": kind} if kind else body, status=status)


async def _misbehave(rule: Rule, request: web.Request) -> web.StreamResponse:
    if rule.do.isdigit():
        headers = {"Retry-After": rule.retry_after} if rule.retry_after else None
        return web.Response(status=int(rule.do), text="on demand", headers=headers)
    if rule.do == "reset":
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
    if rule.do == "junk":
        return web.Response(body=b"\x00\xff{]", content_type="application/scim+json")
    if rule.do == "huge":
        return web.Response(body=b"[" * (10 << 20), content_type="application/scim+json")
    if rule.do == "redirect":
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"})
    return await _slow(rule, request)


async def _slow(rule: Rule, request: web.Request) -> web.StreamResponse:
    """hang: no byte for an hour; drip: one each second."""
    if rule.do == "hang":
        await asyncio.sleep(3600)
    answer = web.StreamResponse(status=201, headers={"Content-Type": "application/scim+json"})
    await answer.prepare(request)
    for _ in range(3600):
        await answer.write(b" ")
        await asyncio.sleep(1)
    return answer


def main() -> None:
    """Runs until it is told to end. Prints its address once it listens."""
    parser = argparse.ArgumentParser(description="The simulated directory, over HTTP.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--token", default="T")
    known = ", ".join(f.name for f in fields(Quirks))
    parser.add_argument("--quirks", default="{}", help=f"JSON of: {known}")
    given = parser.parse_args()
    server = SimulatedServer(given.log, given.token, read_quirks(json.loads(given.quirks)))
    web.run_app(server.app(), host="127.0.0.1", port=given.port, access_log=None,
                shutdown_timeout=1.0, print=lambda _: print(f"http://127.0.0.1:{given.port}",
                flush=True))  # fmt: skip


if __name__ == "__main__":
    main()
