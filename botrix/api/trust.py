"""Who is taken for this machine while there are no keys, and which pages may use a cookie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Trust:
    """Beside loopback: networks of peers, and names by which they may ask. Without keys only this
    machine may; not a name that merely points here (DNS rebinding), nor a page of another site."""

    def __init__(self, peers: Sequence[Network], hosts: Sequence[str]) -> None:
        self._peers = peers
        self._hosts = _LOOPBACK | set(hosts)

    def problem(self, peer: str, headers: Mapping[str, str]) -> str | None:
        """Why this request is none of this machine; None where it is."""
        if not self._is_here(peer):
            return "without a key the API answers only this machine"
        if _host_of(f"//{headers.get('host', '')}") not in self._hosts:
            return "the API answers on loopback only; ask for localhost or 127.0.0.1"
        origin = headers.get("origin")
        if origin is not None and _host_of(origin) not in self._hosts:
            return "the API takes no requests from pages of other sites"
        return None

    def _is_here(self, peer: str) -> bool:
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        return address.is_loopback or any(address in network for network in self._peers)


def of_same_site(headers: Mapping[str, str]) -> bool:
    """Whether a page of this very site sent it, as browsers tell (OWASP, Cross-Site Request Forgery
    Prevention: verifying origin with standard headers)."""
    origin = headers.get("origin")
    fetched = headers.get("sec-fetch-site", "same-origin")
    if origin is None or fetched != "same-origin":
        return False
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False


def is_loopback_name(host: str) -> bool:
    """Of a Host header."""
    return _host_of(f"//{host}") in _LOOPBACK


def _host_of(address: str) -> str | None:
    """None for what is no address."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
