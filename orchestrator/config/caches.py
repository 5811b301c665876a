"""Folders of viewers and acquisition software that are emptied by age: plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cache:
    """A cache or temporary folder.

    Attributes:
        name: Name of its table.
        path: Absolute folder; never a store, a copy or the state folder, nor around or in one.
        older_than: A file goes only if nothing was written to it for this long, 1 day or more.
        patterns: Only files with names that match one of these go, at least one.
    """

    name: str
    path: Path
    older_than: timedelta
    patterns: tuple[str, ...]
