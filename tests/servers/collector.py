"""A collector of OpenTelemetry on loopback, which takes OTLP over HTTP and keeps the spans."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent

from tests.servers.system import free_port, until


@dataclass(frozen=True)
class Span:
    """service: of which process; parent: "" of a root."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: str
    links: list[str]
    failed: bool
    begins: int
    ends: int
    attributes: dict[str, Any] = field(default_factory=dict)


class Collector:
    """status: what it answers; hangs: it takes a request and never answers."""

    def __init__(self) -> None:
        self.port = free_port()
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []
        self.status = 200
        self.hangs = False
        self.asked = 0
        self._runner: web.ServerRunner | None = None

    @property
    def environ(self) -> dict[str, str]:
        """Of a program whose spans come here soon."""
        url = f"http://127.0.0.1:{self.port}"
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100"}

    async def start(self) -> None:
        server = web.Server(self._handle, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def of(self, trace: str, name: str = "") -> list[Span]:
        """In the order in which they began."""
        mine = [one for one in self.spans if one.trace == trace and name in ("", one.name)]
        return sorted(mine, key=lambda one: one.begins)

    async def has(self, trace: str, name: str, count: int = 1, within: float = 20.0) -> list[Span]:
        """At least so many, once they came."""

        async def came() -> bool:
            return len(self.of(trace, name)) >= count

        await until(came, within, f"{count} spans {name!r} in {sorted(self.names(trace))}")
        return self.of(trace, name)

    def names(self, trace: str) -> list[str]:
        return [one.name for one in self.of(trace)]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(3600)
        if self.status != 200:
            return web.Response(status=self.status)
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.bodies.append(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _values(group.resource.attributes).get("service.name", "")
            for scope in group.scope_spans:
                self.spans += [_span(service, one) for one in scope.spans]
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )


def _span(service: str, one: Sent) -> Span:
    return Span(
        service, one.name, one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex(),
        Sent.SpanKind.Name(one.kind).removeprefix("SPAN_KIND_").lower(),
        [link.span_id.hex() for link in one.links], one.status.code == 2,
        one.start_time_unix_nano, one.end_time_unix_nano, dict(_values(one.attributes)),
    )  # fmt: skip


def _values(attributes: Any) -> Mapping[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
