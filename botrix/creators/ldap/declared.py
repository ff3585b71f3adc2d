"""The settings that an `ldap` directory has."""

from __future__ import annotations

from botrix.creators.declared import From, Setting, Type
from botrix.creators.ldap.profiles import PROFILES
from botrix.creators.limits import LIMITS
from botrix.creators.web.declared import NETWORKS, TLS

SCHEMES = ("crypt", "ssha512", "argon2", "server")
SETTINGS = (
    Setting("url", "Like ldaps://HOST or ldap://HOST:PORT.", Type.URL, required=True),
    Setting("profile", "What server it is.", required=True, choices=tuple(PROFILES)),
    Setting("bind_dn", "The operator's entry, like cn=botrix,dc=example,dc=org.", required=True),
    Setting("password", "The operator's password.", required=True, secret=True),
    Setting(
        "base", "Where accounts are made, like ou=people,dc=example,dc=org.", required=True
    ),
    Setting("groups", "Where groups are, if there are any, like ou=groups,dc=example,dc=org."),
    Setting("start_tls", "TLS on ldap://, before anything is said.", Type.BOOLEAN, default=False),
    Setting(
        "allow_plain", "Whether passwords may travel in the clear, off this machine too.",
        Type.BOOLEAN, default=False, entered=From.DEFAULT_TENANT,
    ),
    NETWORKS,
    *TLS,
    Setting(
        "object_classes", "Of an account, instead of the profile's, like inetOrgPerson.", Type.LIST,
    ),
    Setting("rdn", "The attribute that names an account, instead of the profile's."),
    Setting("tag", "The attribute that says whose an account is, instead of the profile's."),
    Setting(
        "attributes", "Where what a roster says goes, like cost_center = departmentNumber.",
        Type.MAP, default={},
    ),
    Setting("group_member", "The attribute of a group that holds its members."),
    Setting(
        "password_scheme", "How passwords are written; server: by a policy there.",
        choices=SCHEMES,
    ),
    *LIMITS,
)  # fmt: skip
