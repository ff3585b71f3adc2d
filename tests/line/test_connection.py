"""How a line is reached: what a url says, no retries whatever it says, no secret in an error."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import hypothesis.strategies as st
import pytest
from hypothesis import given
from redis.crc import key_slot

from botrix.errors import LineDown
from botrix.line import keys
from botrix.line.connection import connections
from botrix.line.url import LineUrl, read

_BAD = [
    "redis://:s3cret@host:notaport/0",
    "http://:s3cret@host",
    "redis://:s3cret@[host",
    "redis://:s3cret@host/0?socket_timeout=s3cret",
    "",
    "redis://:s3cret@host/0?no_such_option=1",
    "redis+://:s3cret@host",
    "redis+other://:s3cret@host",
    "unix+sentinel://:s3cret@host/mymaster",
    "redis+sentinel://:s3cret@host:26379",
    "redis+sentinel://:s3cret@host/mymaster/two",
    "redis+sentinel://:s3cret@host,/mymaster",
    "redis+sentinel://:s3cret@host:x/mymaster",
    "redis+sentinel://:s3/cret@host/mymaster",
    "redis+sentinel://host/mymaster?sentinel_pass=s3cret",
    "redis+cluster://:s3cret@host/1",
    "redis+cluster://:s3cret@host/?db=1",
    "redis+cluster://:s3cret@host/?sentinel_password=s3cret",
    "redis+cluster://:s3cret@",
    "rediss://:s3cret@host/0?context=s3cret",
    "redis://:s3cret@host/0?where=s3cret",
]


@pytest.mark.parametrize("url", _BAD)
def test_a_url_that_cannot_be_read_is_told_without_its_password(url: str) -> None:
    with pytest.raises(LineDown) as caught:
        connections(url)
    assert "s3" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "REDIS_URL" in str(caught.value)


async def test_options_of_the_url_bring_no_retries_back() -> None:
    options = "retry_on_timeout=yes&socket_timeout=1000000&retry_on_error=x&retry=9"
    for url in (f"redis://host/0?{options}", f"redis+sentinel://host/name?{options}",
                f"redis+cluster://host?{options}"):  # fmt: skip
        opened = connections(url)
        for redis, within in ((opened.lanes, 2.0), (opened.blocking, 10.0)):
            connection = redis.connection_pool.make_connection()
            assert connection.retry.get_retries() == 0
            assert connection.socket_timeout == within
        if opened.cluster is not None:
            assert opened.cluster.retry.get_retries() == 1  # nothing but what may be said twice
        assert len(opened.guides) == (0 if url.startswith("redis:") else 1)
        for guide in opened.guides:
            connection = guide.connection_pool.make_connection()
            assert connection.retry.get_retries() == 0
            assert connection.socket_timeout == 1.0


def test_sentinels_and_the_line_have_credentials_of_their_own() -> None:
    named = read(
        "rediss+sentinel://bot:pw@a,b:7,[::1]:8/my%2Fmaster/3?ssl_ca_certs=/ca.pem"
        "&sentinel_username=watch&sentinel_password=spw"
    )
    assert named.nodes == (("a", 26379), ("b", 7), ("::1", 8))
    assert named.service == "my/master"
    assert named.options == {
        "username": "bot", "password": "pw", "db": 3, "ssl_ca_certs": "/ca.pem"
    }  # fmt: skip
    assert named.sentinel_options == {
        "username": "watch", "password": "spw", "ssl_ca_certs": "/ca.pem"
    }  # fmt: skip
    assert named.address.shown == "a:26379,b:7,[::1]:8 (my/master)"


def test_a_cluster_has_several_nodes_and_no_number() -> None:
    named = read("redis+cluster://u:p@a:7000,b/0")
    assert (named.nodes, named.options.get("db", 0)) == ((("a", 7000), ("b", 6379)), 0)


_HOSTS = st.lists(st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True), min_size=1, max_size=4)
_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)


@given(_HOSTS, st.integers(1, 65535), _TEXT, _TEXT, _TEXT, st.sampled_from(["", "s"]))
def test_what_a_url_says_is_read_back_and_no_secret_shown(
    hosts: list[str], port: int, user: str, password: str, service: str, tls: str
) -> None:
    secret = f"\x00{password}"  # in no other part
    who = f"{quote(user, '')}:{quote(secret, '')}"
    where = ",".join(f"{host}:{port}" for host in hosts)
    options = f"sentinel_password={quote('s' + secret, '')}"
    sentinel = read(f"redis{tls}+sentinel://{who}@{where}/{quote(service, '')}/2?{options}")
    cluster = read(f"redis{tls}+cluster://{who}@{where}")
    server = read(f"redis{tls}://{who}@{hosts[0]}:{port}/2")
    for named in (sentinel, cluster):
        assert named.nodes == tuple((host, port) for host in hosts)
    for named in (sentinel, cluster, server):
        assert (named.options["username"], named.options["password"]) == (user, secret)
        _hides(named, secret)
    assert (sentinel.service, sentinel.options["db"]) == (service, 2)
    assert sentinel.sentinel_options["password"] == f"s{secret}"


def _hides(named: LineUrl, secret: str) -> None:
    spelled = (secret, quote(secret, ""))
    said = str(named.address.down(OSError(" ".join(spelled))))
    for text in (said, repr(named), repr(named.address)):
        assert not any(one in text for one in spelled)


def test_what_people_see_of_an_address() -> None:
    address = connections("redis://user:p%40ss@host:7000/3").address
    told = str(address.down(OSError("p@ss was refused by p%40ss")))
    assert "host:7000" in told
    assert "p@ss" not in told
    assert "p%40ss" not in told


def test_a_file_of_certificates_that_is_not_there_is_told_at_once(folder: Path) -> None:
    with pytest.raises(LineDown, match=r"No such file.*ssl_ca_certs"):
        connections(f"rediss://host?ssl_ca_certs={folder}/none.pem")


def test_every_key_of_a_script_is_in_the_slot_of_the_queue() -> None:
    of_the_lanes = [*keys.LANES.values(), keys.REJECTED, keys.TURN, keys.taken("s", "1")]
    assert {key_slot(key.encode()) for key in of_the_lanes} == {4960}
