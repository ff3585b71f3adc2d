"""What is asked for when a directory is entered, before anything is written."""

from __future__ import annotations

import contextlib
import json

import pytest
from click.testing import CliRunner

from botrix.addresses import Reach, check_authority, is_here
from botrix.cli.directories import directory
from botrix.creators.creator import Secret
from botrix.entering import Asked, check_name
from botrix.errors import AddressRefused, InvalidInput


def test_a_fingerprint_tells_nothing_of_secrets() -> None:
    def asked(secret: str, **settings: str) -> str:
        return Asked("scim", settings, {"token": Secret(secret)}).fingerprint("idp")

    assert asked("one", url="x") == asked("two", url="x")
    assert asked("one", url="x") != asked("one", url="y")
    assert Asked("scim", {}, {"password": Secret("one")}).fingerprint("idp") != asked("one")


@pytest.mark.parametrize(
    "authority",
    ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:443"],
)
def test_what_may_be_this_machine_is_told_to_be(authority: str) -> None:
    for url in (f"https://{authority}", f"ldap://{authority}/", f"http://{authority}/v2?x#y"):
        assert is_here(url), url
    assert check_authority(authority, 443, Reach()).here


@pytest.mark.parametrize(
    "authority",
    ["localhost.", "localhost.example", "x@localhost", "127.1", "127.0.0.1.", "[::ffff:127.0.0.1]"],
)
def test_what_is_not_told_to_be_may_not_be(authority: str) -> None:
    """A name may lead here; then the guard refuses it."""
    assert not is_here(f"https://{authority}/")
    with contextlib.suppress(AddressRefused):
        assert not check_authority(authority, 443, Reach()).here


@pytest.mark.parametrize("other", [None, 1, ["https://localhost"], "localhost", ""])
def test_what_is_no_url_is_nowhere(other: object) -> None:
    assert not is_here(other)


@pytest.mark.parametrize("name", ["a b", "", "../x", "-x", ".", "kinds", "x" * 65, "é", "x\n"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "_x", "x" * 64, "check"])
def test_a_name(name: str) -> None:
    check_name(name)


def test_the_terminal_tells_the_settings_of_a_kind() -> None:
    told = CliRunner().invoke(directory, ["kinds", "scim", "--json"])
    found = {one["name"]: one for one in json.loads(told.output)}
    assert (told.exit_code, found["token"]["secret"]) == (0, True)
    other = CliRunner().invoke(directory, ["kinds", "ldpa"])
    assert (other.exit_code, "there is no kind of directory" in other.output) == (1, True)
