"""What some jurisdictions want done before records may go: a sign, a letter, an authority asked.

Source: the notice rules of the adopted schedules (`Rule.notices`), each with its own citation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.retention.schedule import Policy


@dataclass(frozen=True, slots=True)
class Required:
    """One thing that must be done before records of a store may go.

    Attributes:
        store: The store.
        form: ``posted_sign``, ``written_statement``, ``mailed_notice`` or ``authority``.
        text: What, in a sentence a person can act on.
        citation: The rule it comes from.
    """

    store: str
    form: str
    text: str
    citation: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "store": self.store,
            "form": self.form,
            "text": self.text,
            "citation": self.citation,
        }


def required(
    policy: Policy, jurisdictions: Mapping[str, Iterable[str]], today: date
) -> list[Required]:
    """Return what must be done before studies of some stores may go.

    Every rule that applies to one of the studies counts, whichever wins. Pure.

    Args:
        policy: What is in force.
        jurisdictions: By store, those of all its studies: a patient may have been treated in
            several places.
        today: The date at the site.
    """
    from orchestrator.retention.applicable import law_of

    found: dict[Required, None] = {}
    for store in sorted(jurisdictions):
        law = law_of(policy, jurisdictions[store], today)
        for one in law.rules:
            for notice in one.rule.notices:
                found[Required(store, notice.form, notice.text, str(one.rule.citation))] = None
    return list(found)


def unconfirmed(
    policy: Policy,
    confirmed: Iterable[Mapping[str, Any]],
    jurisdictions: Mapping[str, Iterable[str]],
    today: date,
) -> list[Required]:
    """Return what must be done by what is in force today and was not confirmed at the approval.

    Args:
        policy: What is in force now.
        confirmed: ``plan["notices"]`` of the disposal.
        jurisdictions: As for `required`.
        today: The date at the site.
    """
    known = {(one["store"], one["form"], one["text"]) for one in confirmed}
    return [
        one
        for one in required(policy, jurisdictions, today)
        if (one.store, one.form, one.text) not in known
    ]
