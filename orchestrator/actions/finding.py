"""What one check of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        name: What was checked.
        state: `unknown` where it could not be checked: never good.
        detail: What was found.
        hint: What to do about it; None if there is nothing to do.
    """

    name: str
    state: State
    detail: str
    hint: str | None = None
