"""The summary of a ledger's period as PDF, to be printed and signed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal

from orchestrator.typeset import compile_pdf

Paper = Literal["us-letter", "a4"]


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """What the summary says.

    Attributes:
        practice: Whose ledger it is.
        origin: The ledger's name.
        vkey: Its public key.
        size: Entries in all.
        root: Root of the tree in hex.
        first: The period's first day, in words.
        last: Its last day, in words.
        zone: Zone of the days and times.
        made_at: When the summary was made.
        covered: Entries of the period.
        counts: How many of each type.
        stores: For each store ``store``, ``days``, ``whole``, ``partial``, ``without``.
        alarms: What did not happen or did not go well, in the form of ``listed``.
        alarms_left_out: What of that is too much for paper.
        listed: Entries one by one: ``index``, ``at``, ``type``, ``actor``, ``says``.
        left_out: Entries that would have been listed and were too many.
        anchors: Who vouches: ``kind``, ``target``, ``size``, ``at``.
    """

    practice: str
    origin: str
    vkey: str
    size: int
    root: str
    first: str
    last: str
    zone: str
    made_at: datetime
    covered: int
    counts: list[tuple[str, int]] = field(default_factory=list)
    stores: list[dict[str, str]] = field(default_factory=list)
    alarms: list[dict[str, str]] = field(default_factory=list)
    alarms_left_out: int = 0
    listed: list[dict[str, str]] = field(default_factory=list)
    left_out: int = 0
    anchors: list[dict[str, str]] = field(default_factory=list)


def render_pdf(summary: LedgerSummary, *, paper: Paper = "us-letter") -> bytes:
    """Return the summary as PDF/A-3b; the same summary gives the same bytes.

    Args:
        summary: What to say.
        paper: The paper it is printed on.

    Raises:
        EngineError: It cannot be typeset.
    """
    data = asdict(summary) | {
        "made_at": f"{summary.made_at:%Y-%m-%d %H:%M} UTC",
        "paper": paper,
    }
    return compile_pdf("orchestrator.reports", "ledger.typ", data, at=summary.made_at)
