"""A table for doubts that people have settled.

Revision 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "determination",
        _text("id", nullable=False),
        _text("study_key", nullable=False),
        _text("doubt", nullable=False),
        _text("facts", nullable=False),
        _text("asked_by", nullable=False),
        _at("asked_at", nullable=False),
        sa.Column("finding_enc", sa.LargeBinary(), nullable=False),
        _text("made_by"),
        _at("made_at"),
        sa.Column("second_finding_enc", sa.LargeBinary(), nullable=True),
        _text("withdrawn_by"),
        _at("withdrawn_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_determination")),
    )
    op.create_index(
        op.f("ix_determination_study_key_doubt"),
        "determination",
        ["study_key", "doubt"],
        unique=False,
    )


def downgrade() -> None:
    """Refuse: what was recorded is not thrown away."""
    raise NotImplementedError("a catalog is not taken back to an older schema")


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=nullable)


def _at(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
