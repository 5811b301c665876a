"""Settling a doubt about a study: one person of compliance finds it, another person confirms it.

What they found is kept as ciphertext; the ledger knows who, when and which doubt, and a commitment
to the study. What is written down is bound to the facts as they were: if these change, it counts no
more. Taking back needs one person only, for it keeps longer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from orchestrator.actions.ledger import mirror
from orchestrator.actions.ledger.outside import demand_signable
from orchestrator.actions.ledger.record import Event, record_new
from orchestrator.actions.listing import no_such_study
from orchestrator.actions.person import are_one_person, demand_person
from orchestrator.actions.retention import determination_events as events
from orchestrator.actions.retention.decisions import today_at
from orchestrator.actions.retention.determined import ASKED, Determined, in_force
from orchestrator.actions.retention.findings import Found, found_of, sealed
from orchestrator.actions.retention.grounds import grounds
from orchestrator.actions.retention.policy import current_policy
from orchestrator.actions.run import Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import determinations as rows
from orchestrator.catalog import holds
from orchestrator.catalog.determination_tables import Determination
from orchestrator.errors import OrchestratorError, RefusedError, UsageError
from orchestrator.retention.determination import NEVER, SETTLEABLE
from orchestrator.retention.study import ReviewReason

if TYPE_CHECKING:
    from sqlmodel import Session

LONGEST_FINDING = 2000
"""Characters."""


def determine(site: Site, study: str, doubt: str, finding: str) -> Found:
    """Settle a doubt as the first person, or confirm what another person has found.

    Args:
        site: The site; its actor acts.
        study: Pseudonym of the study.
        doubt: The reason for review.
        finding: What was looked at and found; kept as ciphertext.

    Returns:
        The determination as it is then: ``asked`` or ``in_force``.

    Raises:
        RefusedError: No finding settles this doubt, the study does not have it, it is settled, the
            same person confirms, the role is missing, or the ledger may not be signed.
        UsageError: There is no such reason, or no finding, or it is too long.
        NotFoundError: No store has such a study.
        OrchestratorError: The catalog fails; then nothing is settled.
    """
    demand_person(site, "compliance", "operator")
    reason = _settleable(doubt)
    if not finding.strip() or len(finding) > LONGEST_FINDING:
        raise UsageError(
            f"a finding has between 1 and {LONGEST_FINDING} characters; for {reason} it must say "
            f"{SETTLEABLE[reason].finding}"
        )
    demand_signable(site)
    with run(site, "retention-determine") as current:
        with site.catalog.reading() as session:
            facts = _facts(site, session, study, reason)
            known = [one.split("|")[1] for one in mirror.recorded(site, session, ASKED)]
        with site.catalog.transaction() as session:
            holds.gate(session)
            acts = _Acts(site, session, known)
            row, told = acts.determine(study, reason, facts, finding)
            name = row.id
        return _told(current, name, told)


def withdraw(site: Site, name: str) -> Found:
    """Take back a determination, or what was asked for one; any person may.

    Raises:
        RefusedError: Nobody is named, or it was withdrawn before.
        NotFoundError: There is no such determination.
        OrchestratorError: The catalog fails; then nothing is withdrawn.
    """
    demand_person(site)
    with run(site, "retention-determine") as current:
        with site.catalog.transaction() as session:
            # Before a disposal begins, or after it has: never in between.
            holds.gate(session)
            row = rows.get(session, name)
            if row.withdrawn_at is not None:
                raise RefusedError(
                    f"{row.id} was withdrawn on {row.withdrawn_at:%Y-%m-%d} by {row.withdrawn_by}",
                    hint="orchestrator retention determinations",
                )
            event = _withdrawn(site, session, row)
        return _told(current, name, [event])


def _told(current: Run, name: str, told: list[Event]) -> Found:
    """Account for what was done, and return how the determination is then."""
    site = current.site
    try:
        record_new(site, told)
    except OrchestratorError as error:
        current.fell_short(f"the ledger does not say so yet: {error.message}")
    current.metrics.update(determination=name)
    with site.catalog.reading() as session:
        return found_of(site, session, [rows.get(session, name)])[0]


def _settleable(doubt: str) -> ReviewReason:
    """Return the doubt, if a finding can settle it at all."""
    for reason in SETTLEABLE:
        if reason == doubt:
            return reason
    for reason in get_args(ReviewReason):
        if reason == doubt:
            raise RefusedError(
                f"no finding settles {doubt}: {NEVER[reason]}",
                hint="orchestrator retention plan --verdict review",
            )
    raise UsageError(f"there is no such doubt; a finding settles one of {', '.join(SETTLEABLE)}")


def _facts(site: Site, session: Session, study: str, doubt: ReviewReason) -> str:
    """Return the hash of what raises a doubt, if a finding about just that would settle it.

    Raises:
        RefusedError: The study does not have the doubt, or something else raises it too.
        NotFoundError: No store has such a study.
    """
    from orchestrator.actions.holds.guard import in_force as holds_in_force
    from orchestrator.actions.retention.facts import study_facts
    from orchestrator.retention.decide import decide

    policy = current_policy(site, session)
    held = holds_in_force(session, site)
    today = today_at(site, site.clock.now())
    as_it_is = list(study_facts(site, session, studies=[study]))
    if not as_it_is:
        raise no_such_study(site, study)
    unsettled = [replace(one, settled=()) for one in as_it_is]
    if not any(doubt in one.reasons for one in decide(unsettled, policy, held, today)):
        raise RefusedError(
            f"study {study} has no doubt {doubt}",
            hint=f"orchestrator retention explain {study}",
        )
    found = grounds(site, session, [study])[study]
    facts = found.digests.get(doubt)
    if facts is not None:
        tried = _as_if_made(site, study, doubt, facts)
        settled = Determined(site, session, [tried])
        would = list(study_facts(site, session, studies=[study], determined=settled))
        if not any(doubt in one.reasons for one in decide(would, policy, held, today)):
            return facts
    why = found.beyond.get(
        doubt, "the patient list, another patient's number, or the dates that are left raise it too"
    )
    raise RefusedError(
        f"study {study}: no finding settles {doubt} here: {why}",
        hint=f"orchestrator retention explain {study}",
    )


def _as_if_made(site: Site, study: str, doubt: str, facts: str) -> Determination:
    now = site.clock.now()
    return Determination(
        id="",
        study_key=study,
        doubt=doubt,
        facts=facts,
        asked_by=site.actor,
        asked_at=now,
        finding_enc=b"",
        made_by=site.actor,
        made_at=now,
    )


class _Acts:
    """What a person's finding comes to, within one transaction.

    Args:
        site: The site.
        session: A writing session, its gate shut.
        known: Ids that the ledger knows.
    """

    def __init__(self, site: Site, session: Session, known: list[str]) -> None:
        self._site = site
        self._session = session
        self._known = known

    def determine(
        self, study: str, doubt: ReviewReason, facts: str, finding: str
    ) -> tuple[Determination, list[Event]]:
        """Ask, or confirm what somebody else has asked."""
        there = [
            row
            for row in rows.listing(self._session, study=study, doubt=doubt)
            if row.withdrawn_at is None
        ]
        for row in there:
            if row.facts == facts and row.made_at is not None:
                return row, [self._again(row)]
        asked = [row for row in there if row.made_at is None]
        about_this = [row for row in asked if row.facts == facts]
        for row in about_this:
            if not are_one_person(self._site, row.asked_by, self._site.actor):
                self._demand_still_there(row)
                return row, [self._confirmed(row, finding)]
        for row in about_this:
            raise RefusedError(
                f"{row.id}: {row.asked_by} has found this, and {self._site.actor} is the same "
                "person; another one must confirm it",
                hint=f"orchestrator --as ANOTHER retention determine {study} --doubt {doubt} "
                "--finding TEXT",
            )
        return self._asked(study, doubt, facts, finding, instead_of=asked)

    def _again(self, row: Determination) -> Event:
        """Return the entry of what was made before, if the ledger does not know it yet."""
        known = {one.id for one in in_force(self._site, self._session, [row.study_key])}
        if row.id in known or are_one_person(self._site, row.asked_by, self._site.actor):
            raise RefusedError(
                f"{row.doubt} is settled already by {row.id}: {row.asked_by}, {row.made_by}",
                hint=f"orchestrator retention explain {row.study_key}",
            )
        return events.made(row)

    def _demand_still_there(self, row: Determination) -> None:
        """Refuse to confirm somebody who cannot be told from the one who confirms any more."""
        asker = self._site.config.actors.get(row.asked_by)
        if asker is None or "compliance" not in asker.roles:
            raise RefusedError(
                f"{row.id}: {row.asked_by}, who has found this, is no person of compliance in the "
                "site file any more; withdraw it, and let another one find it",
                hint=f"orchestrator --as ACTOR retention withdraw {row.id}",
            )

    def _confirmed(self, row: Determination, finding: str) -> Event:
        row.made_by, row.made_at = self._site.actor, self._site.clock.now()
        row.second_finding_enc = sealed(self._site, row.id, "second", finding)
        rows.save(self._session, row)
        return events.made(row)

    def _asked(
        self,
        study: str,
        doubt: ReviewReason,
        facts: str,
        finding: str,
        *,
        instead_of: list[Determination],
    ) -> tuple[Determination, list[Event]]:
        demand_person(self._site, "compliance")
        # What they were asked about has changed: nobody can confirm them any more.
        told = [_withdrawn(self._site, self._session, row) for row in instead_of]
        now = self._site.clock.now()
        name = rows.next_id(self._session, now.year, self._known)
        row = Determination(
            id=name,
            study_key=study,
            doubt=doubt,
            facts=facts,
            asked_by=self._site.actor,
            asked_at=now,
            finding_enc=sealed(self._site, name, "first", finding),
        )
        rows.add(self._session, row)
        return row, [*told, events.asked(row)]


def _withdrawn(site: Site, session: Session, row: Determination) -> Event:
    row.withdrawn_by, row.withdrawn_at = site.actor, site.clock.now()
    rows.save(session, row)
    return events.withdrawn(row)
