"""Disposals: each as far as the ledger says it came, and never further than is known.

One that had begun is executing again: the next run looks at store and copies anew and proves what
it finds, for the proofs were lost. One that was complete is complete, and not executed again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.actions.disposal import begun
from orchestrator.actions.disposal.places import rows as places_of
from orchestrator.actions.rebuilding import disposal_rows
from orchestrator.actions.rebuilding.suppressed import listed_number
from orchestrator.actions.rebuilding.told import Brought, Told, document
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, disposed, suppressions
from orchestrator.catalog.disposal_tables import Disposal
from orchestrator.catalog.disposals import (
    APPROVED,
    COMPLETE,
    DISPOSED,
    DUE,
    EXECUTING,
    GOING,
    OPEN,
    PROPOSED,
    REFUSED,
    SUPPRESSED,
    UNDECIDED,
    WITHHELD,
)

if TYPE_CHECKING:
    from sqlmodel import Session

NOT_KNOWN = "not_known_since_rebuild"
"""Why a study of a recovered batch is withheld when nothing says that it went."""


@dataclass(slots=True)
class Story:
    """What the ledger tells of one disposal.

    Attributes:
        name: Its id.
        of: Its entries by the second word of their type, oldest first.
        entries: Places of all entries that name it.
    """

    name: str
    of: dict[str, list[Told]] = field(default_factory=dict)
    entries: list[int] = field(default_factory=list)

    def last(self, word: str) -> Told | None:
        """Return the newest entry of a kind; None for none."""
        found = self.of.get(word)
        return found[-1] if found else None

    @property
    def has_begun(self) -> bool:
        """Whether anything may have been removed."""
        if "begun" in self.of or "residual" in self.of or "partial" in self.of:
            return True
        outcomes = [one for one in self.of.get("execute", ()) if one.body.get("stores")]
        return bool(outcomes)


def stories(told: list[Told]) -> list[Story]:
    """Gather what the ledger tells by disposal, oldest first."""
    found: dict[str, Story] = {}
    for one in told:
        name = one.body.get("disposal")
        if name is None:
            continue
        story = found.setdefault(str(name), Story(str(name)))
        story.of.setdefault(one.type.split(".")[1], []).append(one)
        story.entries.append(one.index)
    return list(found.values())


def bring_back(site: Site, told: list[Told], brought: Brought) -> None:
    """Bring back disposals; certificates, sanitizations and media must be there already.

    Raises:
        OrchestratorError: The catalog fails.
    """
    for story in stories(told):
        with site.catalog.transaction() as session:
            brought.counts["disposals"] += _Bringing(site, session, story, brought).do()


class _Bringing:
    """Bringing back one disposal.

    Args:
        site: The site.
        session: The transaction.
        story: What the ledger tells.
        brought: What could not be brought back is added here.
    """

    def __init__(self, site: Site, session: Session, story: Story, brought: Brought) -> None:
        self._site = site
        self._session = session
        self._story = story
        self._brought = brought

    def do(self) -> bool:
        """Do it; say whether anything was changed."""
        row = self._session.get(Disposal, self._story.name)
        before = None if row is None else self._standing(row)
        if row is None:
            row = disposal_rows.from_proposal(
                self._site, self._session, self._story.name, self._story.of.get("proposed", [])
            )
            if row is None:
                return False  # of an earlier ledger
        self._decide(row)
        self._begin(row)
        self._withhold(row)
        self._find_again(row)
        self._complete(row)
        row.entries = sorted({*row.entries, *self._story.entries})
        self._session.add(row)
        self._session.flush()
        return before != self._standing(row)

    def _standing(self, row: Disposal) -> tuple[str, dict[tuple[str, str], int]]:
        return row.state, disposals.counts(self._session, row.id)

    def _decide(self, row: Disposal) -> None:
        approved, refused = self._story.last("approved"), self._story.last("refused")
        if approved is not None and row.state == PROPOSED:
            body = approved.body
            row.state, row.decided_by, row.decided_at = APPROVED, approved.entry.actor, approved.at
            row.quarantine_until = datetime.fromisoformat(body["quarantine_until"])
            row.notice = approved.entry.note
            day = body.get("earliest_completion")
            row.earliest_completion = None if day is None else date.fromisoformat(day)
        if refused is not None and row.state not in (REFUSED, COMPLETE):
            row.state, row.decided_by, row.decided_at = REFUSED, refused.entry.actor, refused.at
            row.decision_reason = refused.entry.note or refused.body.get("why")
            row.quarantine_until = None
        is_whole = bool(disposals.studies(self._session, row.id))
        if row.state in UNDECIDED and not is_whole and not self._story.has_begun:
            # Nothing was removed: what cannot be decided about again is proposed again.
            row.state, row.decision_reason = REFUSED, disposal_rows.LOST
            self._brought.lost.append(
                f"disposal {row.id}: what it was about is lost with the catalog, and nothing of it "
                "was removed: propose it again"
            )

    def _begin(self, row: Disposal) -> None:
        if row.state not in UNDECIDED or not self._story.has_begun:
            return
        entry = self._story.last("begun")
        words = ("begun", "execute", "residual", "partial")
        first = next(one for one in map(self._story.last, words) if one is not None)
        row.state, row.executed_by = EXECUTING, first.entry.actor
        row.executed_at = row.holds_checked_at = first.at
        found = None if entry is None else document(self._site, entry, begun.STUDIES)
        if found is not None:
            self._go(row, found["going"])
            self._keep(row, found["withheld"])
        elif entry is not None and listed_number(self._session) >= int(entry.body[begun.LIST]):
            self._by_list(row)
        else:
            self._unknown(row)
        studies = disposals.studies(self._session, row.id, states=(*GOING, DUE))
        for store in sorted({one.store for one in studies}):
            for place in places_of(self._site, self._session, row.id, store):
                disposals.put_copy(self._session, place)

    def _go(self, row: Disposal, going: list[list[str]]) -> None:
        """Let studies be removed, or proved to be: nothing says how far each had come."""
        known = {(one.store, one.study_key) for one in disposals.studies(self._session, row.id)}
        for store, study in going:
            if (store, study) not in known:
                self._session.add(
                    disposal_rows.bare_study(row.id, store, study, row.proposed_at.date())
                )
                self._session.flush()
            summary = disposed.summary(self._session, store, study)
            changes = summary._asdict() if summary.files else {}
            disposals.set_studies(
                self._session, row.id, [(store, study)], state=SUPPRESSED, **changes
            )

    def _keep(self, row: Disposal, withheld: dict[str, dict[str, str]]) -> None:
        for store, reasons in withheld.items():
            for study, reason in reasons.items():
                disposals.set_studies(
                    self._session, row.id, [(store, study)], state=WITHHELD, withheld=reason
                )

    def _by_list(self, row: Disposal) -> None:
        """Take those for gone that are on the list of disposed studies, which is young enough."""
        for one in disposals.studies(self._session, row.id, states=(DUE,)):
            if one.study_key in suppressions.suppressed(self._session, one.store):
                self._go(row, [[one.store, one.study_key]])
            else:
                self._keep(row, {one.store: {one.study_key: NOT_KNOWN}})

    def _unknown(self, row: Disposal) -> None:
        """Keep a disposal open of which nobody knows what it took away."""
        if not disposals.studies(self._session, row.id):
            proposed = self._story.of["proposed"][0].body
            for store in proposed["stores"]:
                self._session.add(
                    disposal_rows.bare_study(
                        row.id, store, disposal_rows.NOBODY, row.proposed_at.date()
                    )
                )
            self._session.flush()
        self._brought.lost.append(
            f"disposal {row.id} had begun, and which of its studies it took away is not known any "
            "more: it stays open until a person has looked"
        )

    def _withhold(self, row: Disposal) -> None:
        """Keep what was kept after all since the disposal began."""
        if row.state not in OPEN:
            return
        for one in self._story.of.get("partial", ()):
            if one.index in row.entries or begun.LIST not in one.body:
                continue
            found = document(self._site, one, begun.STUDIES)
            if found is not None:
                self._keep(row, {found["store"]: found["withheld"]})

    def _find_again(self, row: Disposal) -> None:
        """Let be removed anew what was found in a store or its primary again."""
        if row.state not in OPEN:
            return
        for one in self._story.of.get("partial", ()):
            if one.index in row.entries or one.body.get("what") != "found_again":
                continue
            row.state = EXECUTING
            for store in {place["store"] for place in one.body["places"]}:
                studies = disposals.studies(
                    self._session, row.id, store=store, states=[disposals.PRIMARY_REMOVED]
                )
                keys = [(study.store, study.study_key) for study in studies]
                disposals.set_studies(self._session, row.id, keys, state=SUPPRESSED)

    def _complete(self, row: Disposal) -> None:
        entry = self._story.last("complete")
        if entry is None or row.state == COMPLETE:
            return
        row.state, row.completed_at = COMPLETE, entry.at
        row.certificate = str(entry.body["certificate"])
        going = disposals.studies(self._session, row.id, states=GOING)
        keys = [(one.store, one.study_key) for one in going]
        disposals.set_studies(self._session, row.id, keys, state=DISPOSED)
        proofs: list[Any] = disposal_rows.proved(self._site, self._session, row)
        for place in proofs:
            disposals.put_copy(self._session, place)
        if not proofs:
            self._brought.lost.append(
                f"disposal {row.id} is complete by the ledger, and its proofs are not here: they "
                f"stand on certificate {row.certificate}"
            )
