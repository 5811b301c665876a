"""Legal holds and which studies they cover. Pure.

Source: FRCP 37(e) (reasonable steps to preserve once litigation is anticipated).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

HoldKind = Literal["study", "patient", "dates", "store"]


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold that is in force. One that starts in the future is in force already: keeping is safe.

    Attributes:
        id: Such as ``H-2026-0001``.
        kind: By what it selects studies.
        store: Only studies of this store; None for all stores.
        study: Pseudonym, for `study`.
        patients: Pseudonyms of the patient, of everybody merged with it and into it, for
            `patient`.
        dates_from: First day, for `dates`; None for no beginning.
        dates_to: Last day, for `dates`; None for no end.
    """

    id: str
    kind: HoldKind
    store: str | None = None
    study: str | None = None
    patients: frozenset[str] = frozenset()
    dates_from: dt.date | None = None
    dates_to: dt.date | None = None
