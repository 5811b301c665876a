"""What stays known of a file that cannot be read any more: whose it is, and of which study.

A study would otherwise lose a damaged image, and be judged by the others alone.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from orchestrator.catalog.bulk import table_of
from orchestrator.catalog.tables import File

_OF_HEADER = (
    "series_key",
    "instance_key",
    "patient_key",
    "modality",
    "sop_class_uid",
    "study_date",
    "study_date_source",
    "identity_enc",
)


def last_known() -> dict[str, sa.ColumnElement[Any]]:
    """Return what an update writes into the columns of the header.

    The new value, or the old one where the file is not good and no header could be read. A file
    that was good to read and is no image of any study now keeps the name of the study alone.
    """
    file = table_of(File)
    told = sa.literal_column("excluded.identity_enc").is_not(None)
    good = sa.literal_column("excluded.state") == "good"
    study: sa.ColumnElement[Any] = sa.func.coalesce(
        sa.literal_column("excluded.study_key"), file.c.study_key
    )
    return {"study_key": study} | {
        name: sa.case(
            (sa.or_(told, good), sa.literal_column(f"excluded.{name}")), else_=file.c[name]
        )
        for name in _OF_HEADER
    }
