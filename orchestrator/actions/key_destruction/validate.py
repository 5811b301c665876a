"""Accepting or rejecting what the destruction of a key came to, and certifying it.

The person who decides says, item by item, what became of the places that no program reaches.
What nobody says is printed as open.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.actions.certificates import certify
from orchestrator.actions.key_destruction.certificate import act_of
from orchestrator.actions.key_destruction.conditions import (
    COMPLIANCE,
    CUSTODIAN,
    demand_state,
    row_of,
)
from orchestrator.actions.key_destruction.items import ITEMS
from orchestrator.actions.key_destruction.measuring import measured
from orchestrator.actions.key_destruction.record import DESTROYED, JUDGED, Destruction, get
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.person import are_one_person, demand_person
from orchestrator.actions.run import run
from orchestrator.actions.sanitization.evidence import keep_json
from orchestrator.actions.site import Site
from orchestrator.errors import RefusedError, UsageError

PENDING, ACCEPTED, REJECTED = "pending", "accepted", "rejected"


def validate(
    site: Site, name: str, *, accept: bool, attested: Sequence[str], reason: str | None
) -> Destruction:
    """Accept or reject a destruction for the organization; then it is certified.

    Every known way is tried once more, so that the certificate says how it is now. A second call
    finishes a certificate that could not be made at the first.

    Args:
        site: The site; its actor decides, and must not have done it.
        name: Id of the destruction.
        accept: Accept it, or reject it.
        attested: Which of `ITEMS` the actor says are gone.
        reason: Why; needed for a rejection, and to accept what is not verified as a whole.

    Raises:
        NotFoundError: There is no such destruction.
        RefusedError: It is not done, was decided already, the same person did it, or the password
            can still be had.
        UsageError: There is no such item, or the reason is missing.
        OrchestratorError: Ledger or disk fail.
    """
    demand_person(site, CUSTODIAN, COMPLIANCE)
    for item in attested:
        if item not in ITEMS:
            raise UsageError(f"there is no item {item!r} to attest; there are: {', '.join(ITEMS)}")
    wanted = ACCEPTED if accept else REJECTED
    one = get(site, name)
    row = row_of(site, one.repository)
    with run(site, "key-destroy-validate", store=row.store):
        one = demand_state(get(site, name), DESTROYED)
        if one.validation == PENDING:
            if any(are_one_person(site, site.actor, known) for known in one.performers):
                raise RefusedError(
                    f"destruction {name}: {site.actor} did it and may not validate it",
                    hint=f"orchestrator --as ACTOR key destroy validate {name} --accept",
                )
            found = measured(site, one, row, one.before or "")
            _demand_reason(one, str(found["verification"]), accept=accept, reason=reason)
            body = {
                "destruction": name,
                "decision": wanted,
                "attested": sorted(set(attested)),
                "open": [item for item in ITEMS if item not in attested],
                "verification": found["verification"],
            }
            evidence = {"ways": keep_json(site, found)}
            record(site, [Event(JUDGED, body, evidence=evidence, note=reason)])
            one = get(site, name)
        elif one.validation != wanted or one.validated_by != site.actor:
            raise RefusedError(
                f"destruction {name} was {one.validation} already",
                hint=f"orchestrator key destroy show {name}",
            )
        if one.certificate is None:
            certify.issue_key_destruction(site, act_of(site, one, row))
    return get(site, name)


def _demand_reason(
    one: Destruction, verification: str, *, accept: bool, reason: str | None
) -> None:
    if accept and verification == "not_verified":
        raise RefusedError(
            f"destruction {one.id} is not verified: the password can still be had here",
            hint=f"reject it: orchestrator key destroy validate {one.id} --reject --reason TEXT",
        )
    if not reason and (not accept or verification != "verified"):
        why = "" if not accept else ": not every known way to the key is shut"
        raise UsageError(f"this decision needs a reason{why}", hint="add --reason TEXT")
