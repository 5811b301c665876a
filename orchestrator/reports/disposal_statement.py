"""The interim statement on a disposal as PDF: what is gone, and what remains where and until when.

It is no certificate and says so in its largest letters: records remain.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal

from orchestrator.typeset import compile_pdf

Paper = Literal["us-letter", "a4"]

TITLE = "Interim statement on a disposal"
WARNING = "This is not a certificate of destruction: records remain."
NOT_SAID = (
    "That the disposal is finished. It is finished when no place is left above, and a certificate "
    "is issued then.",
    "Clear, Purge or Destroy of any medium: records are removed from places that stay in use.",
    "That a day named above will be kept: it is what is known now.",
    "Anything about copies that people, other systems or other organizations have made.",
)


@dataclass(frozen=True, slots=True)
class Gone:
    """A place that was proved free of the records.

    Attributes:
        place: In words.
        how: What was done there.
        basis: ``measured`` or ``attested``.
        proved: When absence was proved, in words.
    """

    place: str
    how: str
    basis: str
    proved: str


@dataclass(frozen=True, slots=True)
class Remaining:
    """A place that may still hold the records.

    Attributes:
        place: In words.
        what: In which form, and what is known.
        until: Until when, in words.
        then: What happens then.
    """

    place: str
    what: str
    until: str
    then: str


@dataclass(frozen=True, slots=True)
class DisposalStatement:
    """What the statement says; every value is in words.

    Attributes:
        practice: Whose records.
        disposal: Id of the disposal.
        state: In words.
        made_at: When the statement was made, in that zone.
        zone: Zone of the days and times.
        facts: Label and value: extent, dates, class, persons.
        rules: Schedule, rule, citation and the first day after every period, for each rule.
        gone: Places that are free.
        remaining: Places that are not; at least one, or one word why it is not over.
        left_out: Why studies were left out of the batch, with how many.
        ledger: Name of the ledger and numbers of its entries about this disposal.
        product: Program and version.
    """

    practice: str
    disposal: str
    state: str
    made_at: datetime
    zone: str
    facts: list[tuple[str, str]]
    rules: list[tuple[str, str, str, str]]
    gone: list[Gone] = field(default_factory=list)
    remaining: list[Remaining] = field(default_factory=list)
    left_out: list[tuple[str, int]] = field(default_factory=list)
    ledger: str = ""
    product: str = ""


def render_pdf(statement: DisposalStatement, *, paper: Paper = "us-letter") -> bytes:
    """Return the statement as PDF/A-3b; the same statement gives the same bytes.

    Args:
        statement: What to say.
        paper: The paper it is printed on.

    Raises:
        EngineError: It cannot be typeset.
    """
    data = asdict(statement) | {
        "made_at": f"{statement.made_at:%Y-%m-%d %H:%M} ({statement.zone})",
        "paper": paper,
        "title": TITLE,
        "warning": WARNING,
        "not_said": list(NOT_SAID),
    }
    at = statement.made_at.astimezone(UTC)
    return compile_pdf("orchestrator.reports", "disposal_statement.typ", data, at=at)
