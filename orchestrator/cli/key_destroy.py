"""``key destroy``: letting go of the key of a repository that was replaced or given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.options import Invocation, pass_invocation
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.actions.key_destruction.record import Destruction

_EXIT = {"verified": 0, "unverified": 3}
_REASON = "Why, in at most 200 characters; no patient's name in it."


@click.group()
def destroy() -> None:
    """Destroy a repository's key: propose, approve, run, validate.

    For a repository that was replaced, or whose store was given up. Its copies stay where they
    are, and nobody opens them any more. A custodian and a person of compliance are needed.
    """


@destroy.command()
@click.argument("repository")
@click.option("--reason", required=True, help=_REASON)
@pass_invocation
def propose(invocation: Invocation, repository: str, reason: str) -> None:
    """Propose to destroy the key of REPOSITORY; says everything that is in the way."""
    from orchestrator.actions.key_destruction import destroy as action

    _show(invocation, action.propose(invocation.open_site(), repository, reason=reason))


@destroy.command()
@click.argument("name", metavar="ID")
@pass_invocation
def approve(invocation: Invocation, name: str) -> None:
    """Agree to a proposal, as another person than the one who made it."""
    from orchestrator.actions.key_destruction import destroy as action

    _show(invocation, action.approve(invocation.open_site(), name))


@destroy.command()
@click.argument("name", metavar="ID")
@click.option("--reason", required=True, help=_REASON)
@pass_invocation
def refuse(invocation: Invocation, name: str, reason: str) -> None:
    """Turn a proposal down, or take an approval back before it was used."""
    from orchestrator.actions.key_destruction import destroy as action

    _show(invocation, action.refuse(invocation.open_site(), name, reason=reason))


@destroy.command()
@click.argument("name", metavar="ID")
@pass_invocation
def run(invocation: Invocation, name: str) -> None:
    """Do what was approved, and try every known way to the key afterwards; it never comes back.

    Cut off, it goes on when it is called again. Exit status 3 if a stored keyring still holds the
    key, 1 if it could be had after all.
    """
    from orchestrator.actions.key_destruction import destroy as action

    done = action.execute(invocation.open_site(), name)
    _show(invocation, done)
    if code := _EXIT.get(done.verification or "", 1):
        raise ExitWith(code)


@destroy.command()
@click.argument("name", metavar="ID")
@click.option("--accept", is_flag=True, help="The organization accepts it.")
@click.option("--reject", is_flag=True, help="The organization rejects it.")
@click.option(
    "--attest",
    multiple=True,
    metavar="ITEM",
    help="None is left of these: kits, passwords, shares, backups. What nobody attests is "
    "printed as open.",
)
@click.option("--reason", help=_REASON)
@pass_invocation
def validate(
    invocation: Invocation,
    /,
    name: str,
    *,
    accept: bool,
    reject: bool,
    attest: tuple[str, ...],
    reason: str | None,
) -> None:
    """Accept or reject a destruction, as a person who did not do it; then it is certified."""
    from orchestrator.actions.key_destruction import validate as action

    if accept == reject:
        raise UsageError("say --accept or --reject: one of the two")
    site = invocation.open_site()
    _show(invocation, action.validate(site, name, accept=accept, attested=attest, reason=reason))


@destroy.command()
@click.argument("name", metavar="ID")
@pass_invocation
def show(invocation: Invocation, name: str) -> None:
    """Show one destruction with what was measured."""
    from orchestrator.actions.key_destruction import record

    site = invocation.open_site()
    one = record.get(site, name)
    digest = one.ways or one.after
    _show(invocation, one, record.kept(site, digest) if digest is not None else None)


@destroy.command("list")
@pass_invocation
def list_all(invocation: Invocation) -> None:
    """Show every destruction of a key, oldest first."""
    from orchestrator.actions.key_destruction import record

    found = record.listing(invocation.open_site())
    if invocation.as_json:
        render.show_json({"destructions": [_document(one) for one in found]})
        return
    render.table(
        ["id", "repository", "state", "verification", "validation", "certificate"],
        [
            [
                one.id,
                one.repository,
                one.state,
                one.verification,
                one.validation,
                one.certificate,
            ]
            for one in found
        ],
    )


def _document(one: Destruction, measured: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "destruction": one.id,
        "repository": one.repository,
        "repository_id": one.repository_id,
        "store": one.store,
        "state": one.state,
        "reason": one.reason,
        "proposed_by": one.proposed_by,
        "proposed_at": one.proposed_at,
        "decided_by": one.decided_by,
        "decided_at": one.decided_at,
        "performed_by": one.performed_by,
        "verification": one.verification,
        "validation": one.validation,
        "validated_by": one.validated_by,
        "attested": list(one.attested),
        "certificate": one.certificate,
        **({} if measured is None else {"measured": measured}),
    }


def _show(invocation: Invocation, one: Destruction, measured: dict[str, Any] | None = None) -> None:
    document = _document(one, measured)
    if invocation.as_json:
        render.show_json(document)
        return
    document.pop("measured", None)
    render.table(
        ["", "value"],
        [
            [name, ", ".join(value) if isinstance(value, list) else value]
            for name, value in document.items()
            if value not in (None, [])
        ],
    )
    if measured is not None:
        render.table(
            ["tried", "how", "result"],
            [
                [each["where"], each["how"], each["result"]]
                for each in (*measured["attempts"], *measured["states"])
            ],
        )
    _next(one)


def _next(one: Destruction) -> None:
    if one.state == "proposed":
        render.say(f"next, another person: orchestrator --as ACTOR key destroy approve {one.id}")
    elif one.state in ("approved", "begun"):
        render.say(f"next: orchestrator --as ACTOR key destroy run {one.id}")
    elif one.state == "destroyed" and one.validation == "pending":
        if one.verification == "unverified":
            command = "orchestrator --as ACTOR key rotate"
            render.say(f"stored states may still open it; to end that: {command}")
        render.say(
            "next: destroy every recovery kit, write a new one (orchestrator --as ACTOR key kit), "
            "and as another person:"
        )
        render.say(f"orchestrator --as ACTOR key destroy validate {one.id} --accept --attest kits")
