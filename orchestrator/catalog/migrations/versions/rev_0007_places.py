"""The places at which copies were ever seen, and when a disposed study came.

Revision 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and the column."""
    op.create_table(
        "copy_place",
        _text("id", nullable=False),
        _text("copy", nullable=False),
        _text("role", nullable=False),
        _text("location", nullable=False),
        sa.Column("address", sa.JSON(), nullable=False),
        _text("identity"),
        _text("volume"),
        _at("first_seen", nullable=False),
        _at("last_seen", nullable=False),
        _at("left_at"),
        _text("asked_by"),
        _text("asked_name"),
        _at("asked_at"),
        _text("asked_note"),
        _text("how"),
        _text("sanitization"),
        _text("closed_by"),
        _at("closed_at"),
        _text("closed_note"),
        _text("looked"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_copy_place")),
    )
    op.create_index(op.f("ix_copy_place_copy"), "copy_place", ["copy"], unique=False)
    op.add_column("disposal_study", _at("came_at"))


def downgrade() -> None:
    """Refuse: what was recorded is not thrown away."""
    raise NotImplementedError("a catalog is not taken back to an older schema")


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=nullable)


def _at(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
