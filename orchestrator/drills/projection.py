"""How long the whole store would take, from a drill of a part of it. Pure.

The model is a fixed cost, measured, plus a cost per file and one per byte. One measurement
cannot tell these two apart, so the bar runs from "it is all files" to "it is all bytes", and is
widened by what so small a sample may miss: a share of 1/sqrt(files), on the upper side twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TIMER_S = 0.05
"""Nothing shorter is told apart: each restore is taken to have cost at least this, in seconds."""

ASSUMPTIONS = (
    "The files that were not restored are, on the whole, like those that were.",
    "The disk restored to and the way to the copy are as fast as in this drill, and as idle.",
    "Getting a machine, a disk or a medium to restore with takes no part in it.",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was restored and what it took.

    Attributes:
        files: Files restored and verified, 1 or more.
        bytes: Their total length.
        total_s: From before the keys were fetched until the last file was verified.
        fixed_s: How much of that passed before the first file came: keys, listing, manifest.
    """

    files: int
    bytes: int
    total_s: float
    fixed_s: float


@dataclass(frozen=True, slots=True)
class Projection:
    """Seconds for the whole store, with the error bar's ends."""

    expected_s: float
    low_s: float
    high_s: float


def project(sample: Sample, *, files: int, size_bytes: int) -> Projection:
    """Project a drill of a part to the whole store.

    Args:
        sample: The part.
        files: Files of the whole snapshot, `sample.files` or more.
        size_bytes: Their total length.
    """
    fixed_s = min(max(sample.fixed_s, 0.0), sample.total_s)
    moving_s = max(sample.total_s - fixed_s, TIMER_S)
    by_files = moving_s * max(files / sample.files, 1.0)
    by_bytes = moving_s * max(size_bytes / sample.bytes, 1.0) if sample.bytes else by_files
    doubt = 1 / math.sqrt(sample.files)
    low, high = sorted((by_files, by_bytes))
    return Projection(
        expected_s=fixed_s + (low + high) / 2,
        low_s=fixed_s + low / (1 + doubt),
        high_s=fixed_s + high * (1 + 2 * doubt),
    )
