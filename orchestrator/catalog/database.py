"""Opening the catalog and its transactions.

The catalog is SQLite in a file of the site, or PostgreSQL by URL. This module must not know what
is kept in it, nor where keys and passwords come from.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from orchestrator.catalog import schema
from orchestrator.catalog.encryption import FieldCipher, FieldKeys, Pseudonyms
from orchestrator.catalog.faults import REBUILD, is_busy, translated
from orchestrator.catalog.seal import is_sealed, seal
from orchestrator.clock import Clock, SystemClock
from orchestrator.errors import ConfigError, CredentialError, EngineError, NotFoundError

BUSY_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10

_SWITCH_AGAIN_S = (0.005, 0.05)
_READS = "catalog_reads"
_MAY_BE_LOST = "catalog_may_be_lost"


class Revealable(Protocol):
    """A secret that shows itself only when asked."""

    def reveal(self) -> str:
        """Return the secret."""
        ...


class Catalog:
    """An open catalog; get one by `open`.

    Safe to use from several threads, each in its own transaction.

    Attributes:
        where: The catalog in words, without any secret, for messages.
        keys: Cipher and pseudonyms of its fields.
    """

    def __init__(self, engine: sa.Engine, where: str, keys: FieldKeys) -> None:
        self.where = where
        self.keys = keys
        self._writer = engine
        self._reader = engine.execution_options(**_reading_options(engine))
        self._careless_writer = engine.execution_options(**{_MAY_BE_LOST: True})

    @classmethod
    def open(
        cls,
        url: str,
        password: Revealable | None,
        cipher: FieldCipher,
        pseudonyms: Pseudonyms,
        *,
        create: bool = False,
        clock: Clock | None = None,
    ) -> Catalog:
        """Open the catalog and bring its schema up to date.

        Args:
            url: ``sqlite:////absolute/path`` or ``postgresql://user@host/database``; never with
                a password in it.
            password: The database's password; None if it needs none.
            cipher: Encrypts the fields.
            pseudonyms: Names studies, patients and paths.
            create: Make the catalog if it is not there. A SQLite file gets mode 0600.
            clock: Dates the seal of a new catalog.

        Raises:
            ConfigError: The URL makes no sense, or a newer program has made the schema.
            NotFoundError: The catalog does not exist and may not be created.
            DamageError: The file is damaged or is no catalog.
            UnreachableError: The database server does not answer.
            CredentialError: Wrong password, access refused, or keys of another catalog.
            LockedError: Another process holds the catalog.
            EngineError: Any other failure of the database.
        """
        parsed = _parse(url)
        if parsed.drivername == "sqlite":
            engine, where = _sqlite(parsed, create=create)
        else:
            engine, where = _postgresql(parsed, password)
        catalog = cls(engine, where, FieldKeys(cipher, pseudonyms))
        try:
            with translated(where):
                schema.ensure(catalog._reader, engine, where=where, create=create)
            catalog._check_seal(clock or SystemClock())
        except BaseException:
            engine.dispose()
            raise
        return catalog

    @contextmanager
    def transaction(self, *, may_be_lost: bool = False) -> Iterator[Session]:
        """Open a session that may write; commits at the end, rolls back on any exception.

        On SQLite it is the only writer from its beginning on (BEGIN IMMEDIATE); readers
        are not held up. Keep it short.

        Args:
            may_be_lost: A power cut, though never a killed process, may take this back as long
                as no other transaction has followed: SQLite then does not wait for the disk.

        Raises:
            LockedError: Another process writes for longer than we wait.
            DamageError, CredentialError, UnreachableError, EngineError: See `faults`.
        """
        with (
            translated(self.where),
            _session(self._careless_writer if may_be_lost else self._writer) as session,
            session.begin(),
        ):
            session.connection()  # begins now, so that a lock or a lost server shows here
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads, all of it as of one instant; writers go on.

        Raises:
            DamageError, CredentialError, UnreachableError, EngineError: See `faults`.
        """
        with (
            translated(self.where),
            _session(self._reader) as session,
            session.begin(),
        ):
            yield session

    def find_damage(self) -> list[str]:
        """Return what the database finds wrong with its own file, at most ten lines.

        Reads the whole SQLite file; on PostgreSQL that is the server's business and the list is
        empty.

        Raises:
            DamageError, CredentialError, UnreachableError, EngineError: See `faults`.
        """
        if self._writer.dialect.name != "sqlite":
            return []
        with self.reading() as session:
            rows = session.connection().exec_driver_sql("PRAGMA quick_check(10)").scalars().all()
        return [] if rows == ["ok"] else [str(row) for row in rows]

    def _check_seal(self, clock: Clock) -> None:
        """Check that the keys are this catalog's; a new catalog is sealed with them."""
        with self.reading() as session:
            sealed = is_sealed(session, self.where, self.keys)
        if not sealed:
            with self.transaction() as session:
                if not is_sealed(session, self.where, self.keys):
                    seal(session, self.keys, clock.now())
                is_sealed(session, self.where, self.keys)

    def dispose(self) -> None:
        """Close every connection."""
        self._writer.dispose()


def _session(engine: sa.Engine) -> Session:
    """Give a session whose rows stay readable after its end, and whose reads are always fresh.

    Most writes go round the session's memory of rows, so what it reads must replace that memory.
    """
    session = Session(engine, expire_on_commit=False)
    sa.event.listen(session, "do_orm_execute", _read_afresh)
    return session


def _read_afresh(state: ORMExecuteState) -> None:
    if state.is_select:
        state.update_execution_options(populate_existing=True)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigError(["site.toml: catalog: not a database URL"]) from error
    if parsed.password is not None or "password" in parsed.query:
        raise ConfigError(
            ["site.toml: catalog: the URL holds a password"],
            hint='write password = { env = "NAME" } beside url',
        )
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite")
    if backend == "postgresql" and parsed.database:
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigError(
        ["site.toml: catalog: must be sqlite or postgresql://user@host/database"],
    )


def _sqlite(url: URL, *, create: bool) -> tuple[sa.Engine, str]:
    path = Path(str(url.database))
    where = f"the catalog {path}"
    if create:
        _create_file(path, where)
    elif not path.exists():
        raise NotFoundError(f"{where} is not there", hint=REBUILD)
    if not os.access(path, os.R_OK | os.W_OK):
        raise CredentialError(f"{where} may not be read and written by this user")
    engine = sa.create_engine(
        url, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True, pool_timeout=60
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine, where


def _create_file(path: Path, where: str) -> None:
    """Create the file ourselves: SQLite would give it the mode of the umask."""
    with suppress(FileExistsError):
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(f"the folder of {where} is not there") from error
        except PermissionError as error:
            raise CredentialError(f"{where} may not be created by this user") from error
        except FileExistsError:
            raise
        except OSError as error:
            raise EngineError(f"{where} cannot be created: {error.strerror}") from error


def _prepare_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would be a deferred one
    _keep_a_write_ahead_log(connection)
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",
        "secure_delete=ON",  # what was forgotten of a disposed study is overwritten
        "cache_size=-16384",
        "journal_size_limit=67108864",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _keep_a_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log, waiting for starters that do the same.

    The busy timeout is of no use here: SQLite refuses at once while another connection writes
    into a new file, and two that both read it would wait for each other until the timeout ends.

    Source: SQLite, "PRAGMA journal_mode": the switch needs the file alone.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    connection.execute("PRAGMA busy_timeout=0").close()
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(random.uniform(*_SWITCH_AGAIN_S))  # noqa: S311 - only parts two starters
        else:
            break
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A deferred transaction that reads and then writes fails at once when another one has
    # written in between, whatever the busy timeout says; an immediate one waits.
    options = connection.get_execution_options()
    reads = options.get(_READS, False)
    wait = "NORMAL" if options.get(_MAY_BE_LOST, False) else "FULL"
    connection.exec_driver_sql(f"PRAGMA synchronous={wait}")
    connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reads else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _postgresql(url: URL, password: Revealable | None) -> tuple[sa.Engine, str]:
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "application_name": "orchestrator",
        "options": f"-c lock_timeout={BUSY_TIMEOUT_S}s",
    }
    if password is not None:
        arguments["password"] = password.reveal()
    engine = sa.create_engine(
        url, connect_args=arguments, hide_parameters=True, pool_pre_ping=True, pool_timeout=60
    )
    return engine, f"the catalog database {url.database} on {url.host or 'the local server'}"


def _reading_options(engine: sa.Engine) -> dict[str, Any]:
    if engine.dialect.name == "sqlite":
        return {_READS: True}
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
