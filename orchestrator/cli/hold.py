"""``hold``: legal holds, which keep what they cover on every copy."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, TextIO

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.options import Invocation, pass_invocation
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.actions.holds.listing import HoldFacts
    from orchestrator.actions.holds.place import Wish
    from orchestrator.actions.site import Site

_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.group()
def hold() -> None:
    """Place, release and list legal holds."""


@hold.command()
@click.option("--study", metavar="KEY", help="This study, by its pseudonym.")
@click.option("--patient", metavar="KEY", help="All of this patient, by pseudonym.")
@click.option(
    "--patient-file",
    type=click.File(encoding="utf-8"),
    help="All of the patient whose id is in this file; - for standard input. An id is never typed.",
)
@click.option("--issuer", help="Who gave out the id in the file.  [default: any]")
@click.option("--from", "first", type=_DAY, help="Studies of this day and later.")
@click.option("--to", "last", type=_DAY, help="Studies of this day and earlier.")
@click.option("--store", metavar="STORE", help="Only of this store; alone: the whole store.")
@click.option("--matter", required=True, help="Number of the case; it stands in the ledger.")
@click.option("--reason", required=True, help="Why; kept as ciphertext.")
@click.option("--starts", type=_DAY, help="Since when the duty to preserve runs.  [default: now]")
@pass_invocation
def place(invocation: Invocation, /, **wanted: Any) -> None:
    """Keep a study, a patient, a range of days or a store, whatever any schedule says.

    It holds at once, on every copy: snapshots stay, locks in buckets are lengthened, disposals that
    are under way stand still. Exit status 3 if it is in force and one of these must wait.
    """
    from orchestrator.actions.holds.place import place as put

    site = invocation.open_site()
    done = put(site, _wish(site, wanted))
    if invocation.as_json:
        render.show_json(
            {
                **done.hold.document(),
                "snapshots": done.snapshots,
                "paused": list(done.paused),
                "problems": list(done.problems),
            }
        )
    else:
        render.say(
            f"hold {done.hold.hold} is in force; studies: {done.hold.studies}, "
            f"snapshots: {done.snapshots}"
        )
        for disposal in done.paused:
            render.say(f"  disposal {disposal} stands still")
        for problem in done.problems:
            render.say(f"  not yet: {problem}")
    if done.problems:
        raise ExitWith(3)


@hold.command()
@click.argument("hold_id", metavar="ID")
@click.option("--reason", help="Why it ends; kept as ciphertext.")
@click.option("--withdraw", is_flag=True, help="Take back what you have asked for.")
@pass_invocation
def release(invocation: Invocation, hold_id: str, reason: str | None, *, withdraw: bool) -> None:
    """Ask for the release of hold ID, or confirm what another person has asked for.

    Two people are needed, one of them of compliance. What was kept goes at the next turn of
    whatever would have taken it.
    """
    from orchestrator.actions.holds import release as releasing

    if withdraw == (reason is not None):
        raise UsageError("say --reason TEXT, or --withdraw")
    site = invocation.open_site()
    if reason is None:
        found = releasing.withdraw(site, hold_id)
    else:
        found = releasing.release(site, hold_id, reason)
    if invocation.as_json:
        render.show_json(found.document())
        return
    words = {
        "in_force": "is in force; nobody asks for its release any more",
        "release_asked": "is in force until another person confirms its release",
        "released": "is released",
    }
    render.say(f"hold {found.hold} {words[found.state]}")


@hold.command("list")
@click.option("--released", is_flag=True, help="Also those that have ended.")
@click.option("--reasons", is_flag=True, help="Show why. This may name somebody: compliance only.")
@pass_invocation
def list_holds(invocation: Invocation, *, released: bool, reasons: bool) -> None:
    """Show the holds in force, with how many studies each covers now."""
    from orchestrator.actions.holds.listing import hold_list

    found = hold_list(invocation.open_site(), released=released, reasons=reasons)
    if invocation.as_json:
        render.show_json({"holds": [one.document() for one in found]})
        return
    headings = ["hold", "state", "matter", "covers", "store", "studies", "placed", "by"]
    rows = [[*_row(one), *([one.reason] if reasons else [])] for one in found]
    render.table(headings + (["reason"] if reasons else []), rows)


def _wish(site: Site, wanted: dict[str, Any]) -> Wish:
    from orchestrator.actions.holds.coverage import patient_names
    from orchestrator.actions.holds.place import Wish

    study, patient, file = wanted["study"], wanted["patient"], wanted["patient_file"]
    first, last = (_date(wanted[name]) for name in ("first", "last"))
    ways = [study is not None, patient is not None, file is not None, bool(first or last)]
    if sum(ways) > 1 or not (any(ways) or wanted["store"]):
        raise UsageError(
            "a hold is on one of --study, --patient, --patient-file, --from/--to, or on a --store",
            hint="orchestrator hold place --help",
        )
    if wanted["issuer"] is not None and file is None:
        raise UsageError("--issuer is about the id in --patient-file")
    patients: tuple[str, ...] = () if patient is None else (patient,)
    if file is not None:
        patients = patient_names(site, wanted["issuer"] or "", _patient_id(file))
    starts = _date(wanted["starts"])
    zone = site.config.timezone
    return Wish(
        kind="study" if study else "patient" if patients else "dates" if any(ways) else "store",
        matter=wanted["matter"],
        reason=wanted["reason"],
        store=wanted["store"],
        study=study,
        patients=patients,
        dates_from=first,
        dates_to=last,
        starts_at=(
            None if starts is None else datetime.combine(starts, time(), zone).astimezone(UTC)
        ),
    )


def _patient_id(file: TextIO) -> str:
    """Read the one id in a file; never say what it is."""
    try:
        lines = [line.strip() for line in file.read(65536).splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise UsageError("the file with the patient's id is not UTF-8 text") from None
    if len(lines) != 1:
        raise UsageError("the file must hold one patient id on one line, and nothing else")
    return lines[0]


def _date(at: datetime | None) -> date | None:
    return None if at is None else at.date()


def _row(one: HoldFacts) -> list[Any]:
    days = f"{one.dates_from or '…'} to {one.dates_to or '…'}"
    covers = {
        "study": f"study {one.study}",
        "patient": f"patient {one.patient}",
        "dates": days,
        "store": "everything",
    }
    return [
        one.hold,
        one.state,
        one.matter,
        covers[one.kind],
        one.store or "all",
        one.studies,
        one.placed_at,
        one.placed_by,
    ]
