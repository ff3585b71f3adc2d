"""Which addresses may be called from here. Pure: nothing is looked up or connected to.

Public ones over https, unless the operator says more. The machine itself only where the url says
so, as `localhost`, `127.0.0.1` or `[::1]`; other special networks only where they are listed. An
IPv6 address that carries an IPv4 one is judged by that. A host has one spelling: what two readers
could understand differently is refused (OWASP, Server-Side Request Forgery Prevention). The
networks are those of IANA's special-purpose registries; the standard library's vary by version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

from botrix.errors import AddressRefused

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_LOOPBACK, _METADATA = "loopback", "metadata"
_SPECIAL: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), kind)
    for kind, texts in {
        _METADATA: "169.254.169.254/31 169.254.170.2/32 100.100.100.200/32 168.63.129.16/32"
        " 192.0.0.192/32 fd00:ec2::254/128 fd00:ec2::23/128 fd20:ce::254/128",
        _LOOPBACK: "127.0.0.0/8 ::1/128",
        "unspecified": "0.0.0.0/8 ::/128",
        "private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10 64:ff9b:1::/48",
        "shared": "100.64.0.0/10",
        "link-local": "169.254.0.0/16 fe80::/10",
        "multicast": "224.0.0.0/4 ff00::/8",
        "reserved": "192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24"
        " 203.0.113.0/24 240.0.0.0/4 2001::/23 2001:db8::/32 3fff::/20",
    }.items()
    for text in texts.split()
)
_GLOBAL = IPv6Network("2000::/3")
_CARRIED = tuple(IPv6Network(text) for text in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96"))
_WIDEST = {4: 8, 6: 7}

_URL = re.compile(r"(https?)://([^/?#]+)([/?][^#]*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"[a-z]+://([^/?#]*?)(?::[0-9]*)?(?:[/?#]|$)")
_BRACKETS = re.compile(r"\[([0-9a-f:.]+)\](?::([0-9]{1,5}))?")
_PLAIN = re.compile(r"([^:\[\]]+)(?::([0-9]{1,5}))?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
_LONGEST_URL, _LONGEST_NAME = 2048, 253


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be called besides public addresses over https, as the operator says."""

    allow_http: bool = False
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """What a url names. host: a name, or an address without brackets. here: the url says that it is
    this machine."""

    host: str
    port: int
    here: bool
    reach: Reach


def read_networks(given: object) -> tuple[Network, ...]:
    """From a list like ["10.0.0.0/8"]. Raises AddressRefused."""
    if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) for one in given):
        raise AddressRefused('networks must be a list; write it like ["10.0.0.0/8"]')
    return tuple(_network(text) for text in given)


def _network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise AddressRefused(f"{text[:80]!a} is no network; write it like 10.0.0.0/8") from None
    widest = _WIDEST[network.version]
    if network.prefixlen < widest:
        raise AddressRefused(f"the network {network} is too wide; list some of /{widest} or less")
    return network


def check_url(url: str, reach: Reach) -> Target:
    """Raises AddressRefused; the message never repeats more of the url than its host."""
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable():
        raise AddressRefused("it holds what no address may; write it in ASCII, names as xn--…")
    found = _URL.fullmatch(url)
    if found is None or " " in url or "\\" in url:
        raise AddressRefused("it is none; write it like https://HOST/PATH")
    scheme = found[1].lower()
    target = _target(found[2], {"http": 80, "https": 443}[scheme], reach)
    if scheme == "http" and not (target.here or reach.allow_http):
        raise AddressRefused(
            f"what goes to {target.host} would go in the clear; use https, or allow_http=true"
        )
    return _checked(target)


def is_here(url: object) -> bool:
    """Whether a url, of any scheme and never checked, names this machine itself."""
    found = _AUTHORITY.match(url.lower()) if isinstance(url, str) else None
    return found is not None and found[1] in _THIS_MACHINE


def check_authority(written: str, port: int, reach: Reach) -> Target:
    """Of a url of any scheme, what stands between `//` and the next `/`. port: where none is
    written. Raises AddressRefused."""
    return _checked(_target(written, port, reach))


def _target(written: str, port: int, reach: Reach) -> Target:
    authority = written.lower()
    if "@" in authority:
        raise AddressRefused("it names a user; write it without a user or password")
    host, own = _split(authority)
    here = authority.removesuffix(f":{own}") in _THIS_MACHINE
    return Target(host, own or port, here, reach)


def _checked(target: Target) -> Target:
    if _is_address(target.host):
        check_addresses(target, [target.host])
    return target


def _split(authority: str) -> tuple[str, int]:
    """Host and port (0: none) of what is in one spelling only."""
    found = _BRACKETS.fullmatch(authority) or _PLAIN.fullmatch(authority)
    if found is None or "%" in authority:
        raise AddressRefused("its host cannot be read; write a name, 192.0.2.1 or [2001:db8::1]")
    host, port = found[1], int(found[2] or 0)
    if found[2] and not 1 <= port <= 65535:
        raise AddressRefused("its port is none; write one from 1 to 65535, or none at all")
    if authority.startswith("["):
        return str(_literal(host, IPv6Address)), port
    if _NUMBER.fullmatch(host):
        return str(_literal(host, IPv4Address)), port
    if len(host) > _LONGEST_NAME or not _NAME.fullmatch(host):
        raise AddressRefused(f"{host[:80]} is no name of a host; correct it")
    return host, port


def _literal(text: str, kind: type[Address]) -> Address:
    try:
        return kind(text)
    except ValueError:
        raise AddressRefused(
            f"{text[:80]} is an odd way to write an address; write it in full, like 192.0.2.1"
        ) from None


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def check_addresses(target: Target, addresses: Iterable[str]) -> None:
    """Of all that the target's host leads to: one that may not be called spoils the others, since
    who can add one to a name can choose when which is used. Raises AddressRefused."""
    for text in addresses:
        try:
            address = ip_address(text)
        except ValueError:
            address = None
        if address is None or "%" in text:
            raise AddressRefused(f"{target.host} leads to {text[:80]!a}, which is no plain address")
        for one in _meant(address):
            _judge(target, one)


def _meant(address: Address) -> Iterator[Address]:
    """The IPv4 addresses that an IPv6 address leads to, where it carries any; else itself."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.teredo:
        yield from address.teredo
    elif mapped := address.ipv4_mapped or address.sixtofour:
        yield mapped
    elif int(address) > 1 and any(address in network for network in _CARRIED):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address


def _judge(target: Target, address: Address) -> None:
    kind = _kind(address)
    where = f"{target.host} leads to {address}" if target.host != str(address) else target.host
    if target.here:
        if kind != _LOOPBACK:
            raise AddressRefused(f"{where}, which is not this machine; correct the hosts file")
    elif kind == _LOOPBACK:
        raise AddressRefused(
            f"{where}, this machine itself; if that is meant, write localhost, 127.0.0.1 or [::1]"
        )
    elif kind and not any(_opens(network, address, kind) for network in target.reach.networks):
        raise AddressRefused(
            f"{where}, an address of special use ({kind}); if that is meant, list its network: "
            f'networks=["{ip_network(address)}"]'
        )


def _kind(address: Address) -> str | None:
    """What is special about it; None: it is public."""
    for network, kind in _SPECIAL:
        if address in network:
            return kind
    return None if address.version == 4 or address in _GLOBAL else "reserved"


def _opens(network: Network, address: Address, kind: str) -> bool:
    """A metadata service hands out credentials, so that no network around it opens it."""
    return address in network and (kind != _METADATA or network.num_addresses == 1)
