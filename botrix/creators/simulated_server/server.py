"""The handlers of the simulated server; `log` is written with one system call a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from botrix.creators.simulated_server import groups
from botrix.creators.simulated_server.bulk import bulk
from botrix.creators.simulated_server.described import configuration, schemas, strange
from botrix.creators.simulated_server.faults import misbehave
from botrix.creators.simulated_server.quirks import Quirks, Rule, read_quirks
from botrix.creators.simulated_server.saying import (
    Said,
    answer,
    error,
    named,
    page,
    read_object,
    refusal,
)
from botrix.creators.simulated_server.store import Store, digest, shown

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SimulatedServer:
    """See above; what it does wrong is looked up at each call."""

    def __init__(self, log: Path, token: str, quirks: Quirks) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._token = token
        self._landing: set[asyncio.Task[None]] = set()
        self._store = Store(random.Random(quirks.seed))  # noqa: S311  an id is no secret
        self._set(quirks)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2 << 20)
        route = app.router.add_route
        route("GET", "/ServiceProviderConfig", self._ruled("describe", self._configuration))
        route("GET", "/Schemas", self._ruled("describe", self._schemas))
        route("POST", "/Bulk", self._ruled("bulk", self._bulk))
        route("POST", "/Users", self._ruled("create", self._create))
        route("GET", "/Users", self._ruled("find", self._find))
        route("GET", "/Users/{id}", self._ruled("read", self._read))
        route("PATCH", "/Users/{id}", self._ruled("change", self._patch))
        route("PUT", "/Users/{id}", self._ruled("change", self._replace))
        route("DELETE", "/Users/{id}", self._ruled("change", self._delete))
        route("GET", "/Groups", self._ruled("group", self._of_groups(groups.find)))
        route("GET", "/Groups/{id}", self._ruled("group", self._of_groups(groups.read)))
        route("PATCH", "/Groups/{id}", self._ruled("group", self._of_groups(groups.patch)))
        route("PUT", "/Groups/{id}", self._ruled("group", self._of_groups(groups.put)))
        route("PUT", "/_quirks", self._put_quirks)
        route("GET", "/_entries", self._entries)
        route("GET", "/_most", self._at_once)
        route("GET", "/_groups", self._all_groups)
        route("POST", "/_login", self._login)
        return app

    def _set(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self._rng = random.Random(quirks.seed)  # noqa: S311  a fault is no secret
        self._store.rng = self._rng
        self._width = asyncio.Semaphore(quirks.width) if quirks.width else None
        self._inside = self._most = 0
        self._left = [rule.times for rule in quirks.rules]
        self._store.have_groups(quirks.groups or ())

    def _ruled(self, verb: str, handler: _Handler) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Authorization") != f"Bearer {self._token}":
                return error(401, "the token is not valid")
            await request.read()
            await self._work()
            rule = self._rule(verb, await request.text() + request.query_string)
            if rule is None:
                answer = await handler(request)
                self._note(verb, request, answer.status)
                return answer
            if rule.do == "late":
                self._land(asyncio.create_task(self._later(verb, handler, request, rule)))
                return await misbehave(Rule("reset"), request)
            done = await handler(request) if rule.done or rule.do == "slow" else None
            self._note(verb, request, done.status if done else 0, rule.do)
            if done and rule.do == "slow":
                await asyncio.sleep(rule.seconds)
                return done
            return await misbehave(rule, request)

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
        """What a call takes, before its answer."""
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
        if verb == "describe":
            return
        said = request.get("said", {})
        peer = request.transport.get_extra_info("peername") if request.transport else None
        line = {"at": time.time(), "verb": verb, "status": status, "fault": fault, **said}
        line["port"] = peer[1] if peer else 0
        line["traceparent"] = request.headers.get("traceparent", "")
        os.write(self._log, json.dumps(line).encode() + b"\n")

    async def _create(self, request: web.Request) -> web.Response:
        user = await read_object(request)
        request["said"] = {"userName": user.get("userName"), "externalId": user.get("externalId")}
        said = self._make(user)
        if said[0] == 500:
            return web.Response(status=500, text="<h1>Integrity Error</h1>")
        return answer(said)

    def _make(self, user: dict[str, Any]) -> Said:
        name, quirks = user.get("userName"), self._quirks
        if not isinstance(name, str) or not name:
            return refusal(400, "userName is missing", "invalidValue")
        if unknown := strange(quirks, user):
            return refusal(400, f"there is no attribute {unknown}", "invalidSyntax")
        if quirks.no_primary and any("primary" in one for one in user.get("emails", ())):
            return refusal(400, "emails: primary cannot be set", "mutability")
        if quirks.steal and self._rng.random() < quirks.steal:
            self._add({"userName": name, "externalId": "stolen"})
        if name.casefold() in self._store.names:
            if quirks.duplicate_is_500:
                return refusal(500, "Integrity Error")
            return refusal(409, "userName is in use", "uniqueness")
        return 201, shown(self._add(user))

    def _add(self, user: dict[str, Any]) -> dict[str, Any]:
        kept = dict(user)
        if self._quirks.drop_external_id:
            kept.pop("externalId", None)
        return self._store.add_user(kept)

    async def _bulk(self, request: web.Request) -> web.Response:
        """A rule for creates holds for each operation, as far as it is a status."""

        async def make(user: dict[str, Any]) -> Said:
            rule = self._rule("create", json.dumps(user))
            status = int(rule.do) if rule and rule.do.isdigit() else 0
            said = self._make(user) if not status or (rule and rule.done) else refusal(0, "")
            names = {"userName": user.get("userName"), "externalId": user.get("externalId")}
            request["said"] = names
            self._note("create", request, said[0], rule.do if rule else "")
            if rule is None or not status:
                return said
            more = {"retryAfter": rule.retry_after} if rule.retry_after else {}
            return status, {**refusal(status, "on demand")[1], **more}

        told = await bulk(request, self._quirks.bulk, make)
        operations = (await read_object(request)).get("Operations", [])
        request["said"] = {"operations": len(operations), "bytes": request.content_length}
        return told

    async def _find(self, request: web.Request) -> web.Response:
        wanted = request.query.get("filter")
        if wanted is not None and self._quirks.no_filter:
            return error(501, "filters are not supported")
        if wanted is not None and not self._quirks.ignore_filter:
            name = named(request)
            if name is None:
                return error(400, "the filter cannot be read", "invalidFilter")
            request["said"] = {"userName": name.casefold()}
            entry = self._store.users.get(self._store.names.get(name.casefold(), ""))
            candidates = [entry] if entry else []
        else:
            candidates = list(self._store.users.values())
        seen = [e for e in candidates if self._visible(e["id"])]
        return page(self._quirks, request, seen)

    def _visible(self, entry_id: str) -> bool:
        return time.monotonic() - self._store.since[entry_id] >= self._quirks.blind

    async def _read(self, request: web.Request) -> web.Response:
        entry = self._store.users.get(request.match_info["id"])
        return answer((200, shown(entry))) if entry else error(404, "there is no such user")

    async def _patch(self, request: web.Request) -> web.Response:
        if self._quirks.no_patch:
            return error(501, "PATCH is not supported")
        entry = self._store.users.get(request.match_info["id"])
        if entry is None:
            return error(404, "there is no such user")
        for operation in (await read_object(request)).get("Operations", []):
            if operation.get("path") in ("active", "password"):
                self._change(entry, {operation["path"]: operation.get("value")})
        return answer((200, shown(entry)))

    async def _replace(self, request: web.Request) -> web.Response:
        """An attribute that is not given is gone, save the password."""
        entry = self._store.users.get(request.match_info["id"])
        if entry is None:
            return error(404, "there is no such user")
        if not groups.matches(request, self._quirks, entry):
            return error(412, "the user was changed meanwhile")
        given = await read_object(request)
        for name in set(entry) - set(given) - {"id", "meta", "password"}:
            del entry[name]
        self._change(entry, {k: v for k, v in given.items() if k not in ("id", "meta")})
        return answer((200, shown(entry)))

    def _change(self, entry: dict[str, Any], changes: dict[str, Any]) -> None:
        entry.update(changes)
        if "password" in changes:
            entry["password"] = digest(entry["id"], str(changes["password"]))
        self._store.written(entry)

    async def _delete(self, request: web.Request) -> web.Response:
        entry = self._store.remove_user(request.match_info["id"])
        if entry is None:
            return error(404, "there is no such user")
        request["said"] = {"userName": entry["userName"], "externalId": entry.get("externalId")}
        return web.Response(status=204)

    def _of_groups(self, handler: Callable[..., Awaitable[web.Response]]) -> _Handler:
        async def handle(request: web.Request) -> web.Response:
            return await handler(request, self._quirks, self._store)

        return handle

    async def _configuration(self, _: web.Request) -> web.Response:
        return web.json_response(configuration(self._quirks))

    async def _schemas(self, _: web.Request) -> web.Response:
        if self._quirks.schemas == "none":
            return error(404, "there are no schemas here")
        return web.json_response(schemas(self._quirks))

    async def _put_quirks(self, request: web.Request) -> web.Response:
        try:
            self._set(read_quirks(await read_object(request)))
        except (TypeError, ValueError) as problem:
            return error(400, f"these are no quirks: {problem}")
        return web.Response(status=204)

    async def _at_once(self, _: web.Request) -> web.Response:
        """The most calls that were under way at once since the quirks were set."""
        return web.json_response(self._most)

    async def _entries(self, _: web.Request) -> web.Response:
        return web.json_response([shown(entry) for entry in self._store.users.values()])

    async def _all_groups(self, _: web.Request) -> web.Response:
        return web.json_response(list(self._store.groups.values()))

    async def _login(self, request: web.Request) -> web.Response:
        """Of {userName, password}: 204 where they belong together, 401 where not."""
        asked = await read_object(request)
        entry_id = self._store.names.get(str(asked.get("userName", "")).casefold(), "")
        entry = self._store.users.get(entry_id, {})
        right = entry.get("password") == digest(entry_id, str(asked.get("password", "")))
        return web.Response(status=204 if right else 401)
