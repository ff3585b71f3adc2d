"""What all tables share.

Times are seconds since 1970 (UTC) by the clock of the database, so that no two machines' clocks
are ever compared. The sequence of places is a real one on PostgreSQL and a row on SQLite.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from botrix.model import DEFAULT_TENANT

metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"}
)


class folded(FunctionElement[str]):  # noqa: N801  a function of SQL
    """A name without capitals, ordered by bytes, so that a prefix is a range of an index."""

    type = sa.Text()
    inherit_cache = True


@compiles(folded)
def _compiled(name: folded, compiler: Any, **more: Any) -> str:
    text = compiler.process(name.clauses, **more)
    return (
        f'(lower({text}) COLLATE "C")'
        if compiler.dialect.name == "postgresql"
        else f"lower({text})"
    )


def tenant() -> sa.Column[str]:
    """Whose a row is."""
    return sa.Column("tenant_id", sa.Text, nullable=False, server_default=DEFAULT_TENANT)


def count(name: str) -> sa.Column[int]:
    """A number that begins at 0."""
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


def one_of(column: str, words: type[StrEnum]) -> sa.CheckConstraint:
    """Holds a column to the words of an enumeration."""
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"ck_{words.__name__.lower()}")
