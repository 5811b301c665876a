"""Which part of a store a drill covers. Pure: names in, yes or no out.

A slice is chosen by the hash of a study's pseudonym, itself a keyed hash: a study stays in its
slice whatever is added, the slices 1/t to t/t are disjoint, and together they are everything.
Files of no study are members of their own, by the pseudonym of their path.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from orchestrator.errors import UsageError

MOST_SLICES = 1000

_SLICE = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")
_STUDY = re.compile(r"study:([a-z2-7]{16})")


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be restored.

    Attributes:
        study: Pseudonym of the one study; None for a slice or all.
        number: Which slice, 1 to `of`.
        of: How many slices there are; 1 is everything.
    """

    study: str | None = None
    number: int = 1
    of: int = 1

    @property
    def is_all(self) -> bool:
        """Whether it is the whole store."""
        return self.study is None and self.of == 1

    def covers(self, member: str, *, is_study: bool) -> bool:
        """Say whether a study, or a file of no study, belongs to it.

        Args:
            member: Pseudonym of the study, or of the file's path.
            is_study: Which of the two it is.
        """
        if self.study is not None:
            return is_study and member == self.study
        return slice_of(member, self.of) == self.number

    def __str__(self) -> str:
        if self.study is not None:
            return f"study:{self.study}"
        return "all" if self.of == 1 else f"{self.number}/{self.of}"


def parse_scope(text: str) -> Scope:
    """Read ``all``, ``n/t`` or ``study:KEY``.

    Raises:
        UsageError: It is none of them.
    """
    if text == "all":
        return Scope()
    if found := _STUDY.fullmatch(text):
        return Scope(study=found[1])
    if found := _SLICE.fullmatch(text):
        number, of = int(found[1]), int(found[2])
        if 1 <= number <= of <= MOST_SLICES:
            return Scope(number=number, of=of)
    raise UsageError(
        f"{text!r} is no scope of a drill",
        hint=f"all, a slice such as 3/52 (of at most {MOST_SLICES}), or study:KEY as in "
        "`orchestrator study list`",
    )


def slice_of(member: str, slices: int) -> int:
    """Return the slice, 1 to `slices`, that a member belongs to."""
    digest = hashlib.sha256(member.encode()).digest()
    return int.from_bytes(digest[:8], "big") % slices + 1
