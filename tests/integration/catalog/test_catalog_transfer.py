"""The catalog as lines, and a catalog from lines."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from orchestrator.catalog import (
    anchors,
    buckets,
    certificates,
    checks,
    copies,
    drills,
    facts,
    files,
    ledger,
    media,
    missed,
    repositories,
    runs,
    sanitizations,
    slots,
    snapshots,
    suppressions,
    transfer,
)
from orchestrator.catalog.certificate_tables import VendorCertificate, VendorSerial
from orchestrator.catalog.copy_tables import (
    BucketCoverage,
    BucketProbe,
    CheckResult,
    Medium,
)
from orchestrator.catalog.database import Catalog
from orchestrator.catalog.determination_tables import Determination
from orchestrator.catalog.disposal_tables import (
    Disposal,
    DisposalCopy,
    DisposalStudy,
    SnapshotReplacement,
)
from orchestrator.catalog.hold_tables import Hold
from orchestrator.catalog.ledger_tables import Ledger, LedgerAnchor, LedgerObject, LedgerOutside
from orchestrator.catalog.place_tables import CopyPlace
from orchestrator.catalog.retention_tables import AdoptedSchedule, ListedPatient, PatientList
from orchestrator.catalog.sanitization_tables import CustodyAct, MediumHolding, Sanitization
from orchestrator.catalog.tables import StoreState, metadata
from orchestrator.drills.result import SignOff
from orchestrator.engines.interface import Receipt
from orchestrator.engines.layout import RepositoryFile
from orchestrator.errors import ConfigError, DamageError, RefusedError
from tests.integration.catalog.conftest import Opener
from tests.support.catalog_rows import (
    NOW,
    REPOSITORY,
    certificate_row,
    drill_result,
    image,
    missed_event,
    repository_row,
    run_row,
    snapshot_row,
    study_date,
)
from tests.support.postgres import CatalogUrl

KEY = ("vault", "", REPOSITORY)


def fill(session: Session, catalog: Catalog) -> None:
    """Put at least one row into every table."""
    repositories.add(session, repository_row())
    repositories.put_store_state(
        session,
        StoreState(
            store="xrays",
            file_count=2**40,
            size_bytes=2**50,
            walked_at=NOW,
            newest_study_date=dt.date(2026, 1, 2),
        ),
    )
    runs.start(session, run_row(metrics={"ü": [1, None, 2.5]}))
    runs.add_step(session, "r1", name="walk", now=NOW)
    slots.claim(session, "nightly", slot="2026-03-04", run_id="r1", now=NOW)
    snapshots.add(session, snapshot_row("a" * 64))
    receipts = (Receipt(RepositoryFile("data", f"{n:064x}", n), f"v{n}", NOW) for n in range(4321))
    copies.record_stored(session, KEY, receipts, now=NOW, verified=True)
    copies.update_state(session, KEY, state="proven", protected_until=NOW)
    medium = Medium(id="m", copy_="c", label="A", fs_uuid="u", state="in_use", registered_at=NOW)
    media.register(session, medium, actor="it")
    checks.add(
        session,
        CheckResult(
            run_id="r1",
            copy_="vault",
            medium="",
            repository_id=REPOSITORY,
            at=NOW,
            slice_n=1,
            slice_t=1,
            files=1,
            size_bytes=1,
            damaged=["data/x"],
        ),
    )
    buckets.add_probe(session, BucketProbe(copy_="vault", at=NOW, verdict="held", attempts=[{}]))
    buckets.add_coverage(
        session,
        BucketCoverage(
            copy_="vault",
            repository_id=REPOSITORY,
            snapshot="a" * 64,
            at=NOW,
            files=1,
            missing=0,
            requests=1,
        ),
    )
    fill_drills(session)
    fill_ledger(session, catalog)
    fill_certificates(session)
    fill_sanitization(session)
    facts.put(session, "ledger.size", value="7", now=NOW)
    files.apply_changes(
        session,
        "xrays",
        run_id="r1",
        changed=[image(1, 1)],
        gone=[],
        keys=catalog.keys,
        study_date=study_date,
    )


def fill_ledger(session: Session, catalog: Catalog) -> None:
    first = Ledger(number=1, origin="o/1", vkey="k", opened_at=NOW, mirrored=0)
    ledger.add(session, first, now=NOW)
    subject = ledger.Subject("study", bytes(16), "s1")
    ledger.keep_subjects(session, "e1", [subject], catalog.keys)
    entry = ledger.Mirrored(2**40, "e1", "key.destroy", NOW, "once", True, None)
    ledger.mirror(session, 1, [entry], upto=2**40 + 1)
    anchor = LedgerAnchor(
        ledger=1, kind="bucket", target="vault", size=2**40, root="r", at=NOW, detail={"ü": 1}
    )
    anchors.add(session, anchor)
    kept = LedgerObject(copy_="vault", path="p", version_id="v", sha256="s", retain_until=NOW)
    anchors.put_objects(session, [kept])
    said = LedgerOutside(target="vault", ledger=1, asked_at=NOW, state="consistent", size=2**40)
    anchors.put_outside(session, said)


def fill_drills(session: Session) -> None:
    result = drill_result(ended_at=NOW, verdict="verified", files=2**40)
    drills.begin(session, result, run_id="r1")
    drills.finish(session, result, proven=["s1"])
    sign_off = SignOff("P. Rivacy", "Compliance officer", NOW, "seen")
    drills.sign(session, result.drill, actor="privacy", sign_off=sign_off)
    suppressions.add(session, "xrays", ["s2"], now=NOW)
    missed.add(session, [missed_event("2026-03-04T00:00:00+00:00")])


def fill_certificates(session: Session) -> None:
    certificates.add(session, certificate_row("2026-0001", recorded_index=2**40))
    certificates.add_vendor(
        session,
        VendorCertificate(
            id="v1",
            vendor="shred",
            sha256="c" * 64,
            size_bytes=2**40,
            state="imported",
            proposed_at=NOW,
            proposed_by="it",
            refusals=["the agreement has expired"],
            ledger_size=1,
        ),
        [VendorSerial(certificate_id="v1", serial="S-1", serial_key="S1", medium="m")],
    )


def fill_sanitization(session: Session) -> None:
    sanitizations.add(
        session,
        Sanitization(
            id="20260304-0a0a0a0a",
            state="recorded",
            basis="attested",
            technique="shred",
            kind="hdd",
            size_bytes=2**42,
            medium="m",
            proposed_by="it",
            proposed_at=NOW,
            company="shred",
            measured={"ü": [1, None]},
            evidence={"slip": "d" * 64},
            validation="pending",
            entries=[2**31],
        ),
    )
    sanitizations.keep_custody(session, CustodyAct(medium="m", at=NOW, taken_by="K", seal="7"))
    held = MediumHolding(
        medium="m",
        snapshot="a" * 64,
        repository_id=REPOSITORY,
        repository="xrays",
        keys=["k1"],
        retired_at=NOW,
        elsewhere="disk",
        elsewhere_verified_at=NOW,
    )
    sanitizations.keep_holdings(session, [held])
    _fill_retention(session)


def _fill_retention(session: Session) -> None:
    day = dt.date(2020, 2, 29)
    session.add(
        AdoptedSchedule(
            schedule_id="us-tx-dental",
            version="1",
            digest="d" * 64,
            kind="jurisdiction",
            text="id = 'ü'",
            adopted_by="privacy",
            adopted_at=NOW,
        )
    )
    listed = PatientList(
        id="l", state="accepted", sha256="d" * 64, imported_at=NOW, imported_by="it", rows=2**31
    )
    session.add(listed)
    session.add(
        Hold(
            id="H-1",
            kind="dates",
            dates_from=day,
            matter="7",
            reason_enc=b"\x00\xff",
            source="person",
            starts_at=NOW,
            placed_by="privacy",
            placed_at=NOW,
        )
    )
    session.add(
        Determination(
            id="DET-1",
            study_key="s",
            doubt="no_usable_date",
            facts="f" * 32,
            asked_by="privacy",
            asked_at=NOW,
            finding_enc=b"\x00\xff",
            made_by="it",
            made_at=NOW,
            second_finding_enc=b"\xff\x00",
        )
    )
    disposal = Disposal(
        id="D-1", state="proposed", plan_digest="d" * 64, proposed_by="it", proposed_at=NOW
    )
    session.add(disposal)
    session.flush()
    session.add(ListedPatient(patient_key="p", list_id="l", details_enc=b"\x01"))
    session.add(
        DisposalStudy(
            disposal="D-1",
            store="xrays",
            study_key="s",
            state="due",
            due=day,
            schedule_id="us-tx-dental",
            schedule_version="1",
            rule="dental-record",
            citation="22 TAC 108.8(b)",
            record_class="patient_record",
            size_bytes=2**42,
        )
    )
    session.add(
        DisposalCopy(
            disposal="D-1",
            store="xrays",
            copy_="disk",
            medium="",
            role="local",
            state="pending",
            evidence={"ü": [1]},
        )
    )
    session.add(
        SnapshotReplacement(
            old="a" * 64, disposal="D-1", repository_id=REPOSITORY, kind="data", at=NOW
        )
    )
    session.add(
        CopyPlace(
            id="P-1",
            copy_="disk",
            role="local",
            location="/backup/ü",
            address={"path": "/backup/ü"},
            identity="",
            first_seen=NOW,
            last_seen=NOW,
            left_at=NOW,
            closed_at=NOW,
        )
    )


@pytest.fixture
def lines(catalog: Catalog) -> list[bytes]:
    with catalog.transaction() as session:
        fill(session, catalog)
    with catalog.reading() as session:
        return list(transfer.export_rows(session))


def other(catalog_url: CatalogUrl, request: pytest.FixtureRequest, opener: Opener) -> Catalog:
    """An empty catalog on the other database, with other keys."""
    name = "postgres_url" if catalog_url.is_sqlite else "sqlite_url"
    return opener(request.getfixturevalue(name), create=True, field=bytes(32), name=bytes(32))


def test_every_table_but_the_files_is_carried(lines: list[bytes]) -> None:
    tables = {json.loads(line).get("table") for line in lines} - {None}
    assert tables == set(metadata.tables) - {"file"}


def test_a_catalog_moves_to_the_other_database_unchanged(
    catalog_url: CatalogUrl,
    lines: list[bytes],
    request: pytest.FixtureRequest,
    opener: Opener,
) -> None:
    target = other(catalog_url, request, opener)
    with target.transaction() as session:
        assert transfer.import_rows(session, iter(lines)) == len(lines) - 2
    with target.reading() as session:
        assert list(transfer.export_rows(session)) == lines
    with target.transaction() as session:  # the counters go on where the rows end
        buckets.add_probe(session, BucketProbe(copy_="vault", at=NOW, verdict="x", attempts=[]))
        probe = buckets.last_probe(session, "vault")
        assert probe is not None
        assert probe.verdict == "x"
        state = repositories.store_state(session, "xrays")
        assert state is not None
        assert state.newest_study_date == dt.date(2026, 1, 2)


def test_the_seal_stays_with_its_database(
    catalog_url: CatalogUrl, lines: list[bytes], request: pytest.FixtureRequest, opener: Opener
) -> None:
    assert not any(b"_seal" in line for line in lines)
    target = other(catalog_url, request, opener)
    with target.transaction() as session:
        transfer.import_rows(session, lines)
    assert target.keys.cipher.decrypt(target.keys.cipher.encrypt(b"x", "c"), "c") == b"x"


def test_a_part_is_never_taken_for_the_whole(
    catalog_url: CatalogUrl, lines: list[bytes], request: pytest.FixtureRequest, opener: Opener
) -> None:
    target = other(catalog_url, request, opener)
    broken = {
        "nothing": [],
        "header only": lines[:1],
        "no footer": lines[:-1],
        "a row missing": [*lines[:5], *lines[6:]],
        "more after the footer": [*lines, lines[3]],
        "half a line": [*lines[:-1], lines[-1][:4]],
        "no header": lines[1:],
        "not JSON": [lines[0], b"\xff\n", *lines[1:]],
        "a table nobody knows": [lines[0], b'{"table":"x","row":{}}\n', *lines[1:]],
        "a row without its key": [lines[0], b'{"table":"run","row":{}}\n', lines[-1]],
    }
    for name, damaged in broken.items():
        with pytest.raises((DamageError, ConfigError)) as caught, target.transaction() as session:
            transfer.import_rows(session, damaged)
        assert isinstance(caught.value, DamageError), name
        with target.reading() as session:
            for table in metadata.tables.values():
                kept = session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                assert kept == (2 if table.name == "site_fact" else 0), name


def test_rows_go_into_an_empty_catalog_only(catalog: Catalog, lines: list[bytes]) -> None:
    with pytest.raises(RefusedError, match="empty"), catalog.transaction() as session:
        transfer.import_rows(session, lines)


def test_an_export_of_a_newer_program_is_refused(catalog: Catalog) -> None:
    for header in (b'{"catalog":1,"schema":"9999"}\n', b'{"catalog":2,"schema":"0001"}\n'):
        with pytest.raises(ConfigError, match="newer"), catalog.transaction() as session:
            transfer.import_rows(session, [header, b'{"rows":0}\n'])


def test_no_file_row_leaves_by_the_export(lines: list[bytes]) -> None:
    assert not any(b"path_enc" in line or b"identity_enc" in line for line in lines)
