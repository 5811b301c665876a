"""What a patient list says of one patient, once the birth date has been used and let go of. Pure.

No identity and no birth date: a keyed hash of the date recognises the one that an image carries.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from orchestrator.retention.study import ReviewReason


@dataclass(frozen=True, slots=True)
class Listed:
    """One patient of the list in force.

    Attributes:
        last_treatment: The latest, of everybody merged into this patient too.
        died: The latest day any of them is said to have died; None if alive or not stated.
        is_incompetent: One of them is under disability.
        birth_year: None if the birth date is not stated.
        birth_key: Keyed hash of the birth date; None if it is not stated.
        blocked: Why nothing the list says of the patient may be relied on; None if it may.
        merged_into: Pseudonym of the patient who stands for all of them; None for that one.
    """

    last_treatment: dt.date | None = None
    died: dt.date | None = None
    is_incompetent: bool = False
    birth_year: int | None = None
    birth_key: str | None = None
    blocked: ReviewReason | None = None
    merged_into: str | None = None
