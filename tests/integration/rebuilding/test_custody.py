"""Media, their sanitization and papers of vendors, younger than the state they come back with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from orchestrator.actions.certificates import certify, vendors
from orchestrator.actions.disposal.places import sanitized
from orchestrator.actions.ledger.check import verify
from orchestrator.actions.ledger.events import record_happenings
from orchestrator.actions.media import find, receive, register
from orchestrator.actions.retire import retire
from orchestrator.actions.sanitization import attest
from orchestrator.actions.site import Site
from orchestrator.catalog import missed, sanitizations
from orchestrator.catalog.drill_tables import MissedEvent
from tests.integration.disposal.conftest import MORE, acting
from tests.integration.rebuilding.conftest import ROTATION, media_of, rebuilt
from tests.support.site import LabSite

VENDOR = """
[vendors.shred]
name = "Shredding & Sons"
agreement = "agreement.pdf"
expires = 2999-12-31
"""


def holdings(site: Site, medium: str) -> list[dict[str, object]]:
    with site.catalog.reading() as session:
        rows = sanitizations.holdings(session, medium)
        return [row.model_dump(exclude={"retired_at"}) for row in rows]


def media_with_a_copy(lab: LabSite, *labels: str) -> None:
    for label in labels:
        (lab.folder / "media" / label).mkdir(parents=True)
        with acting(lab, "it") as site:
            register(site, "rotation", lab.folder / "media" / label, label=label, allow_folder=True)
        lab.run("replicate", "rotation")


def shred(site: Site, slip: Path) -> str:
    slip.write_bytes(b"red was shredded")
    said = attest.Attested(
        "shred", "hdd", ended_at=site.clock.now(), medium="red", evidence={"slip": slip}
    )
    name = attest.attest(site, said).id
    site.actor = "privacy"
    attest.validate(site, name, accept=True, reasons=())
    return name


def test_custody_retirement_sanitization_and_papers_come_back(
    due_site: Callable[..., LabSite], tmp_path: Path
) -> None:
    lab = due_site()
    lab.write(more=MORE + ROTATION + VENDOR)
    lab.run("backup")
    media_with_a_copy(lab, "red", "blue")
    for name, content in (("agreement.pdf", b"a"), ("theirs.pdf", b"%PDF"), ("wd.txt", b"WD-1\n")):
        (lab.folder / name).write_bytes(content)
    with acting(lab, "it") as site:
        red, blue = find(site, "red").id, find(site, "blue").id
        retire(site, "red", note="worn")
        held = holdings(site, red)
        assert held
        paper = vendors.import_certificate(
            site, lab.folder / "theirs.pdf", vendor="shred", serials=lab.folder / "wd.txt"
        )
        gap = MissedEvent(
            job="weekly-drill", slot="2026-01-04T03:00:00+00:00", action="drill", kind="not_run",
            due_at=dt.datetime(2026, 1, 4, 3, tzinfo=dt.UTC), noticed_at=site.clock.now(),
        )  # fmt: skip
        with site.catalog.transaction() as session:
            missed.add(session, [gap])
        record_happenings(site)
        # Folders are no file systems that could be let go: what custody says is enough here.
        receive(site, "blue", holder=None, location="the safe")
        name = shred(site, tmp_path / "slip")
        (issued,) = certify.listing(site)

    answer = rebuilt(lab)

    assert answer["brought_back"].items() >= {
        "media": 2, "sanitizations": 1, "certificates": 1, "vendor_certificates": 1,
        "missed_events": 1,
    }.items()  # fmt: skip
    with acting(lab, "it") as site:
        rows = media_of(site)
        assert (rows[red].state, rows[red].label) == ("retired", "red"), "it lies here and says so"
        assert (rows[blue].state, rows[blue].holder) == ("in_use", None)
        assert holdings(site, red) == held
        row = sanitizations_of(site, name)
        assert (row.state, row.validation, row.method) == ("recorded", "accepted", "destroy")
        assert row.certificate == issued.number
        with site.catalog.reading() as session:
            assert sanitized(session, rows[red]) is not None
            assert [one.recorded_at is not None for one in missed.since(session, gap.due_at)] == [
                True
            ]
        assert certify.listing(site) == [issued]
        (again,) = vendors.listing(site)
        assert (again.id, again.state, again.never_ours) == (paper.id, "imported", ["WD-1"])
        found = verify(site)
        assert (found.verdict, [one for one in found.remarks if "in the catalog" in one]) == (
            "verified",
            [],
        )


def sanitizations_of(site: Site, name: str) -> sanitizations.Sanitization:
    with site.catalog.reading() as session:
        return sanitizations.get(session, name)


def test_a_sanitization_that_nothing_certifies_frees_no_medium(
    due_site: Callable[..., LabSite], tmp_path: Path
) -> None:
    lab = due_site()
    lab.write(more=MORE + ROTATION)
    lab.run("backup")
    media_with_a_copy(lab, "red", "blue")
    with acting(lab, "it") as site:
        red = find(site, "red").id
        retire(site, "red", note="worn")
        slip = tmp_path / "slip"
        slip.write_bytes(b"shredded")
        said = attest.Attested(
            "shred", "hdd", ended_at=site.clock.now(), medium="red", evidence={"slip": slip}
        )
        name = attest.attest(site, said).id

    answer = rebuilt(lab)

    assert any(name in one for one in answer["not_brought_back"])
    with acting(lab, "privacy") as site:
        row = sanitizations_of(site, name)
        assert (row.state, row.method, row.medium) == ("interrupted", None, red)
        with site.catalog.reading() as session:
            assert sanitized(session, media_of(site)[red]) is None
