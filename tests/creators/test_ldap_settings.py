"""Settings of an `ldap` directory that cannot be used are told in one line that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from botrix.creators import check_policy, open_creator
from botrix.creators.creator import Secret
from botrix.creators.ldap.profiles import PROFILES
from botrix.creators.ldap.settings import read
from botrix.errors import DirectoryError
from botrix.passwords import PasswordPolicy

GOOD: dict[str, Any] = {
    "url": "ldaps://ldap.example", "bind_dn": "cn=botrix,dc=x", "password": Secret("Tr0ub 4dor"),
    "profile": "openldap", "base": "ou=people,dc=x",
}  # fmt: skip


def without(*names: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key not in names}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"url": ""}, "`url`"),
        ({"url": 389}, "`url`"),
        ({"url": "https://ldap.example"}, "`url`"),
        ({"url": "ldaps://ldap.example/dc=x"}, "`url`"),
        ({"url": "ldaps://ldap.example?x"}, "`url`"),
        ({"url": "ldaps://cn=x:4dor@ldap.example"}, "without a user"),
        ({"url": "ldaps://[::1"}, "cannot be read"),
        ({"url": "ldaps://ldap.example:0"}, "its port"),
        ({"url": "ldaps://10.0.0.1"}, "networks="),
        ({"url": "ldaps://169.254.169.254", "networks": ["169.254.0.0/16"]}, "special use"),
        ({"url": "ldap://ldap.example"}, "in the clear"),
        ({"url": "ldap://ldap.example", "allow_plain": "yes"}, "true or false"),
        ({"start_tls": True}, "leave it out"),
        ({"start_tls": 1}, "true or false"),
        ({"url": "ldap://localhost", "ca_file": "/x"}, "is for TLS"),
        ({"ca_file": "/no/such/file"}, "/no/such/file"),
        ({"ca_file": "/dev/null"}, "/dev/null"),
        ({"networks": "10.0.0.0/8"}, "must be a list"),
        ({"bind_dn": ""}, "`bind_dn`"),
        ({"bind_dn": "cn=x\n"}, "`bind_dn`"),
        ({"base": "people"}, "`base`"),
        ({"base": ["dc=x"]}, "`base`"),
        ({"groups": ""}, "`groups`"),
        ({"profile": "ldap"}, "openldap, 389ds, ad, samba"),
        ({"profile": ["ad"]}, "openldap, 389ds, ad, samba"),
        ({"rdn": "uid=x"}, "`rdn`"),
        ({"tag": "a)(b"}, "`tag`"),
        ({"tag": 1}, "`tag`"),
        ({"group_member": "2.5.4.31"}, "`group_member`"),
        ({"object_classes": "person"}, "`object_classes`"),
        ({"object_classes": []}, "`object_classes`"),
        ({"attributes": {"shoe_size": "x"}}, "'shoe_size'"),
        ({"attributes": {"title": "a b"}}, "`attributes`"),
        ({"attributes": "title"}, "`attributes`"),
        ({"password_scheme": "md5"}, "crypt, ssha512, argon2, server"),
        ({"profile": "ad", "password_scheme": "server"}, "leave `password_scheme` out"),
        ({"password": "Tr0ub 4dor"}, "--secret password"),
        ({"password": Secret("")}, "no usable password"),
        ({"password_env": "X"}, "once"),
        ({"colour": 1}, "'colour'"),
        ({"concurrency": 0}, "1 to 256"),
        ({"base": Secret("dc=x")}, "may be sealed: password"),
    ],
)
async def test_settings_that_cannot_be_used(change: dict[str, Any], told: str) -> None:
    with pytest.raises(DirectoryError) as caught:
        await open_creator("ldap", GOOD | change)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "4dor" not in str(caught.value)


@pytest.mark.parametrize("name", ["url", "bind_dn", "password", "profile", "base"])
def test_settings_that_must_be_there(name: str) -> None:
    with pytest.raises(DirectoryError, match=name):
        read(without(name))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"password_env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE"),
        ({"password_file": "/no/such/file"}, "/no/such/file"),
        ({"password_file": "/dev/null"}, "no usable password"),
    ],
)
def test_a_password_that_is_not_where_it_should_be(more: dict[str, Any], told: str) -> None:
    with pytest.raises(DirectoryError, match=told):
        read({**without("password"), **more})


def test_the_password_is_read_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one would sign in as nobody, which servers take for right; see above."""
    monkeypatch.setenv("MY_PASSWORD", " käse & brot \n")
    settings = read({**without("password"), "password_env": "MY_PASSWORD"})
    assert settings.password == " käse & brot "
    assert "käse" not in repr(settings)
    assert "4dor" not in f"{read(GOOD)!r}"


@pytest.mark.parametrize(
    "more",
    [
        {"url": "ldap://localhost:3389"},
        {"url": "ldap://127.0.0.1"},
        {"url": "LDAP://[::1]:3389/"},
        {"url": "ldap://ldap.example", "start_tls": True},
        {"url": "ldap://ldap.example", "allow_plain": True},
        {"url": "ldaps://10.0.0.1", "networks": ["10.0.0.0/8"]},
    ],
)
def test_where_passwords_may_go(more: dict[str, Any]) -> None:
    settings = read(GOOD | more)
    assert (settings.context is not None) == (settings.tls or settings.start_tls)


def test_the_ports_are_those_of_ldap() -> None:
    assert read(GOOD).target.port == 636
    assert read(GOOD | {"url": "ldap://localhost"}).target.port == 389


def test_each_profile_has_what_is_needed() -> None:
    for name in PROFILES:
        settings = read(GOOD | {"profile": name})
        assert (settings.login, settings.rdn) == (
            ("sAMAccountName", "cn") if name in ("ad", "samba") else ("uid", "uid")
        )
    check_policy("ldap", PasswordPolicy(must_change=True))
