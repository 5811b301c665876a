"""Vendors' certificates: agreements, two people, serial numbers both ways."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.certificates import vendor_terms, vendors
from orchestrator.actions.sanitization import attest as sanitize_record
from orchestrator.actions.sanitization import certificate as sanitize_certificate
from orchestrator.actions.site import Site
from orchestrator.catalog import media
from orchestrator.catalog.copy_tables import Medium, MediumEvent
from orchestrator.errors import NotFoundError, RefusedError, UsageError
from orchestrator.ledger import entry
from tests.integration.certificates.conftest import OpenSite

GOOD = """
[vendors.shred]
name = "Shredding & Sons"
agreement = "agreement.pdf"
expires = 2999-12-31
certification = "NAID AAA, id 4711"
certification_expires = 2020-01-01
"""
EXPIRED = GOOD.replace("2999-12-31", "2020-01-01")
NONE = '[vendors.shred]\nname = "Shredding & Sons"\n'


@pytest.fixture
def paper(folder: Path) -> dict[str, Path]:
    (folder / "agreement.pdf").write_bytes(b"agreement")
    made = {"file": folder / "theirs.pdf", "serials": folder / "serials.txt"}
    made["file"].write_bytes(b"%PDF certificate of destruction")
    made["serials"].write_text("# media of March\nWD-1\nwd 2\n\nZZ-9\n")
    return made


def register(site: Site, label: str, serial: str | None, *, handed_to: str | None = None) -> None:
    now = site.clock.now()
    with site.catalog.transaction() as session:
        medium = Medium(
            id=f"m-{label}", copy_="rotation", label=label, serial=serial, fs_uuid="u",
            state="in_use", registered_at=now,
        )  # fmt: skip
        media.register(session, medium, actor="it")
        if handed_to is not None:
            event = MediumEvent(
                medium=medium.id, at=now, actor="it", event="released", holder=handed_to
            )
            media.record(session, event, state=media.AWAY)


def bring(site: Site, paper: dict[str, Path], **more: Any) -> vendors.Imported:
    return vendors.import_certificate(
        site, paper["file"], vendor="shred", serials=paper["serials"], **more
    )


def entries_of(site: Site) -> list[entry.Entry]:
    return [entry.parse(stored.data) for stored in site.ledger.reader().entries(1)]


def test_serial_numbers_are_matched_both_ways(opened: OpenSite, paper: dict[str, Path]) -> None:
    site = opened("it", more=GOOD)
    register(site, "red", "WD1", handed_to="shred")
    register(site, "blue", "WD-2", handed_to="Shredding & Sons")
    register(site, "green", "WD-3", handed_to="SHRED")
    register(site, "grey", None, handed_to="shred")
    register(site, "white", "WD-4", handed_to="somebody else")
    found = bring(site, paper)
    assert found.state == "imported"
    assert found.matched == ["WD-1", "wd 2"]
    assert found.never_ours == ["ZZ-9"]
    assert found.not_certified == ["green", "grey"]
    assert found.remarks == ["the vendor's certification has expired on 2020-01-01"]
    (made,) = entries_of(site)
    assert made.type == "certificate.imported"
    counts = {name: made.body[name] for name in ("serials", "matched", "never_ours")}
    assert counts == {"serials": 3, "matched": 2, "never_ours": 1}
    assert made.evidence["certificate"] == f"sha256:{found.sha256}"
    kept = site.state_dir / "evidence/sha256" / found.sha256[:2] / found.sha256[2:]
    assert kept.read_bytes() == paper["file"].read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("more", "why"), [(NONE, "no agreement on file"), (EXPIRED, "has expired on 2020-01-01")]
)
def test_a_vendor_without_a_valid_agreement_is_refused(
    opened: OpenSite, paper: dict[str, Path], more: str, why: str
) -> None:
    site = opened("it", more=more)
    with pytest.raises(RefusedError, match=why):
        bring(site, paper)
    assert vendors.listing(site) == []
    assert entries_of(site) == []


def test_an_agreement_whose_file_is_gone_is_no_agreement(
    opened: OpenSite, paper: dict[str, Path], folder: Path
) -> None:
    (folder / "agreement.pdf").unlink()
    with pytest.raises(RefusedError, match="file is not there"):
        bring(opened("it", more=GOOD), paper)


def test_an_override_takes_two_people_and_is_printed(
    opened: OpenSite, paper: dict[str, Path]
) -> None:
    site = opened("privacy", more=EXPIRED)
    proposed = bring(site, paper, override=True)
    assert proposed.state == "proposed"
    assert entries_of(site) == []
    with pytest.raises(RefusedError, match="has expired"):
        vendor_terms.demand_terms(site, "shred", "WD-1")
    with pytest.raises(RefusedError, match="somebody else confirms"):
        vendors.confirm(site, proposed.id)
    with pytest.raises(RefusedError, match="takes the role compliance"):
        vendors.confirm(opened("it", more=EXPIRED), proposed.id)
    with pytest.raises(RefusedError, match="not a program"):
        vendors.confirm(opened("system", more=EXPIRED), proposed.id)
    done = vendors.confirm(opened("owner", more=EXPIRED), proposed.id)
    assert (done.state, done.proposed_by, done.confirmed_by) == ("imported", "privacy", "owner")
    (made,) = entries_of(site)
    assert (made.body["proposed_by"], made.body["overridden_by"]) == ("privacy", "owner")
    assert made.actor == "owner"
    assert vendor_terms.demand_terms(site, "shred", "wd1").name == "Shredding & Sons"
    with pytest.raises(RefusedError, match="has expired"):  # not on that certificate
        vendor_terms.demand_terms(site, "shred", "WD-77")
    shown = vendor_terms.printed(site, "shred", "WD-1", name="Shredding & Sons")
    assert shown.certificate_sha256 == done.sha256
    assert [one.name for one in shown.overridden_by] == ["P. Rivacy", "Cy Castillo"]
    with pytest.raises(RefusedError, match="imported already"):
        vendors.confirm(opened("owner", more=EXPIRED), proposed.id)


def test_the_same_file_is_not_taken_twice(opened: OpenSite, paper: dict[str, Path]) -> None:
    site = opened("it", more=GOOD)
    bring(site, paper)
    with pytest.raises(RefusedError, match="there already"):
        bring(site, paper)
    assert len(entries_of(site)) == 1


def test_a_proposal_keeps_its_serial_numbers(opened: OpenSite, paper: dict[str, Path]) -> None:
    site = opened("it", more=NONE)
    bring(site, paper, override=True)
    paper["serials"].write_text("OTHER\n")
    with pytest.raises(RefusedError, match="other serial numbers"):
        bring(site, paper, override=True)


def test_an_import_killed_before_the_catalog_is_recorded_once(
    opened: OpenSite, paper: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = opened("it", more=GOOD)
    with monkeypatch.context() as patched:
        patched.setattr(
            vendors.rows, "save_vendor", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            bring(site, paper)
    assert len(entries_of(site)) == 1
    assert bring(site, paper).state == "imported"
    assert len(entries_of(site)) == 1


def test_nobody_unknown_brings_or_is_brought(opened: OpenSite, paper: dict[str, Path]) -> None:
    with pytest.raises(NotFoundError):
        bring(opened("it"), paper)
    with pytest.raises(RefusedError, match="a person"):
        bring(opened("system", more=GOOD), paper)


@pytest.mark.parametrize(
    "text", ["", "# none\n", "A\na\n", "A B\nAB\n", "é\n", "\x07\n", "-\n", "x" * 101]
)
def test_lists_of_serial_numbers_are_read_strictly(tmp_path: Path, text: str) -> None:
    path = tmp_path / "serials"
    path.write_text(text)
    with pytest.raises(UsageError):
        vendors.read_serials(path)


def test_two_hundred_serial_numbers_are_read_as_written(tmp_path: Path) -> None:
    wanted = [f"WD-WX{n:03d}" for n in range(200)]
    path = tmp_path / "serials"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(wanted).encode())
    assert vendors.read_serials(path) == wanted


def test_an_agreement_holds_to_the_end_of_its_last_day(opened: OpenSite, folder: Path) -> None:
    (folder / "agreement.pdf").write_bytes(b"agreement")
    vendor = vendors.vendor_config(opened(more=GOOD), "shred")
    assert vendors.wanting(vendor, dt.date(2999, 12, 31)) == []
    assert vendors.wanting(vendor, dt.date(3000, 1, 1)) != []


def test_work_of_a_vendor_stands_on_its_agreement_and_its_certificate(
    opened: OpenSite, paper: dict[str, Path], folder: Path
) -> None:
    site = opened("it", more=GOOD)
    now = site.clock.now()
    act = sanitize_record.Attested(
        "shred", "hdd", ended_at=now, serial="ZZ-9", company="shred", manufacturer="Seagate",
        media_source="X-ray room", tool="mill", evidence={"slip": paper["file"]},
    )  # fmt: skip
    with pytest.raises(UsageError, match="needs the vendor"):
        sanitize_record.attest(
            site, sanitize_record.Attested("vendor-erase", "hdd", ended_at=now, serial="ZZ-9")
        )
    with pytest.raises(RefusedError, match="has expired"):
        sanitize_record.attest(opened("it", more=EXPIRED), act)
    site = opened("it", more=GOOD)
    row = sanitize_record.attest(site, act)
    assert vendors.listing(site) == []
    found = bring(site, paper)
    # What we recorded ourselves is ours, although the register of media does not know it.
    assert (found.matched, found.never_ours) == (["ZZ-9"], ["WD-1", "wd 2"])
    site = opened("privacy", more=GOOD)
    row = sanitize_record.validate(site, row.id, accept=True, reasons=())
    made = sanitize_certificate.act_of(site, row)
    assert made.vendor is not None
    assert (made.vendor.key, made.vendor.agreement_expires) == ("shred", dt.date(2999, 12, 31))
    assert made.vendor.certificate_sha256 == found.sha256
    assert (made.medium.manufacturer, made.medium.media_source) == ("Seagate", "X-ray room")
    parts = {one.part: one.name for one in made.persons}
    assert parts == {
        "performed": "Shredding & Sons", "recorded": "I. T.", "validated": "P. Rivacy"
    }  # fmt: skip


def test_a_vendors_work_without_its_certificate_is_shown(
    opened: OpenSite, paper: dict[str, Path]
) -> None:
    site = opened("it", more=GOOD)
    act = sanitize_record.Attested(
        "shred", "hdd", ended_at=site.clock.now(), serial="QQ-1", company="shred"
    )
    sanitize_record.attest(site, act)
    assert bring(site, paper).not_certified == ["QQ-1"]
