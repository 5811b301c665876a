"""What a drill is told, what it measures with, and what it proves: values without behaviour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.actions.drills.expected import Expectation
    from orchestrator.actions.drills.pixels import Pixels
    from orchestrator.actions.drills.snapshots import Held
    from orchestrator.catalog.encryption import Pseudonyms


@dataclass(frozen=True, slots=True)
class Known:
    """What a drill is told before it looks.

    Attributes:
        repository_id: Restic's id of the repository, in full.
        held: The copy's complete snapshots; None to ask the repository.
        suppressed: Pseudonyms of disposed studies; None where nobody knows.
        recorded: The recorded manifest of each run, where there is a record.
        incomplete: Snapshots that are known not to be complete.
        pseudonyms: Names studies and paths.
        rpo: The store's RPO.
        snapshot: The beginning of the id of the snapshot that is wanted.
        random_within: Any snapshot that is younger than this is wanted.
        seed: Chooses among them, and which files are decoded.
        judge_gaps: Whether gaps between snapshots can be told from what is known.
    """

    repository_id: str
    held: list[Held] | None
    suppressed: frozenset[str] | None
    pseudonyms: Callable[[], Pseudonyms]
    rpo: timedelta
    snapshot: str | None
    random_within: timedelta | None
    seed: int
    judge_gaps: bool = True
    recorded: Mapping[str, str] = field(default_factory=dict)
    incomplete: frozenset[str] = frozenset()


@dataclass(slots=True)
class Watch:
    """The drill's clock: monotonic, since the wall clock may be set while it runs."""

    started_s: float
    first_file_s: float | None = None
    verified_s: float | None = None


@dataclass(slots=True)
class Proof:
    """What a drill proved, study by study.

    Attributes:
        expectation: What had to be there; None if that was never known.
        studies: Pseudonyms of all studies that were to be restored.
        refuted: Pseudonyms of studies that are not as they must be.
        pixels: What decoding came to.
    """

    expectation: Expectation | None = None
    studies: list[str] = field(default_factory=list)
    refuted: set[str] = field(default_factory=set)
    pixels: Pixels | None = None
