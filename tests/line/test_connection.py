"""How a line is reached: no retries, whatever the url says, and no secret in an error."""

from __future__ import annotations

import pytest

from botrix.errors import LineDown
from botrix.line.connection import open_pool


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@host:notaport/0",
        "http://:s3cret@host",
        "redis://:s3cret@[host",
        "redis://:s3cret@host/0?socket_timeout=s3cret",
        "",
        "redis://:s3cret@host/0?no_such_option=1",
    ],
)
def test_a_url_that_cannot_be_read_is_told_without_its_password(url: str) -> None:
    with pytest.raises(LineDown) as caught:
        open_pool(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "REDIS_URL" in str(caught.value)


def test_options_of_the_url_bring_no_retries_back() -> None:
    pool, _ = open_pool(
        "redis://host/0?retry_on_timeout=yes&socket_timeout=1000000&retry_on_error=x"
    )
    connection = pool.make_connection()
    assert connection.retry.get_retries() == 0
    assert connection.socket_timeout == 2.0


def test_what_people_see_of_an_address() -> None:
    _, address = open_pool("redis://user:p%40ss@host:7000/3")
    told = str(address.down(OSError("p@ss was refused by p%40ss")))
    assert "host:7000" in told
    assert "p@ss" not in told
    assert "p%40ss" not in told
