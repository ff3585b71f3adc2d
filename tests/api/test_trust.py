"""What is taken for this machine while there are no keys."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from starlette.datastructures import Headers

from botrix.api.trust import Trust, is_loopback_name, of_same_site

_TRUST = Trust([ip_network("172.18.0.1/32")], ["botrix.internal"])


@pytest.mark.parametrize(
    "peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "172.18.0.1"]
)
@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "botrix.internal"])
def test_this_machine_and_what_was_named(peer: str, host: str) -> None:
    assert _TRUST.problem(peer, Headers({"host": host})) is None
    assert _TRUST.problem(peer, Headers({"host": host, "origin": f"http://{host}"})) is None


@pytest.mark.parametrize(
    "peer", ["172.18.0.2", "192.0.2.1", "::2", "unknown", "", "127.0.0.1.example"]
)
def test_no_other_peer(peer: str) -> None:
    assert _TRUST.problem(peer, Headers({"host": "localhost"}))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example", "[::1", "2130706433"],
)
def test_no_name_that_merely_points_here(host: str) -> None:
    assert _TRUST.problem("127.0.0.1", Headers({"host": host}))
    assert not is_loopback_name(host)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[::1", "file://"])
def test_no_page_of_another_site(origin: str) -> None:
    headers = Headers({"host": "localhost", "origin": origin})
    assert _TRUST.problem("127.0.0.1", headers)
    assert not of_same_site(headers)


def test_a_page_of_the_same_site() -> None:
    own = {"host": "botrix.example:8443", "origin": "https://botrix.example:8443"}
    assert of_same_site(Headers(own))
    assert of_same_site(Headers({**own, "sec-fetch-site": "same-origin"}))
    assert not of_same_site(Headers({**own, "sec-fetch-site": "same-site"}))
    assert not of_same_site(Headers({"host": "botrix.example:8443"}))
