"""Tables for sanitization.

Revision 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    _sanitization()
    _custody()


def downgrade() -> None:
    """Refuse: what was recorded is not thrown away."""
    raise NotImplementedError("a catalog is not taken back to an older schema")


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=nullable)


def _at(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _sanitization() -> None:
    op.create_table(
        "sanitization",
        _text("id", nullable=False),
        _text("state", nullable=False),
        _text("basis", nullable=False),
        _text("technique", nullable=False),
        _text("device"),
        _text("kind", nullable=False),
        _text("vendor"),
        _text("model"),
        _text("serial"),
        _text("identity"),
        sa.Column("size_bytes", _BIG, nullable=True),
        _text("medium"),
        _text("property_number"),
        _text("media_source"),
        _text("destination"),
        _text("required"),
        _json("conditions"),
        _json("facts"),
        _text("proposed_by", nullable=False),
        _at("proposed_at", nullable=False),
        _text("decided_by"),
        _at("decided_at"),
        _text("decision_reason"),
        _text("run_id"),
        _text("performed_by"),
        _text("performer"),
        _text("company"),
        _at("started_at"),
        _at("ended_at"),
        _text("tool"),
        _text("tool_version"),
        _text("verification"),
        _text("method"),
        _json("reasons"),
        _json("flags"),
        _json("measured"),
        _json("evidence"),
        _text("validation", nullable=False),
        _text("validated_by"),
        _at("validated_at"),
        _json("validation_reasons"),
        _text("certificate"),
        _json("entries"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sanitization")),
    )
    for column in ("medium", "state"):
        op.create_index(op.f(f"ix_sanitization_{column}"), "sanitization", [column], unique=False)


def _custody() -> None:
    op.create_table(
        "custody_act",
        _text("medium", nullable=False),
        _at("at", nullable=False),
        _text("given_by"),
        _text("taken_by"),
        _text("seal"),
        sa.ForeignKeyConstraint(
            ["medium"], ["medium.id"], name=op.f("fk_custody_act_medium_medium")
        ),
        sa.PrimaryKeyConstraint("medium", "at", name=op.f("pk_custody_act")),
    )
    op.create_table(
        "medium_holding",
        _text("medium", nullable=False),
        _text("snapshot", nullable=False),
        _text("repository_id", nullable=False),
        _text("repository", nullable=False),
        _json("keys"),
        _at("retired_at", nullable=False),
        _text("elsewhere", nullable=False),
        _at("elsewhere_verified_at", nullable=False),
        sa.ForeignKeyConstraint(
            ["medium"], ["medium.id"], name=op.f("fk_medium_holding_medium_medium")
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repository.id"],
            name=op.f("fk_medium_holding_repository_id_repository"),
        ),
        sa.PrimaryKeyConstraint("medium", "snapshot", name=op.f("pk_medium_holding")),
    )
