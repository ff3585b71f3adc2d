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
    """classes: of an entry. rdn: the attribute that names it, login: the one that people sign in
    with; where that is another, it is unique in the whole domain. entry_id: the server's own name
    of an entry; binary_id: it comes as octets, and the server takes it for a DN. tag: where the
    tag stands, attributes: where what is said of a person. scheme: how a password is written (see
    hashing.py); hashes: the server hashes whatever is written. must_change: set for who is to
    choose another, if the server has the control named by must_change_by; empty where only a
    policy for all can ask for that. disabled: what makes an entry no longer sign in. fixed: set
    for everybody. member: the attribute of a group."""

    classes: tuple[str, ...]
    rdn: str
    entry_id: str
    scheme: str
    hashes: bool
    attributes: Mapping[str, str]
    disabled: Mapping[str, str]
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
    classes=_PERSON, rdn="uid", entry_id="entryUUID", scheme="crypt", hashes=False,
    attributes=_KEPT, disabled={"userPassword": "{CRYPT}*"},
    must_change={"pwdReset": "TRUE"}, must_change_by=POLICIES,
)  # fmt: skip
_389DS = Profile(
    classes=_PERSON, rdn="uid", entry_id="nsUniqueId", scheme="server", hashes=True,
    attributes=_KEPT, disabled={"nsAccountLock": "TRUE"},
)  # fmt: skip
_DOMAIN = Profile(
    classes=("top", "person", "organizationalPerson", "user"), rdn="cn", login="sAMAccountName",
    entry_id="objectGUID", binary_id=True, scheme="unicode", hashes=True,
    attributes={
        **_STAFF, "employee_number": "employeeID", "department": "department",
        "division": "division", "organization": "company",
    },
    disabled={"userAccountControl": "514"}, must_change={"pwdLastSet": "0"},
    fixed={"userAccountControl": "512"},
)  # fmt: skip
PROFILES = {"openldap": _OPENLDAP, "389ds": _389DS, "ad": _DOMAIN, "samba": _DOMAIN}
