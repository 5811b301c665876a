"""Tables for ledger.

Revision 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    _ledger()
    _anchors()


def downgrade() -> None:
    """Refuse: what was recorded is not thrown away."""
    raise NotImplementedError("a catalog is not taken back to an older schema")


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("vkey", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mirrored", _BIG, nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_ledger")),
        sa.UniqueConstraint("origin", name=op.f("uq_ledger_origin")),
    )
    op.create_table(
        "ledger_subject",
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("value_key", sa.String(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("entry", _BIG, nullable=True),
        sa.PrimaryKeyConstraint("entry_id", "seq", name=op.f("pk_ledger_subject")),
    )
    op.create_index(op.f("ix_ledger_subject_value_key"), "ledger_subject", ["value_key"])
    op.create_table(
        "ledger_seen",
        sa.Column("occasion", sa.String(), nullable=False),
        sa.Column("ledger", sa.Integer(), nullable=False),
        sa.Column("entry", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("occasion", name=op.f("pk_ledger_seen")),
    )
    op.create_table(
        "ledger_intent",
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("ledger", sa.Integer(), nullable=False),
        sa.Column("entry", _BIG, nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_ledger_intent")),
    )


def _anchors() -> None:
    op.create_table(
        "ledger_anchor",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("ledger", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("size", _BIG, nullable=False),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_anchor")),
    )
    op.create_index(op.f("ix_ledger_anchor_ledger_size"), "ledger_anchor", ["ledger", "size"])
    op.create_table(
        "ledger_object",
        sa.Column("copy", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("retain_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("copy", "path", name=op.f("pk_ledger_object")),
    )
    op.create_table(
        "ledger_outside",
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("ledger", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("size", _BIG, nullable=True),
        sa.Column("root", sa.String(), nullable=True),
        sa.Column("detail", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("target", name=op.f("pk_ledger_outside")),
    )
