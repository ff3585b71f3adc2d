"""What one kind of LDAP server does otherwise than another, as data.

The tag stands in `labeledURI` (RFC 2079): `botrix:<job>:<index>` is written like a URI, every
inetOrgPerson and every user of Active Directory may hold several, upper and lower case differ in
it, and programs that show people or manage staff let it be. `employeeNumber` belongs to the staff
office, `description` is shown to everybody and edited by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_STAFF = {
    "title": "title",
    "phone": "telephoneNumber",
    "employee_number": "employeeNumber",
    "manager": "manager",
}


@dataclass(frozen=True, slots=True)
class Profile:
    """rdn: the attribute that names an entry. login: the one that people sign in with; where it is
    not `rdn`, it is unique in the whole domain. entry_id: the server's own name of an entry,
    binary_id if that comes as octets, by which the server also finds it then. scheme: how a
    password is kept (see hashing.py). must_change: set for who is to choose another, if the server
    has the control that must_change_by names; empty where only a policy of all can ask for that.
    fixed: set for everybody. disabled: what makes an entry no longer sign in.
    attributes: where it keeps what is said of a person."""

    classes: tuple[str, ...]
    rdn: str
    entry_id: str
    scheme: str
    disabled: Mapping[str, str]
    attributes: Mapping[str, str]
    login: str = "uid"
    binary_id: bool = False
    must_change: Mapping[str, str] = field(default_factory=dict)
    must_change_by: str = ""
    fixed: Mapping[str, str] = field(default_factory=dict)
    tag: str = "labeledURI"
    member: str = "member"

    @property
    def is_domain(self) -> bool:
        """Of Active Directory's kind."""
        return self.binary_id


POLICIES = "1.3.6.1.4.1.42.2.27.8.5.1"
"""The control of servers that have password policies (draft-behera-ldap-password-policy)."""
_PERSON = ("top", "person", "organizationalPerson", "inetOrgPerson")
_KEPT = {**_STAFF, "department": "departmentNumber", "division": "ou", "organization": "o"}
_OPENLDAP = Profile(
    _PERSON, "uid", "entryUUID", "crypt", {"userPassword": "{CRYPT}*"}, _KEPT,
    must_change={"pwdReset": "TRUE"}, must_change_by=POLICIES,
)  # fmt: skip
_389DS = Profile(
    _PERSON, "uid", "nsUniqueId", "server", {"nsAccountLock": "TRUE"}, _KEPT,
)  # fmt: skip
_DOMAIN = Profile(
    ("top", "person", "organizationalPerson", "user"), "cn", "objectGUID", "unicode",
    {"userAccountControl": "514"},
    {**_STAFF, "employee_number": "employeeID", "department": "department",
     "division": "division", "organization": "company"},
    login="sAMAccountName", binary_id=True, must_change={"pwdLastSet": "0"},
    fixed={"userAccountControl": "512"},
)  # fmt: skip
PROFILES = {"openldap": _OPENLDAP, "389ds": _389DS, "ad": _DOMAIN, "samba": _DOMAIN}
