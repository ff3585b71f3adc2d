"""Whether a realm can be used, and what is done where it does otherwise. Writes nothing."""

from __future__ import annotations

import secrets

from botrix.creators.creator import Check, Deviation
from botrix.creators.keycloak import users
from botrix.creators.keycloak.profile import Profile
from botrix.creators.keycloak.realm import EMAIL_IS_NAME, NO_NAMES, Realm
from botrix.creators.keycloak.settings import KeycloakSettings
from botrix.creators.web.answer import CREDENTIALS
from botrix.creators.web.http import Http
from botrix.model import ATTRIBUTES


async def look_at(http: Http, settings: KeycloakSettings, realm: Realm) -> Check:
    """See above."""
    problem = await _problem(http, settings)
    if problem:
        return Check(False, problem=problem)
    can = [
        "refuses a second account of a user name or an e-mail address",
        "finds an account by its exact name",
        "demands a new password at the first sign-in",
        "puts accounts into groups that there are: staff, /staff/night",
    ]
    version = await _version(http)
    profile = await realm.profile()
    if profile is None:
        unread = Deviation(
            "does not show its user profile", "the first account tells what it keeps"
        )
        return Check(True, (*version, *can), (unread,))
    wrong = _deviations(profile, settings.tag_attribute)
    if profile.keeps(settings.tag_attribute):
        can.append(f"keeps the tag in the attribute {settings.tag_attribute}")
    return Check(True, (*version, *can), tuple(wrong))


async def _problem(http: Http, settings: KeycloakSettings) -> str:
    """Why it cannot be used, or ""."""
    named = f"the realm {settings.realm} of {http.shown}"
    lacks = (
        f"the operator may not manage the users of {named}; grant realm-management: manage-users"
    )
    said = await http.ask("GET", settings.path)
    match said.status:
        case 200:
            pass
        case 401:
            return f"{CREDENTIALS}: {said.shown()}"
        case 403:
            return lacks
        case 404:
            return f"there is no realm {settings.realm} at {http.shown}; correct `realm` or `url`"
        case _:
            return f"{named} does not answer: {said.shown()}"
    if said.resource().get(EMAIL_IS_NAME) is True:
        return NO_NAMES
    # Whoever may write users is told that this one lacks a name.
    refused = await http.ask("POST", f"{settings.path}/users", {})
    if refused.status != 400:
        return lacks if refused.status == 403 else f"{named} does not answer: {refused.shown()}"
    nobody = users.by_name(f"probe-{secrets.token_hex(16)}")
    listed = await http.ask("GET", settings.path + nobody)
    if users.rows(listed) != []:
        return f"{named} cannot look up a user by the exact name: {listed.shown()}"
    return ""


async def _version(http: Http) -> tuple[str, ...]:
    """Only shown to some administrators."""
    said = await http.ask("GET", "/admin/serverinfo")
    system = said.resource().get("systemInfo")
    version = system.get("version") if isinstance(system, dict) else None
    return (f"is Keycloak {version}",) if isinstance(version, str) else ()


def _deviations(profile: Profile, tag: str) -> list[Deviation]:
    wrong = []
    if not profile.keeps(tag):
        wrong.append(
            Deviation(
                f"drops the attribute {tag}, which its user profile does not let be written",
                "a generated name with random characters proves whose an account is, and a name of "
                "a roster that is taken ends as ownership unknown. To keep tags, set Unmanaged "
                "Attributes to “Only administrators can write”, or name it in the user profile",
            )
        )
    elif profile.people_may_change(tag):
        wrong.append(
            Deviation(
                f"lets people change {tag} of their own account",
                "their account could pass for one of Botrix; let only administrators edit it",
            )
        )
    if dropped := [name for name in ATTRIBUTES if not profile.keeps(name)]:
        wrong.append(
            Deviation(f"drops the attributes {', '.join(dropped)}", "a roster's are not kept")
        )
    if asked := profile.asked_for():
        so = "an account without one can sign in at the realm's own pages only, which ask for it"
        wrong.append(Deviation(f"wants of everybody: {', '.join(asked)}", so))
    return wrong
