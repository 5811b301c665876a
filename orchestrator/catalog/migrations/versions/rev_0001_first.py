"""The first catalog.

Revision 0001, after None.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    _runs()
    _stores()
    _files()
    _copies()
    _media_and_buckets()


def downgrade() -> None:
    """Refuse: there was no catalog before this one."""
    raise NotImplementedError("a catalog is not taken back to an older schema")


def _runs() -> None:
    op.create_table(
        "job_slot",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("job", "slot", name=op.f("pk_job_slot")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("store", sa.String(), nullable=True),
        sa.Column("job", sa.String(), nullable=True),
        sa.Column("slot", sa.String(), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_index(op.f("ix_run_ended_at"), "run", ["ended_at"], unique=False)
    op.create_index(
        op.f("ix_run_store_action_started_at"),
        "run",
        ["store", "action", "started_at"],
        unique=False,
    )
    op.create_table(
        "site_fact",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_site_fact")),
    )
    op.create_table(
        "run_step",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("copy", sa.String(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("detail", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_step_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_run_step")),
    )


def _stores() -> None:
    op.create_table(
        "repository",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("store", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("config_sha256", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repository")),
        sa.UniqueConstraint("name", name=op.f("uq_repository_name")),
    )
    op.create_index(op.f("ix_repository_store"), "repository", ["store"], unique=False)
    op.create_table(
        "store_state",
        sa.Column("store", sa.String(), nullable=False),
        sa.Column("file_count", _BIG, nullable=False),
        sa.Column("size_bytes", _BIG, nullable=False),
        sa.Column("manifest_run", sa.String(), nullable=True),
        sa.Column("walked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("newest_study_date", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("store", name=op.f("pk_store_state")),
    )
    op.create_table(
        "snapshot",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("repository_id", sa.String(), nullable=False),
        sa.Column("store", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("files", _BIG, nullable=False),
        sa.Column("size_bytes", _BIG, nullable=False),
        sa.Column("tree", sa.String(), nullable=True),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("forgotten_run", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_snapshot_repository_id_repository")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshot")),
    )
    op.create_index(
        op.f("ix_snapshot_store_kind_at"), "snapshot", ["store", "kind", "at"], unique=False
    )


def _files() -> None:
    op.create_table(
        "file",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("store", sa.String(), nullable=False),
        sa.Column("path_key", sa.String(), nullable=False),
        sa.Column("path_enc", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("size_bytes", _BIG, nullable=False),
        sa.Column("mtime_ns", _BIG, nullable=False),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("study_key", sa.String(), nullable=True),
        sa.Column("series_key", sa.String(), nullable=True),
        sa.Column("instance_key", sa.String(), nullable=True),
        sa.Column("patient_key", sa.String(), nullable=True),
        sa.Column("modality", sa.String(), nullable=True),
        sa.Column("sop_class_uid", sa.String(), nullable=True),
        sa.Column("study_date", sa.Date(), nullable=True),
        sa.Column("study_date_source", sa.String(), nullable=True),
        sa.Column("identity_enc", sa.LargeBinary(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("first_run", sa.String(), nullable=False),
        sa.Column("since_run", sa.String(), nullable=False),
        sa.Column("gone_run", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
        sa.UniqueConstraint("store", "path_key", name=op.f("uq_file_store_path_key")),
    )
    op.create_index(op.f("ix_file_sha256"), "file", ["sha256"], unique=False)
    op.create_index(op.f("ix_file_store_study_key"), "file", ["store", "study_key"], unique=False)


def _copies() -> None:
    op.create_table(
        "check_result",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("copy", sa.String(), nullable=False),
        sa.Column("medium", sa.String(), nullable=False),
        sa.Column("repository_id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("slice_n", sa.Integer(), nullable=False),
        sa.Column("slice_t", sa.Integer(), nullable=False),
        sa.Column("files", _BIG, nullable=False),
        sa.Column("size_bytes", _BIG, nullable=False),
        sa.Column("damaged", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repository.id"],
            name=op.f("fk_check_result_repository_id_repository"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_check_result")),
    )
    op.create_index(
        op.f("ix_check_result_copy_medium_repository_id_at"),
        "check_result",
        ["copy", "medium", "repository_id", "at"],
        unique=False,
    )
    op.create_table(
        "copy_file",
        sa.Column("copy", sa.String(), nullable=False),
        sa.Column("medium", sa.String(), nullable=False),
        sa.Column("repository_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("size_bytes", _BIG, nullable=False),
        sa.Column("version_id", sa.String(), nullable=True),
        sa.Column("retain_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_copy_file_repository_id_repository")
        ),
        sa.PrimaryKeyConstraint(
            "copy", "medium", "repository_id", "kind", "name", name=op.f("pk_copy_file")
        ),
    )
    op.create_table(
        "copy_state",
        sa.Column("copy", sa.String(), nullable=False),
        sa.Column("medium", sa.String(), nullable=False),
        sa.Column("repository_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("newest_snapshot", sa.String(), nullable=True),
        sa.Column("newest_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replicated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("protected_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("detail", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repository.id"],
            name=op.f("fk_copy_state_repository_id_repository"),
        ),
        sa.PrimaryKeyConstraint("copy", "medium", "repository_id", name=op.f("pk_copy_state")),
    )


def _media_and_buckets() -> None:
    op.create_table(
        "bucket_probe",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("copy", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("attempts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bucket_probe")),
    )
    op.create_index(op.f("ix_bucket_probe_copy_at"), "bucket_probe", ["copy", "at"], unique=False)
    op.create_table(
        "medium",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("copy", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("serial", sa.String(), nullable=True),
        sa.Column("fs_uuid", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("location", sa.String(), nullable=True),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_medium")),
    )
    op.create_index(op.f("ix_medium_copy"), "medium", ["copy"], unique=False)
    op.create_table(
        "bucket_coverage",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("copy", sa.String(), nullable=False),
        sa.Column("repository_id", sa.String(), nullable=False),
        sa.Column("snapshot", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("files", _BIG, nullable=False),
        sa.Column("missing", _BIG, nullable=False),
        sa.Column("protected_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requests", _BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repository.id"],
            name=op.f("fk_bucket_coverage_repository_id_repository"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bucket_coverage")),
    )
    op.create_index(
        op.f("ix_bucket_coverage_copy_repository_id_at"),
        "bucket_coverage",
        ["copy", "repository_id", "at"],
        unique=False,
    )
    op.create_table(
        "medium_event",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("medium", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("location", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["medium"], ["medium.id"], name=op.f("fk_medium_event_medium_medium")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_medium_event")),
    )
    op.create_index(op.f("ix_medium_event_medium"), "medium_event", ["medium"], unique=False)
