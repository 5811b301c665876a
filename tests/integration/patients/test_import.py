"""Taking in a patient list: what is refused, what is blocked, what is kept of it."""

from __future__ import annotations

import datetime as dt
import json
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.actions.holds import guard
from orchestrator.actions.retention.patients import import_patients, list_doubts, standing
from orchestrator.catalog import holds, patients
from orchestrator.catalog.retention_tables import ListedPatient, PatientList
from orchestrator.errors import ConfigError, RefusedError, UsageError
from tests.integration.patients.conftest import NOW, Clinic
from tests.support.catalog_rows import image

DAY = dt.timedelta(days=1)


def in_force(clinic: Clinic) -> str | None:
    with clinic.site.catalog.reading() as session:
        row = patients.in_force(session)
        return None if row is None else row.id


def doubts(clinic: Clinic) -> frozenset[str]:
    with clinic.site.catalog.reading() as session:
        return frozenset(list_doubts(clinic.site, session))


def entries(clinic: Clinic, kind: str) -> list[dict[str, object]]:
    found = (json.loads(one.data) for one in clinic.site.ledger.reader().entries(0))
    return [one for one in found if one["type"] == kind]


def many(clinic: Clinic, count: int, **values: str) -> list[str]:
    return [clinic.line(f"P{number}", **values) for number in range(1, count + 1)]


def test_a_good_list_comes_into_force_and_stands_in_the_ledger(clinic: Clinic) -> None:
    assert doubts(clinic) == {"patient_list_missing"}
    clinic.has([image(1, 1), image(2, 1)])
    file = clinic.list_of(*many(clinic, 3, born="1980-01-02"))
    done = import_patients(clinic.site, file)
    assert (done.row.rows, done.row.accepted, done.row.rejected) == (3, 3, 0)
    assert (done.outcome, done.blocking, done.rejected_rows) == ("succeeded", (), ())
    assert doubts(clinic) == frozenset()
    (made,) = entries(clinic, "patients.imported")
    assert {name: made[name] for name in made if name not in ("v", "id", "at")} == {
        "type": "patients.imported",
        "actor": "privacy",
        "evidence": {"patient_list": f"sha256:{done.row.sha256}"},
        "list": done.row.id,
        "by": "privacy",
        "imported_at": "2026-03-02T12:00:00.000Z",
        "exported_at": "2026-03-01T06:00:00.000Z",
        "rows": 3,
        "accepted": 3,
        "rejected": 0,
    }
    found = standing(clinic.site)
    assert (found.row and found.row.id, found.merged, found.blocked, found.refused) == (
        done.row.id,
        0,
        {},
        None,
    )
    assert found.age == NOW - dt.datetime(2026, 3, 1, 6, tzinfo=dt.UTC)


def test_rejected_rows_are_told_by_line_and_block_their_patients(clinic: Clinic) -> None:
    clinic.has([image(number, 1) for number in range(1, 7)])
    lines = many(clinic, 4, born="1980-01-02")
    lines[1] = clinic.line("P2", born="1980-02-30", treated="2030-01-01")
    lines[3] = clinic.line("P4", into="P4", born="1980-01-02")
    lines += [clinic.line("P5"), clinic.line("P5", died="2020-01-01")]
    done = import_patients(clinic.site, clinic.list_of(*lines))
    assert done.outcome == "partial"
    assert (done.row.rows, done.row.accepted, done.row.rejected) == (6, 2, 4)
    assert done.rejected_rows == (
        (3, ("birth_date_unreadable", "date_in_future")),
        (5, ("merge_cycle",)),
        (6, ("same_patient_twice",)),
        (7, ("same_patient_twice",)),
    )
    assert {(one.reason, one.unit): one.count for one in done.blocking} == {
        ("birth_date_unreadable", "rows"): 1,
        ("date_in_future", "rows"): 1,
        ("merge_cycle", "rows"): 1,
        ("same_patient_twice", "rows"): 2,
        ("not_in_patient_list", "studies"): 2,
        ("merge_contradicts", "studies"): 1,
        ("patient_id_ambiguous", "studies"): 1,
        ("birth_date_unknown", "studies"): 4,
    }
    assert [clinic.study(number).doubts for number in range(1, 7)] == [
        frozenset(),
        {"not_in_patient_list"},
        frozenset(),
        {"merge_contradicts"},
        {"patient_id_ambiguous"},
        {"not_in_patient_list"},
    ]
    assert standing(clinic.site).blocked == {
        "not_in_patient_list": 1,
        "merge_contradicts": 1,
        "patient_id_ambiguous": 1,
    }


def test_a_later_list_replaces_the_earlier_one_whole(clinic: Clinic) -> None:
    clinic.has([image(1, 1), image(2, 1)])
    import_patients(
        clinic.site,
        clinic.list_of(clinic.line("P1", treated="2020-01-01"), clinic.line("P2")),
    )
    import_patients(
        clinic.site,
        clinic.list_of(clinic.line("P1", treated="2021-01-01"), clinic.line("P3")),
    )
    assert clinic.study(1).last_treatment == dt.date(2021, 1, 1)
    assert clinic.study(2).doubts == {"not_in_patient_list"}
    with clinic.site.catalog.reading() as session:
        lists = session.execute(sa.select(PatientList.state)).scalars().all()
        names = session.execute(sa.select(ListedPatient.patient_key)).scalars().all()
    assert sorted(lists) == ["in_force", "replaced"]
    assert len(names) == 2


@pytest.mark.parametrize(
    ("exported", "told"),
    [
        ("2026-01-15", "was exported 46 days ago, limit 30"),
        ("2026-03-03", "exported in the future"),
        ("2026-03-02T12:06:00Z", "exported in the future"),
        ("", "does not say when it was exported"),
    ],
)
def test_a_list_of_the_wrong_age_is_refused_whole(
    small_clinic: Clinic, exported: str, told: str
) -> None:
    with pytest.raises(RefusedError, match=told):
        import_patients(small_clinic.site, small_clinic.list_of("P1;;;;;;;;", exported=exported))
    assert in_force(small_clinic) is None
    found = standing(small_clinic.site)
    assert found.row is None
    assert found.refused is not None
    assert told in (found.refused.refusal or "")
    assert entries(small_clinic, "patients.imported") == []


def test_the_oldest_time_of_export_in_a_list_is_its_own(small_clinic: Clinic) -> None:
    header = "patient_id,birth_date,last_treatment_date,exported_at"
    file = small_clinic.list_of("P1,,,2026-03-01", "P2,,,2026-02-20", header=header, exported="")
    file.write_text(file.read_text().replace(";", ""))
    done = import_patients(small_clinic.site, file)
    assert done.row.exported_at == dt.datetime(2026, 2, 20, 6, tzinfo=dt.UTC)


def test_a_list_in_force_becomes_stale(clinic: Clinic) -> None:
    import_patients(clinic.site, clinic.list_of("P1;;;;;;;;"))
    clinic.clock.at = dt.datetime(2026, 3, 31, 5, tzinfo=dt.UTC)
    assert doubts(clinic) == frozenset()
    clinic.clock.at = dt.datetime(2026, 3, 31, 7, tzinfo=dt.UTC)
    assert doubts(clinic) == {"patient_list_stale"}
    clinic.clock.at = dt.datetime(2026, 2, 28, tzinfo=dt.UTC)  # the clock was set back
    assert doubts(clinic) == {"patient_list_stale"}


def test_a_list_older_than_the_one_in_force_is_refused(small_clinic: Clinic) -> None:
    first = import_patients(small_clinic.site, small_clinic.list_of("P1;;;;;;;;"))
    older = small_clinic.list_of("P1;;;;;;;;", exported="2026-02-28")
    with pytest.raises(RefusedError, match="before the list in force"):
        import_patients(small_clinic.site, older)
    assert in_force(small_clinic) == first.row.id


def test_a_shrunken_list_is_refused_until_compliance_accepts_it(clinic: Clinic) -> None:
    first = import_patients(clinic.site, clinic.list_of(*many(clinic, 100)))
    import_patients(clinic.site, clinic.list_of(*many(clinic, 95)))
    shorter = clinic.list_of(*many(clinic, 90))
    with pytest.raises(RefusedError, match="90 good rows where the list in force has 95"):
        import_patients(clinic.site, shorter)
    assert in_force(clinic) not in (None, first.row.id)
    clinic.site.actor = "it"
    with pytest.raises(RefusedError, match="compliance"):
        import_patients(clinic.site, shorter, accept_shrink=True)
    clinic.site.actor = "privacy"
    assert import_patients(clinic.site, shorter, accept_shrink=True).row.accepted == 90


def test_rows_that_were_rejected_make_a_list_shorter(small_clinic: Clinic) -> None:
    import_patients(small_clinic.site, small_clinic.list_of(*many(small_clinic, 20)))
    bad = [*many(small_clinic, 18), "P19;;?;;;;;;", "P20;;?;;;;;;"]
    with pytest.raises(RefusedError, match="birth_date_unreadable 2; lines 20, 21"):
        import_patients(small_clinic.site, small_clinic.list_of(*bad))


@pytest.mark.parametrize("lines", [(), ("TEST;;;;;;;;",), ("P1;;?;;;;;;", "P2;;?;;;;;;")])
def test_a_list_without_a_good_row_is_refused(small_clinic: Clinic, lines: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError, match="rows can be taken"):
        import_patients(small_clinic.site, small_clinic.list_of(*lines))


def test_a_changed_birth_date_blocks_until_a_later_list_says_it_again(clinic: Clinic) -> None:
    clinic.has([image(1, 1), image(2, 1)])
    other = [clinic.line(f"Q{number}") for number in range(40)]
    import_patients(clinic.site, clinic.list_of(clinic.line("P1", born="1980-01-02"), *other))
    changed = [clinic.line("P1", born="1990-01-02", treated="2020-01-01"), *other]
    for exported in ("2026-03-01", "2026-03-02"):
        for _ in range(2):  # the same list again is no second opinion
            done = import_patients(clinic.site, clinic.list_of(*changed, exported=exported))
            if exported == "2026-03-01":
                assert done.rejected_rows == ((2, ("birth_date_changed",)),)
                found = clinic.study(1)
                assert "birth_date_contradicts" in found.doubts
                assert found.last_treatment is None
    assert clinic.study(1).doubts == frozenset()
    assert clinic.study(1).born == dt.date(1990, 12, 31)


def test_a_birth_date_is_recognised_over_a_list_that_could_not_be_read(
    small_clinic: Clinic,
) -> None:
    other = [small_clinic.line(f"Q{number}") for number in range(40)]
    for number, born in enumerate(("1980-01-02", "?", "1990-01-02")):
        done = import_patients(
            small_clinic.site,
            small_clinic.list_of(
                small_clinic.line("P1", born=born), *other, exported=f"2026-02-{number + 10}"
            ),
        )
    assert done.rejected_rows == ((2, ("birth_date_changed",)),)


@pytest.mark.parametrize(("actor", "may"), [("it", True), ("porter", False), ("system", False)])
def test_operators_and_compliance_import_and_nobody_else(
    small_clinic: Clinic, actor: str, may: bool
) -> None:
    small_clinic.site.actor = actor
    file = small_clinic.list_of("P1;;;;;;;;")
    if may:
        assert import_patients(small_clinic.site, file).row.imported_by == actor
        return
    with pytest.raises(RefusedError):
        import_patients(small_clinic.site, file)
    assert in_force(small_clinic) is None


def test_holds_of_the_list_come_into_force_with_it_and_stay(clinic: Clinic) -> None:
    clinic.has([image(1, 1), image(2, 1), image(3, 1)])
    clinic.site.actor = "it"
    rejected = clinic.line("P2", held="1", born="?")
    lines = [clinic.line("P1", held="1", reason="suit of the Does"), rejected, *["P3;;;;;;;;"] * 40]
    done = import_patients(clinic.site, clinic.list_of(*lines))
    assert len(done.holds) == 2
    again = import_patients(clinic.site, clinic.list_of(*lines))
    assert again.holds == done.holds
    import_patients(clinic.site, clinic.list_of("P1;;;;;;;;", "P2;;;;;;;;", *lines[2:]))
    with clinic.site.catalog.reading() as session:
        rows = holds.listing(session)
        studies = [clinic.study(number).study for number in (1, 2, 3)]
        held = guard.held_studies(clinic.site, session, "xrays", studies)
    assert [(row.kind, row.source, row.placed_by) for row in rows] == [
        ("patient", "patient_list", "it")
    ] * 2
    assert set(held) == set(studies[:2])
    assert len(entries(clinic, "hold.placed")) == 2


def test_a_hold_covers_no_less_when_a_list_forgets_a_merge(clinic: Clinic) -> None:
    clinic.has([image(1, 1), image(2, 1)])
    merged = [clinic.line("P1", into="P2"), clinic.line("P2", held="1")]
    import_patients(clinic.site, clinic.list_of(*merged))
    import_patients(clinic.site, clinic.list_of("P1;;;;;;;;", "P2;;;;;;;;"))
    with clinic.site.catalog.reading() as session:
        studies = [clinic.study(number).study for number in (1, 2)]
        assert set(guard.held_studies(clinic.site, session, "xrays", studies)) == set(studies)


def test_a_refused_list_places_no_hold(small_clinic: Clinic) -> None:
    line = small_clinic.line("P1", held="1")
    with pytest.raises(RefusedError):
        import_patients(small_clinic.site, small_clinic.list_of(line, exported="2020-01-01"))
    with small_clinic.site.catalog.reading() as session:
        assert holds.listing(session) == []


def test_an_unrecorded_import_is_recorded_by_a_later_run(
    small_clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.actions.ledger.events import record_happenings

    site = small_clinic.site
    tiles = site.state_dir / "ledger"
    tiles.rename(site.state_dir / "away")
    done = import_patients(site, small_clinic.list_of("P1;;;;;;;;"))
    assert done.outcome == "partial"
    assert done.problems
    (site.state_dir / "away").rename(tiles)
    site.__dict__.pop("ledger", None)
    record_happenings(site)
    record_happenings(site)
    assert len(entries(small_clinic, "patients.imported")) == 1


def test_two_imports_at_once_leave_one_whole_list_in_force(clinic: Clinic) -> None:
    files = []
    for name in ("A", "B"):
        file = clinic.list_of(*(f"{name}{number};;;;;;;;" for number in range(300)))
        files.append(file.rename(file.with_name(f"{name}.csv")))
    errors: list[BaseException] = []

    def take(file: Path) -> None:
        try:
            import_patients(clinic.site, file)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=take, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with clinic.site.catalog.reading() as session:
        row = patients.in_force(session)
        keys = session.execute(sa.select(ListedPatient.list_id)).scalars().all()
    assert row is not None
    assert keys == [row.id] * 300


def test_nobody_of_the_list_can_be_read_in_the_catalogs_file(small_clinic: Clinic) -> None:
    small_clinic.has([image(1, 1, patient_id="SECRET-ID-7", patient_birth_date="19630517")])
    line = small_clinic.line(
        "SECRET-ID-7", issuer="SECRET-ISSUER", born="1963-05-17", treated="2019-08-23",
        died="2021-09-24", held="1", reason="SECRET-REASON", into="SECRET-ID-8",
    )  # fmt: skip
    other = small_clinic.line("SECRET-ID-8", issuer="SECRET-ISSUER", born="1963-05-17")
    done = import_patients(small_clinic.site, small_clinic.list_of(line, other))
    refused = small_clinic.list_of(line, exported="2020-01-01")
    with pytest.raises(RefusedError) as error:
        import_patients(small_clinic.site, refused)
    secrets = ("SECRET", "1963", "2019-08-23", "20190823", "2021-09-24")
    for file in (small_clinic.site.state_dir.parent).glob("catalog.sqlite3*"):
        data = file.read_bytes()
        assert not any(secret.encode() in data for secret in secrets)
    ledger = [file.read_bytes() for file in _files(small_clinic.site.state_dir)]
    assert not any(secret.encode() in data for data in ledger for secret in secrets)
    shown = f"{done} {error.value.message} {standing(small_clinic.site)}"
    assert not any(secret in shown for secret in secrets)


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def test_a_file_that_is_no_list_is_refused_before_anything_is_kept(
    small_clinic: Clinic, tmp_path: Path
) -> None:
    site = small_clinic.site
    with pytest.raises(UsageError, match="cannot be read"):
        import_patients(site, tmp_path / "nowhere.csv")
    with pytest.raises(UsageError):
        import_patients(site, tmp_path)
    with pytest.raises(UsageError, match="no regular file"):
        import_patients(site, Path("/dev/null"))
    endless = small_clinic.list_of("P1;;;;;;;;")
    with endless.open("ab") as stream:
        stream.truncate(1 << 30)  # a gigabyte of zeros in one line, none of it on the disk
    with pytest.raises(ConfigError, match="line 3: it is longer than 65,536 bytes"):
        import_patients(site, endless)
    assert in_force(small_clinic) is None
    assert standing(site).refused is None


def test_many_patients_are_taken_in_one_go(small_clinic: Clinic) -> None:
    lines = [f"{number};;1980-01-02;2020-05-06;;;;;" for number in range(1, 10_001)]
    done = import_patients(small_clinic.site, small_clinic.list_of(*lines))
    assert (done.row.accepted, done.outcome) == (10_000, "succeeded")
    with small_clinic.site.catalog.reading() as session:
        assert session.execute(sa.select(sa.func.count(ListedPatient.patient_key))).one() == (
            10_000,
        )
