"""Opening a catalog: migration, keys, and every way it can fail."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from sqlmodel import select

from deploy.lab.postgres_server import PostgresServer
from orchestrator.catalog import database, facts, schema
from orchestrator.catalog.database import Catalog
from orchestrator.catalog.tables import SiteFact
from orchestrator.errors import (
    ConfigError,
    CredentialError,
    DamageError,
    EngineError,
    LockedError,
    NotFoundError,
    OrchestratorError,
    StoppedError,
    UnreachableError,
)
from tests.integration.catalog.conftest import Opener, open_at
from tests.support.catalog_rows import NOW
from tests.support.postgres import CatalogUrl


def test_migrations_give_the_models(catalog: Catalog) -> None:
    """`alembic check` finds nothing that a revision forgot."""
    with catalog._writer.connect() as connection:
        command.check(schema.configuration(connection))


def test_the_program_knows_its_newest_revision(catalog: Catalog) -> None:
    with catalog._writer.connect() as connection:
        scripts = ScriptDirectory.from_config(schema.configuration(connection))
        assert scripts.get_current_head() == schema.HEAD
        assert schema.revision_of(connection) == schema.HEAD


def test_what_was_written_is_there_when_it_is_opened_again(
    catalog_url: CatalogUrl, opener: Opener
) -> None:
    first = opener(catalog_url, create=True)
    with first.transaction() as session:
        facts.put(session, "a", value="b", now=NOW)
    first.dispose()
    with opener(catalog_url).reading() as session:
        fact = facts.get(session, "a")
        assert fact is not None
        assert (fact.value, fact.at) == ("b", NOW)


def test_creating_twice_keeps_what_is_there(catalog_url: CatalogUrl, opener: Opener) -> None:
    with opener(catalog_url, create=True).transaction() as session:
        facts.put(session, "a", value="b", now=NOW)
    with opener(catalog_url, create=True).reading() as session:
        assert facts.get(session, "a") is not None


def test_starters_that_race_make_one_catalog(catalog_url: CatalogUrl) -> None:
    barrier = threading.Barrier(4)
    problems: list[BaseException] = []

    def start() -> None:
        barrier.wait()
        try:
            open_at(catalog_url, create=True).dispose()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_starter_waits_for_one_that_writes_into_the_new_file(tmp_path: Path) -> None:
    """SQLite refuses the switch to a write-ahead log at once, whatever the busy timeout says."""
    path = tmp_path / "catalog.sqlite3"
    faster = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    faster.execute("BEGIN IMMEDIATE")
    ends = threading.Timer(0.5, faster.commit)
    ends.start()
    try:
        open_at(CatalogUrl(f"sqlite:///{path}", None), create=True).dispose()
    finally:
        ends.join()
        faster.close()


def test_a_starter_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    path = tmp_path / "catalog.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockedError, match="another process"):
            open_at(CatalogUrl(f"sqlite:///{path}", None), create=True)


class _Stops(sa.types.TypeDecorator[str]):
    """A column at which the word to stop comes, as a signal may while a statement is prepared."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        raise StoppedError("stopped")


def test_the_word_to_stop_is_no_fault_of_the_database(catalog: Catalog) -> None:
    query = sa.select(sa.bindparam("a", "b", type_=_Stops()))
    with pytest.raises(StoppedError), catalog.transaction() as session:
        session.connection().execute(query)


def test_a_failed_migration_leaves_nothing(
    catalog_url: CatalogUrl, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schema comes whole or not at all."""

    def broken(config: object, revision: str) -> None:
        original(config, revision)  # type: ignore[arg-type]
        raise RuntimeError("power cut")

    original = command.upgrade
    monkeypatch.setattr(command, "upgrade", broken)
    with pytest.raises(RuntimeError):
        opener(catalog_url, create=True)
    monkeypatch.undo()
    with pytest.raises(NotFoundError, match="empty"):
        opener(catalog_url)
    opener(catalog_url, create=True)


def test_a_newer_schema_is_refused(catalog_url: CatalogUrl, opener: Opener) -> None:
    catalog = opener(catalog_url, create=True)
    with catalog.transaction() as session:
        session.connection().execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="9999") as caught:
        opener(catalog_url)
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_an_empty_database_is_not_taken_for_a_catalog(
    postgres_url: CatalogUrl, sqlite_url: CatalogUrl, opener: Opener, tmp_path: Path
) -> None:
    (tmp_path / "catalog.sqlite3").touch()
    for url in (postgres_url, sqlite_url):
        with pytest.raises(NotFoundError, match="empty") as caught:
            opener(url)
        assert caught.value.hint == "orchestrator catalog rebuild --copy COPY"


def test_another_programs_database_is_left_alone(catalog_url: CatalogUrl, opener: Opener) -> None:
    catalog = opener(catalog_url, create=True)
    with catalog.transaction() as session:
        session.connection().execute(sa.text("DROP TABLE alembic_version"))
    with pytest.raises(ConfigError, match="another program"):
        opener(catalog_url, create=True)


def test_other_keys_are_refused(catalog_url: CatalogUrl, opener: Opener) -> None:
    opener(catalog_url, create=True)
    with pytest.raises(CredentialError, match="another field key") as caught:
        opener(catalog_url, field=bytes(32))
    assert "key" in str(caught.value.hint)
    with pytest.raises(CredentialError, match="another pseudonym key"):
        opener(catalog_url, name=bytes(32))
    opener(catalog_url)


def test_a_missing_file_says_how_to_rebuild(sqlite_url: CatalogUrl, opener: Opener) -> None:
    with pytest.raises(NotFoundError, match=r"catalog\.sqlite3 is not there") as caught:
        opener(sqlite_url)
    assert caught.value.hint == "orchestrator catalog rebuild --copy COPY"
    assert caught.value.exit_code == 10


def test_a_missing_folder_is_named(tmp_path: Path, opener: Opener) -> None:
    with pytest.raises(NotFoundError, match="folder"):
        opener(CatalogUrl(f"sqlite:///{tmp_path}/no/catalog", None), create=True)


def test_the_file_is_for_its_owner_only(
    sqlite_url: CatalogUrl, opener: Opener, tmp_path: Path
) -> None:
    previous = os.umask(0)
    try:
        catalog = opener(sqlite_url, create=True)
        with catalog.transaction() as session:
            facts.put(session, "a", value="b", now=NOW)
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(previous)
    assert set(modes) == {"catalog.sqlite3", "catalog.sqlite3-wal", "catalog.sqlite3-shm"}
    assert set(modes.values()) == {0o600}


def test_sqlite_runs_with_the_durable_settings(sqlite_url: CatalogUrl, opener: Opener) -> None:
    with opener(sqlite_url, create=True).transaction() as session:
        wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}
        for name, value in wanted.items():
            got = session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
            assert got == value, name


def test_only_what_may_be_lost_does_not_wait_for_the_disk(
    sqlite_url: CatalogUrl, opener: Opener
) -> None:
    """SQLite: 2 is FULL, 1 is NORMAL; the same connection serves all of them in turn."""
    catalog = opener(sqlite_url, create=True)
    for may_be_lost, level in ((False, 2), (True, 1), (False, 2)):
        with catalog.transaction(may_be_lost=may_be_lost) as session:
            found = session.connection().exec_driver_sql("PRAGMA synchronous").scalar_one()
        assert found == level


def test_a_file_that_is_no_database_is_damage(
    sqlite_url: CatalogUrl, opener: Opener, tmp_path: Path
) -> None:
    (tmp_path / "catalog.sqlite3").write_bytes(b"not a database" * 1000)
    with pytest.raises(DamageError, match="damaged") as caught:
        opener(sqlite_url)
    assert caught.value.hint == "orchestrator catalog rebuild --copy COPY"


def test_overwritten_pages_are_damage(
    sqlite_url: CatalogUrl, opener: Opener, tmp_path: Path
) -> None:
    opener(sqlite_url, create=True).dispose()
    path = tmp_path / "catalog.sqlite3"
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(DamageError, match="damaged"):
        opener(sqlite_url)


def test_a_damaged_page_is_found_on_request(
    sqlite_url: CatalogUrl, opener: Opener, tmp_path: Path
) -> None:
    catalog = opener(sqlite_url, create=True)
    with catalog.transaction() as session:
        for n in range(2000):
            session.add(SiteFact(key=f"k{n}", value="v" * 50, at=NOW))
    assert catalog.find_damage() == []
    catalog.dispose()
    path = tmp_path / "catalog.sqlite3"
    with sqlite3.connect(path) as connection:
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'site_fact'"
        ).fetchone()[0]
    connection.close()
    content = bytearray(path.read_bytes())
    content[(root - 1) * 4096 + 12 : (root - 1) * 4096 + 40] = b"\xff" * 28
    path.write_bytes(content)
    with pytest.raises(DamageError):
        opener(sqlite_url).find_damage()


def test_a_held_database_is_locked(
    sqlite_url: CatalogUrl, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.catalog.database.BUSY_TIMEOUT_S", 0.1)
    first = opener(sqlite_url, create=True)
    second = opener(sqlite_url)
    with first.transaction():
        with second.reading() as session:
            assert facts.get(session, "a") is None  # readers are not held up
        with pytest.raises(LockedError, match="another process"), second.transaction():
            pass


def test_a_reader_cannot_write(catalog: Catalog) -> None:
    with pytest.raises(OrchestratorError), catalog.reading() as session:
        facts.put(session, "a", value="b", now=NOW)
    with catalog.transaction() as session:
        facts.put(session, "a", value="b", now=NOW)


def test_a_reader_sees_one_instant(catalog: Catalog) -> None:
    with catalog.reading() as reader:
        assert facts.get(reader, "a") is None
        with catalog.transaction() as writer:
            facts.put(writer, "a", value="b", now=NOW)
        assert reader.exec(select(SiteFact).where(SiteFact.key == "a")).first() is None


def test_rows_stay_readable_and_reads_are_fresh(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        facts.put(session, "a", value="1", now=NOW)
        first = facts.get(session, "a")
        facts.put(session, "a", value="2", now=NOW)
        assert first is not None
        assert first.value == "1"
        again = facts.get(session, "a")
        found = session.exec(select(SiteFact).where(SiteFact.key == "a")).one()
        assert again is not None
        assert (again.value, found.value) == ("2", "2")
    assert found.value == "2"


def test_an_exception_takes_everything_back(catalog: Catalog) -> None:
    def write_and_fail() -> None:
        with catalog.transaction() as session:
            facts.put(session, "a", value="b", now=NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    with catalog.reading() as session:
        assert facts.get(session, "a") is None


def test_an_error_never_repeats_values(catalog: Catalog) -> None:
    def write_twice() -> None:
        with catalog.transaction() as session:
            for _ in range(2):
                session.connection().execute(
                    sa.insert(SiteFact), [{"key": "a", "value": "Doe^John", "at": NOW}]
                )

    with pytest.raises(EngineError) as caught:
        write_twice()
    assert "Doe" not in caught.value.message
    assert "INSERT" not in caught.value.message


def test_a_full_disk_is_said_so(sqlite_url: CatalogUrl, opener: Opener) -> None:
    catalog = opener(sqlite_url, create=True)

    def overfill() -> None:
        with catalog.transaction() as session:
            pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
            session.connection().exec_driver_sql(f"PRAGMA max_page_count={pages}")
            facts.put(session, "a", value="v" * 100_000, now=NOW)

    with pytest.raises(EngineError, match="disk is full"):
        overfill()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "not a database URL"),
        ("catalog", "not a database URL"),
        ("sqlite://", "must be"),
        ("sqlite:///:memory:", "must be"),
        ("mysql://host/db", "must be"),
        ("postgresql://host", "must be"),
        ("postgresql://user:hush@host/db", "holds a password"),
        ("postgresql://host/db?password=hush", "holds a password"),
    ],
)
def test_a_senseless_url_is_a_configuration_error(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        open_at(CatalogUrl(url, None))
    assert "hush" not in caught.value.message


def test_a_wrong_password_is_a_credential_error(
    postgres_url: CatalogUrl, postgres_server: PostgresServer
) -> None:
    for password in ("wrong", None):
        with pytest.raises(CredentialError, match="user or password") as caught:
            open_at(CatalogUrl(postgres_url.url, password), create=True)
        assert "wrong user" in caught.value.message
        assert caught.value.exit_code == 12
    assert postgres_server.password not in str(caught.value)


def test_an_unknown_user_is_a_credential_error(
    postgres_url: CatalogUrl, postgres_server: PostgresServer
) -> None:
    url = postgres_url.url.replace("lab@", "nobody@")
    with pytest.raises(CredentialError):
        open_at(CatalogUrl(url, postgres_server.password))


def test_a_missing_database_is_not_found(postgres_server: PostgresServer) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        open_at(CatalogUrl(postgres_server.url("absent"), postgres_server.password), create=True)


def test_a_server_that_is_off_is_unreachable(tmp_path: Path) -> None:
    for url in (f"postgresql://lab@/db?host={tmp_path}", "postgresql://lab@127.0.0.1:1/db"):
        with pytest.raises(UnreachableError, match="cannot be reached"):
            open_at(CatalogUrl(url, "x"))


def test_a_server_that_goes_away_is_unreachable_and_its_return_is_noticed() -> None:
    with PostgresServer() as server:
        url = CatalogUrl(server.create_database("x"), server.password)
        catalog = open_at(url, create=True)

        def lose_the_server() -> None:
            with catalog.transaction() as session:
                facts.put(session, "a", value="b", now=NOW)
                server.stop()
                facts.put(session, "c", value="d", now=NOW)

        try:
            with pytest.raises(UnreachableError):
                lose_the_server()
            with pytest.raises(UnreachableError), catalog.transaction():
                pass
            server.start()
            with catalog.transaction() as session:
                assert facts.get(session, "a") is None
                facts.put(session, "a", value="b", now=NOW)
        finally:
            catalog.dispose()
