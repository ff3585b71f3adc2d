"""A webhook as it is asked for, checked and made ready for the ledger. Pure but for its secret."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botrix.addresses import Reach, Target, check_url, read_networks
from botrix.errors import InvalidInput
from botrix.sealing import Sealer
from botrix.webhooks.events import EVENTS
from botrix.webhooks.signing import new_secret, seal


def target_of(url: str, config: Mapping[str, Any]) -> Target:
    """config: may hold `networks` and `allow_http`, as directories have them. Raises
    AddressRefused."""
    networks = read_networks(config.get("networks", ()))
    return check_url(url, Reach(bool(config.get("allow_http", False)), networks))


@dataclass(frozen=True, slots=True)
class Asked:
    """events: None for all. networks and allow_http: as directories have them."""

    url: str
    events: Sequence[str] | None = None
    networks: Sequence[str] = ()
    allow_http: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """values: of its row. host: what may be told of its url. secret: shown once."""

    id: str
    values: dict[str, str | None] = field(repr=False)
    host: str
    secret: str = field(repr=False)


def make(asked: Asked, tenant: str, sealer: Sealer, ident: str | None = None) -> Made:
    """Raises InvalidInput or AddressRefused, saying what to correct."""
    if asked.events is not None and (unknown := sorted(set(asked.events) - set(EVENTS))):
        raise InvalidInput(f"there is no event {unknown[0]!r}; there are: {', '.join(EVENTS)}")
    config = {"networks": list(asked.networks), "allow_http": asked.allow_http}
    host = target_of(asked.url, config).host
    ident, secret = ident or new_id(), new_secret()
    wanted = None if asked.events is None else sorted(set(asked.events), key=EVENTS.index)
    values = {
        "url": asked.url,
        "secret": seal(sealer, tenant, ident, secret),
        "events": None if wanted is None else json.dumps(wanted, separators=(",", ":")),
        "config": json.dumps({name: value for name, value in config.items() if value}),
    }
    return Made(ident, values, host, secret)


def new_id() -> str:
    """64 random bits."""
    return f"wh_{secrets.token_hex(8)}"


def opens_more(asked: Asked) -> bool:
    """Whether it would be called where the public cannot be: on this machine, in networks that are
    not public, or in the clear."""
    target = target_of(asked.url, {"networks": asked.networks, "allow_http": asked.allow_http})
    return bool(target.here or asked.networks or asked.allow_http)
