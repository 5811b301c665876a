"""Which date a study is counted from. Pure; judging whether the date is plausible is not done here.

Whether a date lies in the future, before the birth date or too far back is the retention room's
business: this module only refuses what is no date at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache

DATE_KEYWORDS = (
    "study_date",
    "series_date",
    "acquisition_date",
    "content_date",
    "instance_creation_date",
)
"""The order in which dates are tried."""

_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})|([0-9]{4})\.([0-9]{2})\.([0-9]{2})")


@lru_cache(maxsize=4096)  # the files of a study, and the studies of a day, share their dates
def parse_date(text: str) -> date | None:
    """Read a DICOM date, ``YYYYMMDD`` or the older ``YYYY.MM.DD``; None if it is not one.

    Source: DICOM PS3.5 table 6.2-1, DA: the form with full stops is ACR-NEMA's, to be read but
    not written.
    """
    match = _DATE.fullmatch(text.strip(" \0"))
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups() if part is not None)
    try:
        return date(year, month, day)
    except ValueError:
        return None


def study_reference_date(fields: Mapping[str, str]) -> tuple[date, str] | None:
    """Return the first usable date and the keyword it came from.

    Args:
        fields: Header fields as `header.read_header` gives them; may be empty.

    Returns:
        The date and its keyword in snake case, or None if no field holds a possible date.
    """
    for keyword in DATE_KEYWORDS:
        day = parse_date(fields.get(keyword, ""))
        if day is not None:
            return day, keyword
    return None
