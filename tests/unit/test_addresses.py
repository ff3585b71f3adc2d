"""Which addresses may be called: a corpus of what has fooled other programs, and properties."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from botrix.addresses import Reach, Target, check_addresses, check_url, read_networks
from botrix.errors import AddressRefused

STRICT = Reach()
NAME = check_url("https://idp.example/scim", STRICT)


def refusal(url: str, reach: Reach = STRICT) -> str:
    with pytest.raises(AddressRefused) as caught:
        check_url(url, reach)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "here"),
    [
        ("https://idp.example/scim/v2", "idp.example", 443, False),
        ("HTTPS://IDP.Example:8443", "idp.example", 8443, False),
        ("https://xn--bcher-kva.example?x=1", "xn--bcher-kva.example", 443, False),
        ("https://my_service", "my_service", 443, False),
        ("https://8.8.8.8/", "8.8.8.8", 443, False),
        ("https://[2606:4700:0::1111]/", "2606:4700::1111", 443, False),
        ("http://localhost:8090", "localhost", 8090, True),
        ("http://127.0.0.1", "127.0.0.1", 80, True),
        ("http://[::1]:1/", "::1", 1, True),
    ],
)
def test_what_may_be_called(url: str, host: str, port: int, here: bool) -> None:
    assert check_url(url, STRICT) == Target(host, port, here, STRICT)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "like https://"),
        ("idp.example", "like https://"),
        ("//idp.example", "like https://"),
        ("https:idp.example", "like https://"),
        ("https:///idp.example", "like https://"),
        ("https://", "like https://"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "like https://"),
        ("file:///etc/passwd", "like https://"),
        ("http+unix://%2Frun%2Fdocker.sock/info", "like https://"),
        ("unix:///run/docker.sock", "like https://"),
        ("ftp://idp.example", "like https://"),
        ("javascript:alert(1)", "like https://"),
        (" https://idp.example", "like https://"),
        ("https://idp.example/a b", "like https://"),
        ("https://idp.example#@evil.example", "like https://"),
        ("https://idp.example\\@evil.example", "like https://"),
        ("https://idp.example\t.evil.example", "in ASCII"),
        ("https://idp.example\r\nHost: evil.example", "in ASCII"),
        ("https://idp.example/\0", "in ASCII"),
        ("https://idp。example", "in ASCII"),
        ("https://１２７.0.0.1", "in ASCII"),
        ("https://①②⑦.⓪.⓪.①", "in ASCII"),
        ("https://bücher.example", "in ASCII"),
        ("https://user@idp.example", "without a user"),
        ("https://user:pa55@idp.example", "without a user"),
        ("https://idp.example@169.254.169.254/", "without a user"),
        ("https://@idp.example", "without a user"),
        ("https://127.1", "odd way"),
        ("https://127.0.1", "odd way"),
        ("https://0x7f.1", "odd way"),
        ("https://0x7F000001", "odd way"),
        ("https://2130706433", "odd way"),
        ("https://017700000001", "odd way"),
        ("https://0177.0.0.1", "odd way"),
        ("https://127.0.0.01", "odd way"),
        ("https://127.0.0.0x1", "odd way"),
        ("https://127.0.0.256", "odd way"),
        ("https://127.0.0.1.", "odd way"),
        ("https://8.8.8.8.8", "odd way"),
        ("https://0", "odd way"),
        ("https://evil.0x7f", "odd way"),
        ("https://localhost.", "no name"),
        ("https://idp..example", "no name"),
        ("https://.idp.example", "no name"),
        ("https://-idp.example", "no name"),
        ("https://" + "a" * 64 + ".example", "no name"),
        ("https://" + "a." * 127 + "ab", "no name"),
        ("https://" + "a" * 3000, "in ASCII"),
        ("https://%31%32%37.0.0.1", "cannot be read"),
        ("https://idp.example%00.evil", "cannot be read"),
        ("https://[fe80::1%25eth0]/", "cannot be read"),
        ("https://[fe80::1%eth0]/", "cannot be read"),
        ("https://[::1", "cannot be read"),
        ("https://[::1]evil.example", "cannot be read"),
        ("https://[idp.example]", "cannot be read"),
        ("https://[v1.x]", "cannot be read"),
        ("https://::1", "cannot be read"),
        ("https://idp.example:", "cannot be read"),
        ("https://idp.example:8443:1", "cannot be read"),
        ("https://idp.example:-1", "cannot be read"),
        ("https://idp.example:0", "its port"),
        ("https://idp.example:65536", "its port"),
        ("https://[1:2]", "odd way"),
        ("https://[::0x1]", "cannot be read"),
        ("http://idp.example", "in the clear"),
        ("http://8.8.8.8", "in the clear"),
        ("http://localhost.evil.example", "in the clear"),
        ("http://127.0.0.2", "in the clear"),
    ],
)
def test_what_has_no_single_meaning(url: str, told: str) -> None:
    said = refusal(url)
    assert told in said
    assert "pa55" not in said


_INNER = [
    ("127.0.0.2", "this machine"),
    ("127.255.255.254", "this machine"),
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "unspecified"),
    ("10.0.0.1", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.168.1.1", "private"),
    ("100.64.0.1", "shared"),
    ("169.254.1.1", "link-local"),
    ("169.254.169.254", "metadata"),
    ("169.254.170.2", "metadata"),
    ("100.100.100.200", "metadata"),
    ("168.63.129.16", "metadata"),
    ("192.0.0.192", "metadata"),
    ("192.0.0.1", "reserved"),
    ("192.0.2.1", "reserved"),
    ("198.18.0.1", "reserved"),
    ("203.0.113.9", "reserved"),
    ("224.0.0.1", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "reserved"),
]
_SIX = [
    ("::", "unspecified"),
    ("::2", "0.0.0.2"),
    ("fc00::1", "private"),
    ("fd00:ec2::254", "metadata"),
    ("fe80::1", "link-local"),
    ("fec0::1", "private"),
    ("ff02::1", "multicast"),
    ("64:ff9b:1::1", "private"),
    ("100::1", "reserved"),
    ("2001:db8::1", "reserved"),
    ("2001:2::1", "reserved"),
    ("3fff::1", "reserved"),
    ("5f00::1", "reserved"),
    ("4000::1", "reserved"),
]
CARRIERS = ["::ffff:{}", "::{}", "64:ff9b::{}", "::ffff:0:{}"]


@pytest.mark.parametrize(("address", "told"), _INNER + _SIX)
def test_special_addresses(address: str, told: str) -> None:
    """As a literal, and as what a name leads to."""
    literal = f"[{address}]" if ":" in address else address
    assert told in refusal(f"https://{literal}/")
    with pytest.raises(AddressRefused, match=told):
        check_addresses(NAME, [address])


def carried(address: str) -> list[str]:
    """By every way in which IPv6 carries IPv4."""
    four = IPv4Address(address)
    bits = int(four)
    packed = [int(IPv6Address("2002::")) | bits << 80]
    teredo = int(IPv6Address("2001:0:808:808::"))
    packed.append(teredo | bits ^ 0xFFFFFFFF)
    packed.append(int(IPv6Address("2001::")) | bits << 64 | 0x08080808 ^ 0xFFFFFFFF)
    return [*(c.format(four) for c in CARRIERS), *(str(IPv6Address(n)) for n in packed)]


@pytest.mark.parametrize(("address", "told"), [("127.0.0.1", "this machine"), *_INNER])
def test_an_address_within_an_address(address: str, told: str) -> None:
    for outer in carried(address):
        if int(IPv6Address(outer)) > 1:
            assert told in refusal(f"https://[{outer}]"), outer


def test_a_public_address_within_an_address_may_be_called() -> None:
    for outer in carried("8.8.8.8"):
        check_addresses(NAME, [outer])


@pytest.mark.parametrize("url", ["https://[0:0:0:0:0:0:0:1]", "https://[::ffff:7f00:1]"])
def test_this_machine_has_three_spellings(url: str) -> None:
    assert "write localhost" in refusal(url)


def test_a_name_does_not_lead_to_this_machine_even_where_it_is_listed() -> None:
    reach = Reach(networks=read_networks(["127.0.0.0/8", "::1/128"]))
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        with pytest.raises(AddressRefused, match="this machine itself"):
            check_addresses(check_url("https://idp.example", reach), [address])


def test_localhost_leads_nowhere_else() -> None:
    """Else passwords would go out in the clear."""
    target = check_url("http://localhost:8090", STRICT)
    check_addresses(target, ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
    for address in ("8.8.8.8", "10.0.0.1", "2606:4700::1111"):
        with pytest.raises(AddressRefused, match="not this machine"):
            check_addresses(target, [address])


def test_one_bad_address_spoils_the_others() -> None:
    check_addresses(NAME, ["8.8.8.8", "2606:4700::1111"])
    for bad in ("10.0.0.1", "2606:4700::1%eth0", "8.8.8.8%1", "", "8.8.8", "idp.example"):
        for order in (["8.8.8.8", bad], [bad, "8.8.8.8"]):
            with pytest.raises(AddressRefused):
                check_addresses(NAME, order)


def test_a_listed_network_opens_itself_and_no_more() -> None:
    reach = Reach(networks=read_networks(["10.1.0.0/16", "fd12::/32", "224.0.0.0/8"]))
    target = check_url("https://idp.example", reach)
    check_addresses(
        target, ["10.1.2.3", "::ffff:10.1.2.3", "2002:a01:203::", "fd12::1", "224.0.0.1"]
    )
    assert check_url("https://10.1.0.1", reach).host == "10.1.0.1"
    for outside in ("10.2.0.1", "fd13::1", "192.168.0.1"):
        with pytest.raises(AddressRefused):
            check_addresses(target, [outside])


def test_no_network_around_it_opens_a_metadata_service() -> None:
    around = Reach(networks=read_networks(["169.254.0.0/16", "fd00::/8", "100.64.0.0/10"]))
    target = check_url("https://idp.example", around)
    check_addresses(target, ["169.254.1.1", "fd00::1"])
    for metadata in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200"):
        with pytest.raises(AddressRefused, match="metadata"):
            check_addresses(target, [metadata])
    exactly = Reach(networks=read_networks(["169.254.169.254/32"]))
    check_addresses(check_url("https://idp.example", exactly), ["169.254.169.254"])


@pytest.mark.parametrize(
    "networks",
    ["10.0.0.0/8", ["10.0.0.1/8"], ["0.0.0.0/0"], ["::/0"], ["8.0.0.0/7"], [10], None, ["all"],
     {"10.0.0.0/8": 1}],
)  # fmt: skip
def test_what_is_no_network(networks: object) -> None:
    with pytest.raises(AddressRefused):
        read_networks(networks)


def test_http_where_it_is_allowed() -> None:
    assert check_url("http://idp.example", Reach(allow_http=True)).port == 80
    assert "private" in refusal("http://10.0.0.1", Reach(allow_http=True))


_PIECES = st.sampled_from(
    ["https://", "http://", "@", ":", "/", "\\", "#", "?", "%", "[", "]", ".", "。", "127.0.0.1",
     "localhost", "::1", "8.8.8.8", "0x7f", "1", "idp.example", ":443", "%2e", "\t", "evil", "::f:"]
)  # fmt: skip


@given(st.lists(_PIECES | st.text(max_size=3), max_size=8).map("".join))
def test_whoever_reads_it_reads_the_same_host(rest: str) -> None:
    """What passes names one host, for the standard library and for what connects."""
    for url in (rest, f"https://{rest}"):
        with contextlib.suppress(AddressRefused):
            target = check_url(url, Reach(allow_http=True))
            parts, read = urlsplit(url), URL(url)
            assert (read.user, read.password, parts.username) == (None, None, None)
            assert (read.port, parts.port or target.port) == (target.port, target.port)
            assert read.raw_host == target.host
            assert _same(parts.hostname or "", target.host)


def _same(one: str, other: str) -> bool:
    with contextlib.suppress(ValueError):
        return ip_address(one) == ip_address(other)
    return one == other


_CARRIED = [IPv6Network(text) for text in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")]


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_no_address_that_python_calls_special_is_called(address: IPv4Address | IPv6Address) -> None:
    """Its lists vary with its version, but what it knows is refused here too."""
    with contextlib.suppress(AddressRefused):
        check_addresses(NAME, [str(address)])
        six = isinstance(address, IPv6Address)
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())] if six else []
        judged = [one for one in inner if one] or [address]
        if not any(address in network for network in _CARRIED):
            assert all(one.is_global and not one.is_multicast for one in judged)
