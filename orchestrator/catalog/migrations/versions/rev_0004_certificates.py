"""Tables for certificates.

Revision 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    _own()
    _vendors()


def downgrade() -> None:
    """Refuse: what was recorded is not thrown away."""
    raise NotImplementedError("a catalog is not taken back to an older schema")


def _own() -> None:
    op.create_table(
        "certificate",
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("active_subject", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.Column("record_sha256", sa.String(), nullable=False),
        sa.Column("drafted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ledger_origin", sa.String(), nullable=False),
        sa.Column("ledger_size", _BIG, nullable=False),
        sa.Column("recorded_index", _BIG, nullable=True),
        sa.Column("pdf_sha256", sa.String(), nullable=True),
        sa.Column("issued_index", _BIG, nullable=True),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_index", _BIG, nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_certificate")),
        sa.UniqueConstraint("active_subject", name=op.f("uq_certificate_active_subject")),
    )
    op.create_index(op.f("ix_certificate_subject"), "certificate", ["subject"], unique=False)


def _vendors() -> None:
    op.create_table(
        "vendor_certificate",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size_bytes", _BIG, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_by", sa.String(), nullable=True),
        sa.Column("refusals", sa.JSON(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ledger_size", _BIG, nullable=False),
        sa.Column("ledger_index", _BIG, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vendor_certificate")),
    )
    for column in ("sha256", "vendor"):
        op.create_index(
            op.f(f"ix_vendor_certificate_{column}"), "vendor_certificate", [column], unique=False
        )
    op.create_table(
        "vendor_serial",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("certificate_id", sa.String(), nullable=False),
        sa.Column("serial", sa.String(), nullable=False),
        sa.Column("serial_key", sa.String(), nullable=False),
        sa.Column("medium", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["certificate_id"],
            ["vendor_certificate.id"],
            name=op.f("fk_vendor_serial_certificate_id_vendor_certificate"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vendor_serial")),
        sa.UniqueConstraint(
            "certificate_id",
            "serial_key",
            name=op.f("uq_vendor_serial_certificate_id_serial_key"),
        ),
    )
    op.create_index(op.f("ix_vendor_serial_serial_key"), "vendor_serial", ["serial_key"])
