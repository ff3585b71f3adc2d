"""What a key may do."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """What a key may do, of its own tenant. admin: keys and the audit record."""

    READ = "read"
    SUBMIT = "submit"
    REVEAL = "reveal"
    OPERATE = "operate"
    ADMIN = "admin"


class Role(StrEnum):
    """A named set of scopes; see ROLE_SCOPES."""

    READER = "reader"
    SUBMITTER = "submitter"
    REVEALER = "revealer"
    OPERATOR = "operator"
    ADMIN = "admin"


ROLE_SCOPES = {
    Role.READER: frozenset({Scope.READ}),
    Role.SUBMITTER: frozenset({Scope.READ, Scope.SUBMIT}),
    Role.REVEALER: frozenset({Scope.READ, Scope.REVEAL}),
    Role.OPERATOR: frozenset({Scope.READ, Scope.SUBMIT, Scope.OPERATE}),
    Role.ADMIN: frozenset(Scope),
}
