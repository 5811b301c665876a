"""Files and studies: bulk changes, look-ups, and what the database may not show."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.catalog import copies, files, repositories, studies
from orchestrator.catalog.database import Catalog
from orchestrator.catalog.tables import File, StoreState
from orchestrator.errors import DamageError
from orchestrator.manifest import ManifestEntry
from tests.integration.catalog.conftest import Opener
from tests.support.catalog_rows import (
    NOW,
    REPOSITORY,
    entry,
    image,
    repository_row,
    sample_entries,
    study_date,
)
from tests.support.postgres import CatalogUrl


def apply(
    catalog: Catalog,
    changed: list[ManifestEntry] | Iterator[ManifestEntry],
    gone: list[bytes] | Iterator[bytes] = (),  # type: ignore[assignment]
    *,
    run: str = "r1",
    store: str = "xrays",
) -> files.Applied:
    with catalog.transaction() as session:
        return files.apply_changes(
            session,
            store,
            run_id=run,
            changed=changed,
            gone=gone,
            keys=catalog.keys,
            study_date=study_date,
        )


def row(catalog: Catalog, path: bytes, store: str = "xrays") -> File:
    with catalog.reading() as session:
        key = catalog.keys.pseudonyms.path(store, path)
        query = sa.select(File).where(File.store == store, File.path_key == key)
        found: File = session.execute(query).scalar_one()
        return found


def test_a_file_is_kept_with_all_it_says(catalog: Catalog) -> None:
    names = catalog.keys.pseudonyms
    apply(catalog, [image(7, 3, issuer_of_patient_id="ELM", study_date="20251231")], run="r9")
    found = row(catalog, b"p/7/3.dcm")
    assert (found.kind, found.state, found.size_bytes) == ("file", "good", 1003)
    assert found.mtime_ns == 1_700_000_000_111_222_333
    assert found.study_key == names.study("1.2.3.7")
    assert found.series_key == names.series("1.2.3.7.1")
    assert found.instance_key == names.instance("1.2.3.7.1.3")
    assert found.patient_key == names.patient("elm", "P7")
    assert (found.study_date, found.study_date_source) == (dt.date(2025, 12, 31), "study_date")
    assert (found.modality, found.sop_class_uid) == ("CT", "1.2.840.10008.5.1.4.1.1.2")
    assert (found.first_run, found.since_run, found.gone_run) == ("r9", "r9", None)
    with catalog.reading() as session:
        identity = files.identity_of_study(
            session, "xrays", study_key=names.study("1.2.3.7"), keys=catalog.keys
        )
    assert identity == image(7, 3, issuer_of_patient_id="ELM", study_date="20251231").dicom


def test_a_file_without_header_belongs_to_no_study(catalog: Catalog) -> None:
    vanished = replace(entry(b"b", state="vanished"), stat=None, note="vanished")
    apply(catalog, [entry(b"a", since="r0"), vanished])
    found = row(catalog, b"a")
    assert found.study_key is None
    assert found.patient_key is None
    assert found.identity_enc is None
    assert found.since_run == "r0"
    found = row(catalog, b"b")
    assert (found.state, found.size_bytes, found.note) == ("vanished", 0, "vanished")
    with catalog.reading() as session:
        assert studies.studies(session) == []


def test_only_what_has_its_form_stands_in_clear(catalog: Catalog) -> None:
    """A broken file may hold anything anywhere, also a name, NUL or half a character."""
    odd = {"modality": "Doe^John", "sop_class_uid": "1.2\0", "patient_id": "\ud800\0"}
    apply(catalog, [image(1, 1, **odd)])
    found = row(catalog, b"p/1/1.dcm")
    assert (found.modality, found.sop_class_uid) == (None, None)
    with catalog.reading() as session:
        identity = files.identity_of_study(
            session, "xrays", study_key=str(found.study_key), keys=catalog.keys
        )
    assert identity == image(1, 1, **odd).dicom


def test_an_empty_patient_id_makes_nobody_one_person(catalog: Catalog) -> None:
    apply(catalog, [image(1, 1, patient_id=""), image(2, 1, patient_id=" ")])
    assert row(catalog, b"p/1/1.dcm").patient_key is None
    assert row(catalog, b"p/2/1.dcm").patient_key is None


def test_a_file_that_comes_back_is_no_longer_gone(catalog: Catalog) -> None:
    apply(catalog, [image(1, 1)], run="r1")
    apply(catalog, [], [b"p/1/1.dcm", b"unknown"], run="r2")
    assert row(catalog, b"p/1/1.dcm").gone_run == "r2"
    apply(catalog, [], [b"p/1/1.dcm"], run="r3")
    assert row(catalog, b"p/1/1.dcm").gone_run == "r2"  # it went once
    apply(catalog, [image(1, 1)], run="r4")
    found = row(catalog, b"p/1/1.dcm")
    assert (found.gone_run, found.first_run, found.since_run) == (None, "r1", "r4")


def test_the_same_path_in_two_stores_is_two_files(catalog: Catalog) -> None:
    apply(catalog, [entry(b"a", size=1)], store="one")
    apply(catalog, [entry(b"a", size=2)], store="two")
    apply(catalog, [], [b"a"], store="one")
    assert row(catalog, b"a", "one").gone_run == "r1"
    assert row(catalog, b"a", "two").gone_run is None


PATHS = st.sampled_from([b"a", b"b/\xff", b"c/d", b"e\n", b"\xc3\xa4"])
STEPS = st.lists(
    st.tuples(
        st.dictionaries(PATHS, st.tuples(st.integers(0, 2**62), st.integers(0, 3))),
        st.lists(PATHS, max_size=3),
    ),
    max_size=6,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(STEPS)
def test_changes_act_like_a_dictionary(catalog: Catalog, steps: list[tuple[dict, list]]) -> None:
    """Whatever the order of changes: last entry wins, first run stays, gone files are kept."""
    with catalog.transaction() as session:
        session.connection().execute(sa.delete(File))
    model: dict[bytes, tuple[int, str, str, str | None]] = {}
    for number, (changed, gone) in enumerate(steps):
        run = f"run-{number}"
        entries = [
            entry(path, size=size, dicom={"study_instance_uid": f"1.{study}"} if study else None)
            for path, (size, study) in changed.items()
        ]
        apply(catalog, iter(entries), iter(gone), run=run)
        for path, (size, _) in changed.items():
            first = model[path][1] if path in model else run
            model[path] = (size, first, run, None)
        for path in gone:
            if path in model and model[path][3] is None:
                model[path] = (*model[path][:3], run)
    with catalog.reading() as session:
        got = {}
        for found in session.execute(sa.select(File)).scalars():
            context = f"file.path|xrays|{found.path_key}"
            path = catalog.keys.cipher.decrypt(found.path_enc, context)
            got[path] = (found.size_bytes, found.first_run, found.since_run, found.gone_run)
        assert got == model
        present = sum(1 for value in model.values() if value[3] is None)
        assert files.count(session, "xrays") == present


def test_a_path_given_twice_ends_as_its_last_entry(catalog: Catalog) -> None:
    apply(catalog, [entry(b"a", size=1), entry(b"a", size=2)])
    assert row(catalog, b"a").size_bytes == 2
    apply(catalog, [entry(b"a", size=3)], [b"a"], run="r2")
    assert row(catalog, b"a").gone_run == "r2"


def test_files_of_a_study_come_back_in_clear(catalog: Catalog) -> None:
    odd = replace(image(5, 9), path=b"odd/\xff\xfe\n\xc3.dcm")
    apply(catalog, [image(5, 1), image(5, 2), odd, image(6, 1)])
    apply(catalog, [], [b"p/5/1.dcm"], run="r2")
    study = catalog.keys.pseudonyms.study("1.2.3.5")
    with catalog.reading() as session:
        every = list(files.entries_of_study(session, "xrays", study_key=study, keys=catalog.keys))
        present = list(
            files.entries_of_study(
                session, "xrays", study_key=study, keys=catalog.keys, present_only=True
            )
        )
    assert [item.path for item in every] == [b"p/5/1.dcm", b"p/5/2.dcm", odd.path]
    assert every[0] == (b"p/5/1.dcm", image(5, 1).sha256, 1001)
    assert present == every[1:]


def test_paths_are_found_by_content(catalog: Catalog) -> None:
    twin = replace(image(1, 1), path=b"twin.dcm")
    apply(catalog, [image(1, 1), twin, image(1, 2)])
    wanted = [str(image(1, 1).sha256), "f" * 64, *(f"{n:064x}" for n in range(1200))]
    with catalog.reading() as session:
        found = list(files.paths_for_hashes(session, iter(wanted), keys=catalog.keys))
    assert found == [
        (image(1, 1).sha256, "xrays", b"p/1/1.dcm"),
        (image(1, 1).sha256, "xrays", b"twin.dcm"),
    ]


def test_a_row_moved_onto_another_is_damage(catalog: Catalog) -> None:
    """Somebody who can write the database still cannot swap two patients' paths."""
    apply(catalog, [image(1, 1), image(2, 1)])
    stolen = row(catalog, b"p/2/1.dcm").path_enc
    key = catalog.keys.pseudonyms.path("xrays", b"p/1/1.dcm")
    with catalog.transaction() as session:
        session.connection().execute(
            sa.update(File).where(File.path_key == key).values(path_enc=stolen)
        )
    study = catalog.keys.pseudonyms.study("1.2.3.1")
    with catalog.reading() as session, pytest.raises(DamageError):
        list(files.entries_of_study(session, "xrays", study_key=study, keys=catalog.keys))


def test_studies_are_summed_up_from_their_files(catalog: Catalog) -> None:
    names = catalog.keys.pseudonyms
    apply(catalog, [image(1, 1), image(1, 2, modality="SR"), image(2, 5)], run="r1")
    apply(catalog, [image(1, 3)], [b"p/1/2.dcm"], run="r2")
    apply(catalog, [image(1, 1)], store="other", run="r3")
    with catalog.reading() as session:
        rows = studies.studies(session, "xrays")
        everything = studies.studies(session)
        first = studies.studies(session, "xrays", limit=1)
        one = studies.studies(session, "xrays", study=names.study("1.2.3.1"))
    assert [row.study for row in rows] == sorted([names.study("1.2.3.1"), names.study("1.2.3.2")])
    assert one == [
        studies.StudyRow(
            store="xrays",
            study=names.study("1.2.3.1"),
            patient=names.patient("", "P1"),
            files=2,
            size_bytes=1001 + 1003,
            gone=1,
            modalities=("CT", "SR"),
            newest_study_date=dt.date(2026, 1, 4),
            first_run="r1",
        )
    ]
    assert first == rows[:1]
    assert [row.store for row in everything] == ["other", "xrays", "xrays"]


def test_a_study_whose_files_name_two_patients_names_none(catalog: Catalog) -> None:
    apply(catalog, [image(1, 1), image(1, 2, patient_id="other")])
    with catalog.reading() as session:
        assert studies.studies(session)[0].patient is None


def identifiers(entries: list[ManifestEntry]) -> set[bytes]:
    """Every identity in the headers, and its parts, that is long enough not to occur by chance."""
    wanted: set[str] = set()
    for item in entries:
        wanted.add(item.path.decode())
        wanted.update(part for part in item.path.decode().split("/") if len(part) >= 6)
        header = item.dicom or {}
        for name in (
            "study_instance_uid",
            "series_instance_uid",
            "sop_instance_uid",
            "patient_id",
            "patient_name",
            "patient_birth_date",
            "accession_number",
            "institution_name",
        ):
            text = header.get(name, "")
            wanted.add(text)
            wanted.update(re.split(r"[\^=\s]+", text))
            wanted.add(text.lower())
    return {text.encode() for text in wanted if len(text) >= 6 and text != "patients"}


def test_the_database_file_names_nobody(
    sqlite_url: CatalogUrl, opener: Opener, tmp_path: Path
) -> None:
    """No path, UID, id, name or birth date of the real sample images, in no file of SQLite's."""
    catalog = opener(sqlite_url, create=True)
    entries = sample_entries()
    assert len(entries) > 150
    wanted = identifiers(entries)
    assert len(wanted) > 300
    apply(catalog, entries)
    apply(catalog, entries, [item.path for item in entries[::3]], run="r2")
    raw = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    catalog.dispose()
    raw += (tmp_path / "catalog.sqlite3").read_bytes()
    assert len(raw) > 100_000
    found = {text for text in wanted if text in raw}
    assert found == set()
    # the search would find them, were they there
    assert entries[0].dicom is not None
    assert str(entries[0].dicom["modality"]).encode() in raw
    assert b"".join(sorted(wanted)).count(b"1.2.") > 10


def test_the_server_holds_no_identity_either(postgres_url: CatalogUrl, opener: Opener) -> None:
    catalog = opener(postgres_url, create=True)
    entries = sample_entries()
    apply(catalog, entries)
    with catalog.reading() as session:
        text = "\n".join(
            session.connection()
            .exec_driver_sql("SELECT row_to_json(f)::text FROM file f")
            .scalars()
        ).encode()
    assert text.count(b"\n") == len(entries) - 1
    assert {word for word in identifiers(entries) if word in text} == set()


def test_real_headers_come_back_whole(catalog: Catalog) -> None:
    entries = sample_entries()
    apply(catalog, entries)
    headers = [item.dicom for item in entries if item.dicom]
    uids = {header["study_instance_uid"] for header in headers if "study_instance_uid" in header}
    with catalog.reading() as session:
        rows = studies.studies(session)
        assert len(rows) == len(uids)
        for uid in uids:
            study = catalog.keys.pseudonyms.study(uid)
            paths = {
                item.path
                for item in files.entries_of_study(
                    session, "xrays", study_key=study, keys=catalog.keys
                )
            }
            assert paths == {
                item.path
                for item in entries
                if item.dicom and item.dicom.get("study_instance_uid") == uid
            }


def test_memory_does_not_grow_with_the_number_of_files(
    sqlite_url: CatalogUrl, opener: Opener
) -> None:
    """A process that writes 30,000 files needs little more than one that writes 3,000."""
    opener(sqlite_url, create=True).dispose()
    script = (
        "import resource, sys\n"
        "from tests.integration.catalog.conftest import open_at\n"
        "from tests.support.catalog_rows import image, study_date\n"
        "from tests.support.postgres import CatalogUrl\n"
        "from orchestrator.catalog import files\n"
        "c = open_at(CatalogUrl(sys.argv[1], None))\n"
        "n = int(sys.argv[2])\n"
        "with c.transaction() as s:\n"
        "    files.apply_changes(s, 'xrays', run_id='r', changed=(image(i // 100, i) for i in"
        " range(n)), gone=(b'%d' % i for i in range(n)), keys=c.keys, study_date=study_date)\n"
        "c.dispose()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )

    def peak_mib(number: int) -> int:
        done = subprocess.run(
            [sys.executable, "-c", script, sqlite_url.url, str(number)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
        )
        return int(done.stdout)

    assert peak_mib(30_000) - peak_mib(3_000) < 25  # SQLite's own page cache is 16


def test_state_look_ups_do_not_count_files(catalog: Catalog) -> None:
    """`status` asks these; their cost must not depend on how many files there are."""
    key = ("disk", "", REPOSITORY)
    with catalog.transaction() as session:
        repositories.add(session, repository_row())
        repositories.put_store_state(
            session, StoreState(store="xrays", file_count=20_000, size_bytes=1, manifest_run="r1")
        )
        copies.update_state(session, key, state="proven", observed_at=NOW)
    apply(catalog, (image(n // 100, n) for n in range(20_000)))
    with catalog.reading() as session:
        asked: list[str] = []
        connection = session.connection()
        sa.event.listen(
            connection, "before_cursor_execute", lambda *given: asked.append(str(given[2]))
        )
        assert repositories.store_state(session, "xrays") is not None
        assert len(copies.states(session, store="xrays")) == 1
        assert copies.get_state(session, key) is not None
        assert asked
        assert not [query for query in asked if re.search(r"(FROM|JOIN) file\b", query)]
        if session.get_bind().dialect.name == "sqlite":
            queries = (
                "SELECT * FROM store_state WHERE store = 'xrays'",
                "SELECT * FROM file WHERE store = 'xrays' AND study_key = 'x'",
                "SELECT * FROM file WHERE sha256 = 'x'",
            )
            for query in queries:
                plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
                assert all("SEARCH" in str(step) for step in plan), plan
