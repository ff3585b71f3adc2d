"""The groups of the simulated server: found by name, and changed by PATCH or PUT."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from botrix.creators.simulated_server.quirks import Quirks
from botrix.creators.simulated_server.saying import (
    Said,
    answer,
    error,
    named,
    page,
    read_object,
    refusal,
)
from botrix.creators.simulated_server.store import Entry, Store


async def find(request: web.Request, quirks: Quirks, store: Store) -> web.Response:
    """Of one name, or all."""
    if quirks.groups is None:
        return error(404, "there are no groups here")
    found = list(store.groups.values())
    if "filter" in request.query and not quirks.ignore_filter:
        if quirks.no_filter:
            return error(501, "filters are not supported")
        name = named(request)
        found = [group for group in found if group["displayName"] == name]
    return page(quirks, request, found)


async def read(request: web.Request, _: Quirks, store: Store) -> web.Response:
    """With its members."""
    group = store.groups.get(request.match_info["id"])
    return answer((200, group)) if group else error(404, "there is no such group")


async def patch(request: web.Request, quirks: Quirks, store: Store) -> web.Response:
    """Nothing but adding members."""
    if quirks.no_patch:
        return error(501, "PATCH is not supported")
    group = store.groups.get(request.match_info["id"])
    if group is None:
        return error(404, "there is no such group")
    for operation in (await read_object(request)).get("Operations", []):
        if operation.get("op") != "add" or operation.get("path") != "members":
            return error(400, "only members can be added", "invalidPath")
        values = [m["value"] for m in group["members"]]
        values += [m["value"] for m in operation["value"] if m["value"] not in values]
        if refused := _set(group, values, store):
            return answer(refused)
    return web.Response(status=204)


async def put(request: web.Request, quirks: Quirks, store: Store) -> web.Response:
    """Nothing but its members."""
    group = store.groups.get(request.match_info["id"])
    if group is None:
        return error(404, "there is no such group")
    if not matches(request, quirks, group):
        return error(412, "the group was changed meanwhile")
    members: list[dict[str, Any]] = (await read_object(request)).get("members", [])
    refused = _set(group, [m["value"] for m in members], store)
    return answer(refused or (200, group))


def matches(request: web.Request, quirks: Quirks, entry: Entry) -> bool:
    """A server with ETags wants one, here."""
    return not quirks.etag or request.headers.get("If-Match") == entry["meta"]["version"]


def _set(group: Entry, values: list[str], store: Store) -> Said | None:
    if strangers := [value for value in values if value not in store.users]:
        return refusal(400, f"there is no member {strangers[0]}", "invalidValue")
    group["members"] = [{"value": value} for value in values]
    store.written(group)
    return None
