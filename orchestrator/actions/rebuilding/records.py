"""What is brought back by its entry alone: missed events, adopted schedules, vendors' papers."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions.certificates.vendor_terms import IMPORTED, serial_key
from orchestrator.actions.rebuilding.told import Brought, Told, beside
from orchestrator.actions.site import Site
from orchestrator.catalog import certificates, media, missed, schedules
from orchestrator.catalog.certificate_tables import VendorCertificate, VendorSerial
from orchestrator.catalog.drill_tables import MissedEvent
from orchestrator.catalog.retention_tables import AdoptedSchedule

if TYPE_CHECKING:
    from sqlmodel import Session


def bring_back_missed(site: Site, told: list[Told], brought: Brought) -> None:
    """Bring back what was noticed to have been missed.

    Raises:
        OrchestratorError: The catalog fails.
    """
    rows = [
        MissedEvent(
            job=str(one.body["job"]),
            slot=str(one.body["slot"]),
            action=str(one.body["action"]),
            store=one.body.get("store"),
            kind=str(one.body["kind"]),
            due_at=datetime.fromisoformat(one.body["due"]),
            noticed_at=one.at,
            recorded_at=one.at,
        )
        for one in told
    ]
    with site.catalog.transaction() as session:
        brought.counts["missed_events"] += missed.add(session, rows)


def bring_back_adopted(site: Site, told: list[Told], brought: Brought) -> None:
    """Bring back adopted schedules with their texts; `retention` refuses where one is lacking.

    Raises:
        OrchestratorError: The catalog fails.
    """
    with site.catalog.transaction() as session:
        for one in told:
            if one.type == "retention.adopted":
                brought.counts["adopted_schedules"] += _adopt(site, session, one, brought)


def _adopt(site: Site, session: Session, one: Told, brought: Brought) -> bool:
    body = one.body
    at = datetime.fromisoformat(body["adopted_at"])
    known = schedules.history(session, body["schedule"])
    if any(row.adopted_at >= at for row in known):
        return False
    text = beside(site, one, "text")
    if text is None:
        brought.lost.append(
            f"the text of schedule {body['schedule']} as it was adopted last is gone, and nothing "
            f"is decided before: orchestrator --as ACTOR retention adopt {body['schedule']}"
        )
        return False
    row = AdoptedSchedule(
        schedule_id=body["schedule"],
        version=body["version"],
        digest=body["digest"],
        kind=body["kind"],
        jurisdiction=body.get("jurisdiction"),
        text=text.decode("utf-8"),
        image_clock=bool(body["image_clock"]),
        adopted_by=one.entry.actor,
        adopted_at=at,
    )
    schedules.adopt(session, row)
    return True


def bring_back_vendors(site: Site, told: list[Told], brought: Brought) -> None:
    """Bring back the certificates of vendors, with their serial numbers.

    Raises:
        OrchestratorError: The catalog fails.
    """
    with site.catalog.transaction() as session:
        known = {row.id: row for row in certificates.vendor_certificates(session)}
        ours = {
            serial_key(row.serial): row.id
            for row in media.of_copy(session, None, retired=True)
            if row.serial
        }
        for one in told:
            if one.type != "certificate.imported":
                continue
            name = str(one.body["certificate"])
            if name in known:
                _imported(session, known[name], one)
                continue
            paper, listed = beside(site, one, "certificate"), beside(site, one, "serials")
            if paper is None or listed is None:
                brought.lost.append(
                    f"the vendor's certificate {name} is gone from the evidence folder: import it "
                    "again"
                )
                continue
            row = _vendor(one, name, len(paper))
            serials = [
                VendorSerial(
                    certificate_id=name,
                    serial=serial,
                    serial_key=serial_key(serial),
                    medium=ours.get(serial_key(serial)),
                )
                for serial in listed.decode("utf-8").splitlines()
            ]
            certificates.add_vendor(session, row, serials)
            brought.counts["vendor_certificates"] += 1


def _imported(session: Session, row: VendorCertificate, one: Told) -> None:
    if row.state != IMPORTED:
        row.state, row.imported_at, row.ledger_index = IMPORTED, one.at, one.index
        row.confirmed_by = one.body.get("overridden_by")
        certificates.save_vendor(session, row)


def _vendor(one: Told, name: str, size: int) -> VendorCertificate:
    return VendorCertificate(
        id=name,
        vendor=str(one.body["vendor"]),
        sha256=one.hash_of("certificate") or "",
        size_bytes=size,
        state=IMPORTED,
        proposed_at=one.at,
        proposed_by=str(one.body["proposed_by"]),
        confirmed_by=one.body.get("overridden_by"),
        imported_at=one.at,
        ledger_size=one.index,
        ledger_index=one.index,
    )
