"""Deciding about the studies of a site: facts, policy and holds brought together.

The decision itself is `retention.decide`, which is pure. Memory stays bounded however many
studies there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING

from orchestrator.actions.retention.policy import current_policy
from orchestrator.actions.site import Site
from orchestrator.catalog.bulk import batches

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.retention.study import Decision, StudyFacts

AT_ONCE = 20_000
"""Studies decided together."""


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
        store: Only studies of this store.
        studies: Only these, by pseudonym.
        now: The instant of the decision; its date in the site's zone counts.

    Raises:
        ConfigError: A schedule was changed under the version that was adopted.
        DamageError: What was adopted, or a field of the catalog, was changed.
    """
    from orchestrator.actions.holds.guard import in_force
    from orchestrator.actions.retention.facts import study_facts
    from orchestrator.retention.decide import decide

    policy = current_policy(site, session)
    holds = in_force(session, site)
    today = today_at(site, now)
    for batch in batches(study_facts(site, session, store=store, studies=studies), AT_ONCE):
        site.check_stop()
        yield from zip(batch, decide(batch, policy, holds, today), strict=True)


def today_at(site: Site, now: datetime) -> date:
    """Return the date that it is at the site."""
    return now.astimezone(site.config.timezone).date()
