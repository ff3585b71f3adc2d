"""Whether an LDAP directory can be used as its settings say. Nothing is written for that."""

from __future__ import annotations

import re

from botrix.creators.creator import Check, Deviation
from botrix.creators.ldap import answers, messages
from botrix.creators.ldap.client import Client
from botrix.creators.ldap.entries import can_demand
from botrix.creators.ldap.messages import Entry, Reply
from botrix.creators.ldap.profiles import POLICIES
from botrix.creators.ldap.settings import LdapSettings

_NAMES = re.compile(r"NAME\s+\(?\s*((?:'[^']*'\s*)+)")
_ALLOWED = "allowedChildClassesEffective"


async def check(settings: LdapSettings, client: Client) -> Check:
    """What the server says of itself, then whether base, groups and attributes are there."""
    root = await client.root()
    if isinstance(root, Reply):
        return Check(False, problem=_no_answer(settings, root))
    for base in filter(None, (settings.base, settings.groups)):
        asked = messages.search(base, messages.BASE, messages.present(), _ALLOWED)
        (reply,) = await client.ask([asked], optional=True)
        if reply.code != answers.DONE or not reply.entries:
            said = f" ({answers.shown(reply)})" if reply.code else ""
            problem = f"{base} is not there, or closed to {settings.bind_dn}{said}; correct it"
            return Check(False, problem=problem)
        if base == settings.base and (problem := _closed(settings, reply.entries[0])):
            return Check(False, problem=problem)
    if problem := await _unknown_attribute(settings, client, root):
        return Check(False, problem=problem)
    return Check(True, _can(settings, root), _wrong(settings, root))


def _no_answer(settings: LdapSettings, reply: Reply) -> str:
    said = answers.shown(reply) if reply.sent else reply.problem
    return f"{settings.url} cannot be asked: {said}"


def _closed(settings: LdapSettings, base: Entry) -> str:
    """A domain tells which classes the operator may create there."""
    if not settings.profile.is_domain:
        return ""
    allowed = {one.lower() for one in base.texts(_ALLOWED)}
    if settings.classes[-1].lower() in allowed:
        return ""
    made = settings.classes[-1]
    return f"{settings.bind_dn} may create no {made} in {settings.base}; allow it there"


async def _unknown_attribute(settings: LdapSettings, client: Client, root: Entry) -> str:
    """Of those that an entry is to have. A schema that cannot be read is not held against it."""
    where = root.first("subschemaSubentry")
    if not where:
        return ""
    asked = messages.search(where, messages.BASE, messages.present(), "attributeTypes")
    (reply,) = await client.ask([asked], optional=True)
    if reply.code != answers.DONE or not reply.entries:
        return ""
    defined = " ".join(reply.entries[0].texts("attributeTypes"))
    known = {
        name.lower() for said in _NAMES.findall(defined) for name in re.findall(r"'(.*?)'", said)
    }
    wanted = (settings.tag, settings.rdn, settings.login, *settings.attributes.values())
    missing = [name for name in wanted if known and name.lower() not in known]
    return f"the directory knows no attribute {missing[0]}; choose another" if missing else ""


def _can(settings: LdapSettings, root: Entry) -> tuple[str, ...]:
    vendor = " ".join(filter(None, (root.first("vendorName"), root.first("vendorVersion"))))
    secured = "TLS" if settings.tls else "StartTLS" if settings.start_tls else "no TLS"
    lines = [
        f"answers as {vendor}, over {secured}" if vendor else f"answers over {secured}",
        f"refuses a second entry of one DN (so of one {settings.rdn} under {settings.base})",
        f"keeps the tag in {settings.tag}; it needs no index, entries are found by their names",
    ]
    if messages.POST_READ in root.texts("supportedControl"):
        lines.append("tells the id of an entry as it is created (Post-Read, RFC 4527)")
    if settings.groups:
        lines.append(f"keeps groups under {settings.groups}, members in {settings.group_member}")
    if can_demand(settings, root):
        needs = " (where its policy has pwdMustChange)" if settings.profile.must_change_by else ""
        lines.append(f"demands another password at the first sign-in{needs}")
    return tuple(lines)


def _wrong(settings: LdapSettings, root: Entry) -> tuple[Deviation, ...]:
    found = []
    if messages.POST_READ not in root.texts("supportedControl"):
        so = "each batch is read once more"
        found.append(Deviation("does not tell the id of an entry as it is created", so))
    if not settings.groups:
        so = "who is to be in one is not created; say where they are: groups=DN"
        found.append(Deviation("no groups are set", so))
    if not can_demand(settings, root):
        so = "accounts with must_change are rejected"
        found.append(Deviation("cannot demand another password of one entry", so))
    unsaid = settings.scheme == "server" and not settings.profile.hashes
    if unsaid and POLICIES not in root.texts("supportedControl"):
        so = "see that it hashes userPassword, or set password_scheme"
        found.append(Deviation("shows no password policies", so))
    if not settings.profile.is_domain:
        so = "the first account shows it"
        found.append(Deviation("does not tell whether the operator may create entries", so))
    return tuple(found)
