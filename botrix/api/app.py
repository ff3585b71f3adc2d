"""The app, put together; and the server that runs it."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address

import uvicorn
from fastapi import Depends, FastAPI
from fastapi.telemetry import TelemetryConfig

from botrix import __version__, lag, traces
from botrix.api import (
    accounts,
    audit,
    control,
    directories,
    entering,
    events,
    failed_rows,
    generate,
    history,
    imports,
    jobs,
    keys,
    kinds,
    metrics,
    pages,
    passwords,
    sign_in,
    system,
    templates,
    undo,
    webhooks,
    workers,
)
from botrix.api.backlog import Backlog
from botrix.api.checking import Checking
from botrix.api.described import Described
from botrix.api.door import Here
from botrix.api.entrance import Entrance
from botrix.api.hub import Hub
from botrix.api.known import Known
from botrix.api.problems import add_handlers
from botrix.api.protocol import Protocol
from botrix.api.pulse import Pulses
from botrix.api.query import only_known
from botrix.api.rate import Rate
from botrix.api.server import Server
from botrix.api.straight import Straight
from botrix.api.submitting import Submitting
from botrix.api.traced import Traced
from botrix.api.trust import Trust
from botrix.api.who import Doorkeeper
from botrix.errors import BotrixError, LedgerDown, SettingsError
from botrix.keys import Key, first_key
from botrix.ledger.engine import create_engine
from botrix.ledger.imports import sweep
from botrix.ledger.keys import Keys
from botrix.ledger.queries import Queries
from botrix.log import set_up
from botrix.notify import Notifier
from botrix.services import Services
from botrix.settings import Settings

_log = logging.getLogger(__name__)
_A_DAY = 86_400.0
_KEPT = 75
"""Seconds for which a connection is kept that asks nothing: longer than clients and proxies keep
one. Who closes first loses no request; a server does, where one is sent just then."""
_SWITCH = 0.0005
"""Seconds after which the interpreter is handed on. Each statement of SQLite, in a thread of its
own, waits as long for it where requests keep the loop busy; a submission has about ten of them."""
_NONE_OF_ITS_OWN: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI's tells more of a request than `traced.py` does; each is asked whether it is wanted."""
_NOUNS = (
    generate,
    imports,
    jobs,
    events,
    undo,
    control,
    failed_rows,
    accounts,
    passwords,
    history,
    kinds,
    entering,
    directories,
    system,
    workers,
    metrics,
    sign_in,
    keys,
    audit,
    templates,
    webhooks,
    pages,
)


def create_app(
    settings: Settings, failed: Callable[[BaseException], None] | None = None
) -> FastAPI:
    """Opens ledger and line when it starts, and closes them when it stops. failed: told what a
    background part died of, so that the process can end. Raises SettingsError."""
    first = first_key(settings.api_key) if settings.api_key else None
    services = Services(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _opened(services, first, failed or _tell) as app.state.here:
            yield

    app = Described(
        title="Botrix",
        version=__version__,
        summary="Creates accounts in bulk, durably, in directories that you administer.",
        lifespan=lifespan,
        telemetry=_NONE_OF_ITS_OWN,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(only_known)],
    )
    for noun in _NOUNS:
        app.include_router(noun.router)
    add_handlers(app)
    app.add_middleware(Straight, route=generate.route)
    app.add_middleware(Traced)
    app.add_middleware(Entrance, trust=Trust(settings.trusted_peers, settings.trusted_hosts))
    return app


@asynccontextmanager
async def _opened(
    services: Services, first: Key | None, failed: Callable[[BaseException], None]
) -> AsyncIterator[Here]:
    """What requests find here, and what runs beside them."""
    settings = services.settings
    async with services:
        queries = Queries(create_engine(settings.ledger_url))
        submitting = Submitting(services.ledger, services.line, failed)
        submitting.start()
        held = Keys(queries.engine)
        keeper = Doorkeeper(held, first)
        backlog = Backlog(settings.backlog, services.ledger.open_jobs)
        rate = Rate(services.line)
        hub, checking = Hub(services.line, Known(queries.engine)), Checking()
        pulses = Pulses(hub, queries, services.line)
        here = Here(
            services, queries, held, submitting, keeper, rate, backlog, hub, pulses, checking
        )
        beside = [_sweep(queries), lag.watch(here.own.lag)]
        tasks = [asyncio.create_task(one) for one in beside]
        yield here
        await checking.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await pulses.close()
        await hub.close()
        await submitting.close()
        await queries.close()


def _is_loopback(host: str) -> bool:
    """Raises SettingsError for what is neither `localhost` nor an address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        raise SettingsError(
            f"{host!r} is no address to listen on; give one like 127.0.0.1"
        ) from None


def _tell(error: BaseException) -> None:
    _log.error("the API ends, since a part of it failed", exc_info=error)


async def _sweep(queries: Queries) -> None:
    """What an API that was killed left half imported is nobody's job, but takes room; so do
    Idempotency-Keys that are over."""
    while True:
        with contextlib.suppress(LedgerDown):
            await sweep(queries.engine, older_than=3600.0)
            while await queries.forget_keys(_A_DAY) > 0:
                pass
        await asyncio.sleep(600.0)


async def _require_keys(settings: Settings) -> None:
    """A ledger that does not answer does not keep it from starting: it lets nobody in then."""
    queries = Queries(create_engine(settings.ledger_url))
    try:
        with contextlib.suppress(LedgerDown):
            if not await Keys(queries.engine).any_made():
                raise SettingsError(
                    f"the API listens on loopback only, not on {settings.host}, while there is no "
                    "key; make one: botrix key create --role admin --name NAME"
                )
    finally:
        await queries.close()


def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises SettingsError for an address that others could reach, where
    no key was ever made."""
    if not _is_loopback(settings.host) and not settings.api_key and not settings.trusted_peers:
        asyncio.run(_require_keys(settings))
    set_up(settings, "api")
    traces.set_up(settings, "botrix-api")
    sys.setswitchinterval(_SWITCH)
    faulthandler.enable()  # see daemon.py
    logging.getLogger("uvicorn.error").setLevel("WARNING")
    died: list[BaseException] = []

    def failed(error: BaseException) -> None:
        _tell(error)
        died.append(error)
        server.should_exit = True

    app = create_app(settings, failed)

    async def look() -> None:
        await app.state.here.services.ledger.ping()

    def ending() -> None:
        app.state.here.hub.end()

    config = uvicorn.Config(
        app, settings.host, settings.port,
        access_log=False, log_config=None, timeout_graceful_shutdown=10, server_header=False,
        timeout_keep_alive=_KEPT,
        proxy_headers=False,  # whoever asks could name any address
        http=Protocol, ws="none",
    )  # fmt: skip
    server = Server(config, Notifier(settings.notify_socket, settings.watchdog), look, ending)
    server.run()
    if died:
        raise BotrixError(f"the API ended, since a part of it failed: {died[0]!r}")
