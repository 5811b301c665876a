"""Tables for drills.

Revision 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    _drills()
    _proofs()
    op.create_table(
        "missed_event",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("store", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("job", "slot", name=op.f("pk_missed_event")),
    )
    op.create_index(
        op.f("ix_missed_event_recorded_at"), "missed_event", ["recorded_at"], unique=False
    )


def downgrade() -> None:
    """Refuse: what was recorded is not thrown away."""
    raise NotImplementedError("a catalog is not taken back to an older schema")


def _drills() -> None:
    op.create_table(
        "drill",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("store", sa.String(), nullable=False),
        sa.Column("copy", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("medium", sa.String(), nullable=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("snapshot", sa.String(), nullable=True),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kit_only", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("rto_s", sa.Float(), nullable=True),
        sa.Column("rto_projected_s", sa.Float(), nullable=True),
        sa.Column("rpo_s", sa.Float(), nullable=True),
        sa.Column("files", _BIG, nullable=False),
        sa.Column("size_bytes", _BIG, nullable=False),
        sa.Column("report", sa.String(), nullable=True),
        sa.Column("report_sha256", sa.String(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill")),
    )
    op.create_index(op.f("ix_drill_run_id"), "drill", ["run_id"], unique=False)
    op.create_index(
        op.f("ix_drill_store_copy_started_at"),
        "drill",
        ["store", "copy", "started_at"],
        unique=False,
    )
    op.create_table(
        "drill_sign_off",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("drill", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("actor_name", sa.String(), nullable=False),
        sa.Column("actor_title", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["drill"], ["drill.id"], name=op.f("fk_drill_sign_off_drill_drill")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill_sign_off")),
    )
    op.create_index(op.f("ix_drill_sign_off_drill"), "drill_sign_off", ["drill"], unique=False)


def _proofs() -> None:
    op.create_table(
        "drill_proven",
        sa.Column("store", sa.String(), nullable=False),
        sa.Column("copy", sa.String(), nullable=False),
        sa.Column("study_key", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "copy", "study_key", name=op.f("pk_drill_proven")),
    )
    op.create_table(
        "suppressed_study",
        sa.Column("store", sa.String(), nullable=False),
        sa.Column("study_key", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("store", "study_key", name=op.f("pk_suppressed_study")),
    )
