"""Settings that cannot be used are told in one line that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from botrix.creators import open_creator
from botrix.creators.creator import Secret
from botrix.creators.scim import answers
from botrix.creators.scim.settings import read
from botrix.creators.web.answer import Answer
from botrix.errors import DirectoryError


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "`url`"),
        ({"url": "ftp://x"}, "`url`"),
        ({"url": "https://user:secret@x/v2"}, "without a user"),
        ({"url": "https://[x"}, "`url`"),
        ({"url": "http://directory.example/v2"}, "in the clear"),
        ({"url": "https://x/v2", "token": "t"}, "token_env"),
        ({"url": "https://x/v2", "token": "t"}, "--secret token"),
        ({"url": "https://x/v2", "token": Secret("t"), "token_env": "T"}, "once"),
        ({"url": "https://x/v2", "token": Secret("Tr0ub 4dor")}, "sealed secret"),
        ({"url": Secret("https://x/v2")}, "may be sealed: token, password, client_secret"),
        ({"url": "https://x/v2?a=b"}, "`url`"),
        ({"url": ["https://x/v2"]}, "`url`"),
        ({"url": "https://10.0.0.1/v2"}, "networks="),
        ({"url": "https://x/v2", "networks": "10.0.0.0/8"}, "must be a list"),
        ({"url": "https://x/v2", "networks": ["0.0.0.0/0"]}, "too wide"),
        ({"url": "https://x/v2", "allow_http": "no"}, "true or false"),
        ({"url": "https://x/v2", "password": "t"}, "in the clear"),
        ({"url": "https://x/v2", "client_secret": "t"}, "in the clear"),
        ({"url": "https://x/v2", "colour": 1}, "'colour'"),
        ({"url": "https://x/v2", "concurrency": 0}, "1 to 256"),
        ({"url": "https://x/v2", "concurrency": True}, "1 to 256"),
        ({"url": "https://x/v2"}, "token_env"),
        ({"url": "https://x/v2", "token_env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE"),
        ({"url": "https://x/v2", "token_file": "/no/such/file"}, "/no/such/file"),
        ({"url": "https://x/v2", "token_file": "/dev/null"}, "no usable token"),
    ],
)
async def test_settings_that_cannot_be_used(config: dict[str, Any], told: str) -> None:
    with pytest.raises(DirectoryError) as caught:
        await open_creator("scim", config)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "4dor" not in str(caught.value)
    assert "secret@" not in str(caught.value)


async def test_the_token_is_read_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "abc\n")
    settings = read({"url": "https://x/v2/", "token_env": "MY_TOKEN"})
    assert await settings.authorization.header(1.0) == "Bearer abc"
    assert settings.url == "https://x/v2"
    assert "abc" not in repr(settings)


async def test_a_sealed_token_is_used_and_not_shown() -> None:
    config = {"url": "https://x/v2", "token": Secret("abc")}
    settings = read(config)
    assert await settings.authorization.header(1.0) == "Bearer abc"
    assert "abc" not in f"{settings!r} {config!r} {config['token']}"


def test_a_directory_in_a_listed_network() -> None:
    config = {"url": "https://10.0.0.1/v2", "networks": ["10.0.0.0/8"], "token": Secret("t")}
    assert read(config).target.host == "10.0.0.1"


def test_a_repeated_password_is_taken_out() -> None:
    answer = Answer(400, b'{"detail": "password Tr0ub4dor is too\\nweak"}')
    outcome = answers.created(answer, "Tr0ub4dor")
    assert outcome.detail == "HTTP 400: password *** is too weak"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b'"x"', b"\xff", b'{"totalResults": "1"}',
     b'{"totalResults": 1, "Resources": {}}', b'{"totalResults": 1, "Resources": [1]}',
     b"[" * 100_000],
)  # fmt: skip
def test_a_list_that_is_none(body: bytes) -> None:
    assert answers.rows(Answer(200, body)) is None
