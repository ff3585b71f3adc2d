"""What the results of an LDAP server mean (RFC 4511, 4.1.9), for the directory as a whole and for
an account. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from botrix.creators.gate import FATAL, Answered
from botrix.creators.ldap.messages import NO_ANSWER, Reply
from botrix.model import Outcome, OutcomeKind

DONE, TOO_MANY, THERE_ALREADY, NO_SUCH_ENTRY, NO_DN, NAME_TAKEN = 0, 4, 20, 32, 34, 68
CREDENTIALS = "the directory refuses the operator's credentials or rights; give it valid ones"

_NAMES = {
    1: "operations error", 2: "protocol error", 3: "time limit exceeded", 4: "size limit exceeded",
    7: "authentication method not supported", 8: "stronger authentication required",
    10: "referral", 11: "administrative limit exceeded", 12: "unavailable critical extension",
    13: "confidentiality required", 16: "no such attribute", 17: "undefined attribute type",
    18: "inappropriate matching", 19: "constraint violation", 20: "attribute or value exists",
    21: "invalid attribute syntax", 32: "no such object", 33: "alias problem",
    34: "invalid DN syntax", 48: "inappropriate authentication", 49: "invalid credentials",
    50: "insufficient access rights", 51: "busy", 52: "unavailable", 53: "unwilling to perform",
    54: "loop detected", 64: "naming violation", 65: "object class violation",
    66: "not allowed on non-leaf", 67: "not allowed on RDN", 68: "entry already exists",
    69: "object class modifications prohibited", 71: "affects multiple servers", 80: "other",
}  # fmt: skip
_BUSY = frozenset({3, 11, 51})
_UNAVAILABLE = 52
_MAINTENANCE = frozenset({10, 53})
_CREDENTIALS = frozenset({7, 8, 13, 48, 49, 50})
_FAILED = frozenset({1, 2, 54, 80, NO_ANSWER})
_REFUSED = frozenset({12, 16, 17, 18, 19, 20, 21, 32, 33, 34, 64, 65, 66, 67, 69, 71})
_PASSWORD_RULES = "0000052D"  # noqa: S105
"""How Active Directory says, among others as `unwilling`, that a password breaks its rules."""


def judged(reply: Reply) -> Answered:
    """Of one reply alone."""
    if reply.code == NO_ANSWER:
        return reply.answered if reply.answered is not Answered.DONE else Answered.FAILED
    if reply.code in _BUSY:
        return Answered.BUSY
    if reply.code == _UNAVAILABLE:
        return Answered.UNAVAILABLE
    if reply.code in _CREDENTIALS:
        return Answered.CREDENTIALS
    if reply.code in _MAINTENANCE and not _breaks_rules(reply):
        return Answered.MAINTENANCE
    return Answered.FAILED if reply.code in _FAILED else Answered.DONE


def judged_together(replies: Sequence[Reply], optional: bool) -> tuple[Answered, str]:
    """Of a batch, and in which words. That one entry is closed to the operator, or not written
    just now, does not tell of the directory while others are written; nor does it of what is
    optional."""
    found = {judged(reply): reply for reply in replies}
    if Answered.FAILED in found:
        return Answered.FAILED, shown(found[Answered.FAILED])
    if Answered.DONE in found or not found:
        return Answered.DONE, ""
    how, reply = next(iter(found.items()))
    if optional and how in FATAL:
        return Answered.DONE, ""
    return how, CREDENTIALS if how is Answered.CREDENTIALS else shown(reply)


def shown(reply: Reply, *secrets: str) -> str:
    """One line for people; the secrets are taken out should the server repeat them."""
    if reply.code == NO_ANSWER:
        said, detail = "no answer", reply.problem
    else:
        said, detail = f"LDAP {reply.code}", reply.diagnostic
        if name := _NAMES.get(reply.code):
            said += f" {name}"
    for secret in filter(None, secrets):
        detail = detail.replace(secret, "***")
    detail = "".join(c if c.isprintable() else " " for c in detail[:300]).strip()
    return f"{said}: {detail}" if detail else said


def not_done(reply: Reply, *secrets: str) -> Outcome:
    """Of a request that should have changed something, and whose answer does not say that."""
    said = shown(reply, *secrets)
    if not reply.sent:
        reason = (
            "credentials refused" if reply.answered is Answered.CREDENTIALS else "directory away"
        )
        return Outcome(OutcomeKind.RETRY, None, reason, said, reply.after, counted=False)
    if reply.code == NAME_TAKEN:
        return Outcome(OutcomeKind.CONFLICT, None, "name taken", said)
    if reply.code in _REFUSED or _breaks_rules(reply):
        return Outcome(OutcomeKind.REJECTED, None, "rejected", said)
    match judged(reply):
        case Answered.BUSY:
            return Outcome(OutcomeKind.RETRY, None, "too many requests", said, counted=False)
        case Answered.MAINTENANCE | Answered.UNAVAILABLE:
            return Outcome(OutcomeKind.RETRY, None, "takes no writes now", said, counted=False)
        case Answered.CREDENTIALS:
            detail = f"{CREDENTIALS} ({said})"
            return Outcome(OutcomeKind.RETRY, None, "credentials refused", detail, counted=False)
        case _:
            return Outcome(OutcomeKind.UNKNOWN, None, "no clear answer", said)


def changed(reply: Reply, entry_id: str, *secrets: str) -> Outcome:
    """Of a request that changes or deletes an entry. CREATED stands for done."""
    if reply.code == DONE:
        return Outcome(OutcomeKind.CREATED, entry_id)
    if reply.code == NO_SUCH_ENTRY:
        return Outcome(OutcomeKind.REJECTED, None, "no such entry", shown(reply, *secrets))
    return not_done(reply, *secrets)


def there_already(reply: Reply) -> bool:
    """A value that was to be added. Active Directory says it like a name that is taken."""
    return reply.code in (THERE_ALREADY, NAME_TAKEN)


def _breaks_rules(reply: Reply) -> bool:
    return _PASSWORD_RULES in reply.diagnostic
