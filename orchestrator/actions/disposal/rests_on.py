"""By whose findings the studies of a disposal may go: for certificate, statement and story.

Written down when a batch is proposed, and anew when its execution begins, by what holds then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from orchestrator import canonical
from orchestrator.actions.site import Site
from orchestrator.catalog import determinations

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.determination_tables import Determination
    from orchestrator.catalog.disposal_tables import Disposal
    from orchestrator.retention.study import StudyFacts

PLAN = "determinations"
"""Under which name the ids stand in a disposal's plan."""

NAMED = 20
"""So many ids are named in a sentence; the evidence beside the ledger names all."""


def ids_of(studies: Iterable[StudyFacts]) -> list[str]:
    """Return the determinations by which doubts about studies are settled, in order."""
    return sorted({one.determination for facts in studies for one in facts.settled})


def known(disposal: Disposal) -> list[str]:
    """Return the ids of the determinations on which a disposal rests."""
    return [str(one) for one in disposal.plan.get(PLAN, ())]


def rows_of(session: Session, disposal: Disposal) -> list[Determination]:
    """Return those of them that the catalog has; one that is made anew may have lost some."""
    wanted = set(known(disposal))
    rows = determinations.listing(session) if wanted else ()
    return [row for row in rows if row.id in wanted]


def in_words(ids: Sequence[str]) -> str:
    """Return determinations in words, such as ``2 determinations: DET-…, DET-…``."""
    named = ", ".join(ids[:NAMED])
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return f"{len(ids)} determination{'' if len(ids) == 1 else 's'}: {named}{more}"


def sentences(disposal: Disposal) -> tuple[str, ...]:
    """Say by whose findings records were due, if any were."""
    ids = known(disposal)
    if not ids:
        return ()
    words = "Doubts about records were settled by two persons each before they were due"
    return (f"{words}: {in_words(ids)}.",)


def evidence(site: Site, disposal: Disposal, rows: Sequence[Determination]) -> dict[str, str]:
    """Keep beside the ledger who has settled which doubt; return the hash by name, if any was.

    Neither a study nor what was found stands in it.

    Raises:
        EngineError: The disk refuses.
    """
    from orchestrator.actions.certificates.files import keep_evidence

    ids = known(disposal)
    if not ids:
        return {}
    settled = [
        {
            "determination": row.id,
            "doubt": row.doubt,
            "facts": row.facts,
            "asked_by": row.asked_by,
            "asked_at": row.asked_at.isoformat(),
            "made_by": row.made_by,
            "made_at": row.made_at.isoformat() if row.made_at is not None else None,
        }
        for row in rows
    ]
    found = {"disposal": disposal.id, "rests_on": ids, "determinations": settled}
    content = canonical.encode(found)
    return {"determinations": keep_evidence(site, content)}
