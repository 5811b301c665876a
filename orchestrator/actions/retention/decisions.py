"""Deciding about the studies of a site: facts, policy and holds brought together.

The decision itself is `retention.decide`, which is pure. Memory stays bounded however many
studies there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from orchestrator.actions.retention.policy import current_policy
from orchestrator.actions.site import Site
from orchestrator.errors import ConfigError, DamageError, RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.retention.study import Decision, StudyFacts

LOOK_UP_AFTER = 1000
"""So many studies later somebody may have asked the work to stop."""


def decisions(
    site: Site,
    session: Session,
    *,
    store: str | None = None,
    studies: Collection[str] | None = None,
    now: datetime,
) -> Iterator[tuple[StudyFacts, Decision]]:
    """Yield each study with what may become of it; the iterator ends with its transaction.

    Args:
        site: The site.
        session: Everything is as of this transaction: files, patient list, schedules, holds.
            Nothing may be written in it before the iterator has ended.
        store: Only studies of this store.
        studies: Only these, by pseudonym.
        now: The instant of the decision; its date in the site's zone counts.

    Raises:
        ConfigError: A schedule was changed under the version that was adopted.
        RefusedError: The catalog and the ledger do not say the same was adopted last.
        DamageError: What was adopted, or a field of the catalog, was changed.
        StoppedError: The work was told to stop.
    """
    from orchestrator.actions.holds.guard import in_force
    from orchestrator.actions.retention.facts import study_facts
    from orchestrator.retention.decide import decide_each

    policy = current_policy(site, session)
    holds = in_force(session, site)
    found = study_facts(site, session, store=store, studies=studies)
    yield from decide_each(_until_stopped(site, found), policy, holds, today_at(site, now))


def _until_stopped(site: Site, studies: Iterator[StudyFacts]) -> Iterator[StudyFacts]:
    for number, study in enumerate(studies):
        if number % LOOK_UP_AFTER == 0:
            site.check_stop()
            site.progress.advance("studies", number, None)
        yield study


def today_at(site: Site, now: datetime) -> date:
    """Return the date that it is at the site."""
    return now.astimezone(site.config.timezone).date()


@dataclass(frozen=True, slots=True)
class Decided:
    """What is decided about some studies, for showing.

    Attributes:
        decisions: By store and pseudonym.
        problem: Why nothing could be decided; None if it could.
    """

    decisions: Mapping[tuple[str, str], Decision]
    problem: str | None = None


def decided(site: Site, studies: Collection[str]) -> Decided:
    """Decide about a few studies that are shown anyway; a policy at fault hides none of them.

    Args:
        site: The site.
        studies: Their pseudonyms.
    """
    if not studies:
        return Decided({})
    try:
        with site.catalog.reading() as session:
            found = decisions(site, session, studies=studies, now=site.clock.now())
            return Decided({(one.store, one.study): one for _facts, one in found})
    except (ConfigError, DamageError, RefusedError) as error:
        return Decided({}, f"nothing is decided about studies: {error.message}")
