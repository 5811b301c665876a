"""Why one study is kept, may go, or must be looked at: every period, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrator.actions.retention.decisions import today_at
from orchestrator.actions.retention.findings import Found, found_of
from orchestrator.actions.retention.plan import decision_values, rule_values
from orchestrator.actions.retention.policy import current_policy
from orchestrator.actions.site import Site
from orchestrator.catalog import determinations as rows
from orchestrator.retention.study import Component, Decision, StudyFacts

_IDLE = ("asked", "lapsed", "unrecorded")
"""States of findings that would count if something were done about them."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One study of one store.

    Attributes:
        facts: What is known of it.
        decision: What may become of it.
        components: Every period that applies, the one that ends last first.
        not_counting: Findings about it that do not count: nobody has confirmed them, or what they
            were about has changed.
    """

    facts: StudyFacts
    decision: Decision
    components: list[Component]
    not_counting: list[Found] = field(default_factory=list)

    def wins(self, one: Component) -> bool:
        """Say whether a period is the one that decides."""
        return one.rule == self.decision.rule and one.due == self.decision.due


def explain(site: Site, study: str) -> list[Explained]:
    """Explain the decision about a study, in every store that has it.

    Args:
        site: The site.
        study: Pseudonym of the study.

    Raises:
        NotFoundError: No store has such a study.
        ConfigError: A schedule was changed under the version that was adopted.
        DamageError: What was adopted, or a field of the catalog, was changed.
    """
    from orchestrator.actions.holds.guard import in_force
    from orchestrator.actions.listing import no_such_study
    from orchestrator.actions.retention.facts import study_facts
    from orchestrator.retention.explain import explain as explained

    today = today_at(site, site.clock.now())
    with site.catalog.reading() as session:
        policy = current_policy(site, session)
        holds = in_force(session, site)
        found = [
            Explained(facts, *explained(facts, policy, holds, today))
            for facts in study_facts(site, session, studies=[study])
        ]
        about = rows.listing(session, study=study)
        idle = [one for one in found_of(site, session, about) if one.state in _IDLE]
    if not found:
        raise no_such_study(site, study)
    for one in found:
        one.not_counting.extend(idle)
    return found


def explained_values(one: Explained) -> dict[str, Any]:
    """Return an explanation as JSON values: the decision and its components."""
    from orchestrator.retention.determination import SETTLEABLE
    from orchestrator.retention.words import VERDICTS, WORDS

    reasons = [(reason, WORDS[reason]) for reason in one.decision.reasons]
    values = decision_values(one.facts, one.decision)
    for settled in values["settled"]:
        settled["meaning"] = WORDS[settled["doubt"]].meaning
        settled["counts"] = SETTLEABLE[settled["doubt"]].counts
    return {
        **values,
        "not_counting": [
            {"doubt": it.doubt, "determination": it.determination, "state": it.state}
            for it in one.not_counting
        ],
        "words": VERDICTS[one.decision.verdict],
        "explained": [
            {"reason": reason, "meaning": words.meaning, "next_step": words.next_step or None}
            for reason, words in reasons
        ],
        "components": [
            {
                **rule_values(component.rule),
                "trigger": component.trigger,
                "starts": component.starts,
                "due": component.due,
                "words": component.words,
                "wins": one.wins(component),
            }
            for component in one.components
        ],
    }
