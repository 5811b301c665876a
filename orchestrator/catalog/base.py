"""What all rows of the catalog share: metadata, constraint names, column types."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits on both databases; on SQLite only INTEGER makes a rowid key."""


class Row(SQLModel):
    """Base of all rows. Rows do not validate: whoever writes them has done so."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def big(**options: Any) -> Any:
    """Return a 64-bit integer column."""
    return Field(sa_type=BIG, **options)


def number() -> Any:
    """Return a key that the database counts up."""
    return Field(default=None, primary_key=True, sa_type=BIG)


def json(default: type[dict[str, Any]] | type[list[Any]]) -> Any:
    """Return a JSON column that is empty unless given."""
    return Field(default_factory=default, sa_type=sa.JSON)
