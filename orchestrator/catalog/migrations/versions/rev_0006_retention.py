"""Tables for retention, holds and disposals.

Revision 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    _retention()
    _holds()
    _disposals()


def downgrade() -> None:
    """Refuse: what was recorded is not thrown away."""
    raise NotImplementedError("a catalog is not taken back to an older schema")


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=nullable)


def _at(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _day(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.Date(), nullable=nullable)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, _BIG, nullable=False)


def _retention() -> None:
    op.create_table(
        "adopted_schedule",
        _big("id"),
        _text("schedule_id", nullable=False),
        _text("version", nullable=False),
        _text("digest", nullable=False),
        _text("kind", nullable=False),
        _text("jurisdiction"),
        _text("text", nullable=False),
        sa.Column("image_clock", sa.Boolean(), nullable=False),
        _text("adopted_by", nullable=False),
        _at("adopted_at", nullable=False),
        _at("replaced_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adopted_schedule")),
    )
    op.create_index(
        op.f("ix_adopted_schedule_schedule_id_adopted_at"),
        "adopted_schedule",
        ["schedule_id", "adopted_at"],
        unique=False,
    )
    op.create_table(
        "patient_list",
        _text("id", nullable=False),
        _text("state", nullable=False),
        _text("sha256", nullable=False),
        _at("exported_at"),
        _at("imported_at", nullable=False),
        _text("imported_by", nullable=False),
        _big("rows"),
        _big("accepted"),
        _big("rejected"),
        _text("refusal"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_list")),
    )
    op.create_index(
        op.f("ix_patient_list_state_imported_at"),
        "patient_list",
        ["state", "imported_at"],
        unique=False,
    )
    op.create_table(
        "listed_patient",
        _text("patient_key", nullable=False),
        _text("list_id", nullable=False),
        _text("merged_into"),
        sa.Column("details_enc", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"],
            ["patient_list.id"],
            name=op.f("fk_listed_patient_list_id_patient_list"),
        ),
        sa.PrimaryKeyConstraint("patient_key", name=op.f("pk_listed_patient")),
    )
    op.create_index(op.f("ix_listed_patient_list_id"), "listed_patient", ["list_id"], unique=False)
    op.create_index(
        op.f("ix_listed_patient_merged_into"), "listed_patient", ["merged_into"], unique=False
    )


def _holds() -> None:
    op.create_table(
        "hold",
        _text("id", nullable=False),
        _text("kind", nullable=False),
        _text("store"),
        _text("study_key"),
        _text("patient_key"),
        _day("dates_from"),
        _day("dates_to"),
        _text("matter", nullable=False),
        sa.Column("reason_enc", sa.LargeBinary(), nullable=False),
        _text("source", nullable=False),
        _at("starts_at", nullable=False),
        _text("placed_by", nullable=False),
        _at("placed_at", nullable=False),
        _text("release_asked_by"),
        _at("release_asked_at"),
        sa.Column("release_reason_enc", sa.LargeBinary(), nullable=True),
        _text("released_by"),
        _at("released_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    op.create_index(op.f("ix_hold_patient_key"), "hold", ["patient_key"], unique=False)
    op.create_index(op.f("ix_hold_released_at"), "hold", ["released_at"], unique=False)
    op.create_index(op.f("ix_hold_study_key"), "hold", ["study_key"], unique=False)


def _disposals() -> None:
    op.create_table(
        "disposal",
        _text("id", nullable=False),
        _text("state", nullable=False),
        _text("paused"),
        _text("plan_digest", nullable=False),
        _json("plan"),
        _text("proposed_by", nullable=False),
        _at("proposed_at", nullable=False),
        _day("earliest_completion"),
        _text("decided_by"),
        _at("decided_at"),
        _text("decision_reason"),
        _text("notice"),
        _at("quarantine_until"),
        _text("executed_by"),
        _at("executed_at"),
        _at("holds_checked_at"),
        _at("completed_at"),
        _text("certificate"),
        _json("entries"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disposal")),
    )
    op.create_index(op.f("ix_disposal_state"), "disposal", ["state"], unique=False)
    op.create_table(
        "disposal_study",
        _text("disposal", nullable=False),
        _text("store", nullable=False),
        _text("study_key", nullable=False),
        _text("patient_key"),
        _text("state", nullable=False),
        _text("withheld"),
        _day("due", nullable=False),
        _text("schedule_id", nullable=False),
        _text("schedule_version", nullable=False),
        _text("rule", nullable=False),
        _text("citation", nullable=False),
        _text("record_class", nullable=False),
        _big("files"),
        _big("size_bytes"),
        _day("dates_from"),
        _day("dates_to"),
        _text("content_digest"),
        _at("live_removed_at"),
        _at("primary_removed_at"),
        sa.ForeignKeyConstraint(
            ["disposal"],
            ["disposal.id"],
            name=op.f("fk_disposal_study_disposal_disposal"),
        ),
        sa.PrimaryKeyConstraint("disposal", "store", "study_key", name=op.f("pk_disposal_study")),
    )
    op.create_index(
        op.f("ix_disposal_study_store_study_key"),
        "disposal_study",
        ["store", "study_key"],
        unique=False,
    )
    op.create_table(
        "disposal_copy",
        _text("disposal", nullable=False),
        _text("store", nullable=False),
        _text("copy", nullable=False),
        _text("medium", nullable=False),
        _text("role", nullable=False),
        _text("state", nullable=False),
        _at("residual_until"),
        _at("proved_at"),
        _text("detail"),
        _json("evidence"),
        sa.ForeignKeyConstraint(
            ["disposal"],
            ["disposal.id"],
            name=op.f("fk_disposal_copy_disposal_disposal"),
        ),
        sa.PrimaryKeyConstraint(
            "disposal", "store", "copy", "medium", name=op.f("pk_disposal_copy")
        ),
    )
    op.create_table(
        "snapshot_replacement",
        _text("old", nullable=False),
        _text("new"),
        _text("disposal", nullable=False),
        _text("repository_id", nullable=False),
        _text("kind", nullable=False),
        _at("at", nullable=False),
        sa.ForeignKeyConstraint(
            ["disposal"],
            ["disposal.id"],
            name=op.f("fk_snapshot_replacement_disposal_disposal"),
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repository.id"],
            name=op.f("fk_snapshot_replacement_repository_id_repository"),
        ),
        sa.PrimaryKeyConstraint("old", name=op.f("pk_snapshot_replacement")),
    )
    op.create_index(
        op.f("ix_snapshot_replacement_disposal"), "snapshot_replacement", ["disposal"], unique=False
    )
