"""What the databases' own errors mean, in the product's errors.

Knows SQLite and PostgreSQL; never repeats a statement or its values, because those are nobody's
business in a log.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from orchestrator.errors import (
    CredentialError,
    DamageError,
    EngineError,
    LockedError,
    NotFoundError,
    OrchestratorError,
    UnreachableError,
)

if TYPE_CHECKING:
    import psycopg

REBUILD = "orchestrator catalog rebuild --copy COPY"

_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SQLITE_REFUSED = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_CANTOPEN,
}
_POSTGRES_BUSY = {"55P03", "40P01", "40001"}
_POSTGRES_DAMAGED = {"XX001", "XX002"}
_POSTGRES_REFUSED = {"28000", "28P01", "42501"}
_POSTGRES_GONE = {"57P01", "57P02", "57P03", "53300"}

# A refused connection carries no SQLSTATE in libpq, only the server's English or translated text.
_LOGIN_REFUSED = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "permission denied for database",
    'FATAL:  role "',
)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn the databases' errors into the product's.

    Args:
        where: The catalog in words, for the message.

    Raises:
        DamageError: The database says that its bytes are damaged.
        LockedError: Another process holds the catalog longer than we wait.
        CredentialError: Access is refused.
        UnreachableError: The server went away.
        NotFoundError: The database does not exist.
        EngineError: Any other failure, such as a full disk.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise explain(where, error) from error


def explain(where: str, error: BaseException) -> OrchestratorError:
    """Return what an error of the database means to a person."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, OrchestratorError):
        return cause  # ours, such as the word to stop, came up while a statement was prepared
    if isinstance(cause, sqlite3.Error):
        return _explain_sqlite(where, cause)
    if type(cause).__module__.startswith("psycopg"):
        return _explain_postgres(where, cause)
    return EngineError(f"{where} failed: {type(cause).__name__}")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds what SQLite was to do."""
    return _sqlite_code(error) in _SQLITE_BUSY


def _sqlite_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _explain_sqlite(where: str, error: sqlite3.Error) -> OrchestratorError:
    code = _sqlite_code(error)
    if code in _SQLITE_DAMAGED:
        return DamageError(f"{where} is damaged: {error}", hint=REBUILD)
    if code in _SQLITE_BUSY:
        return LockedError(f"{where} is held by another process", hint="orchestrator status")
    if code in _SQLITE_REFUSED:
        return CredentialError(f"{where} cannot be written: {error}")
    if code == sqlite3.SQLITE_FULL:
        return EngineError(f"{where} cannot grow: the disk is full")
    if code == sqlite3.SQLITE_IOERR:
        return EngineError(f"{where} cannot be read or written: {error}")
    return EngineError(f"{where} failed: {_code_name(error)}")


def _explain_postgres(where: str, error: BaseException) -> OrchestratorError:
    import psycopg

    if not isinstance(error, psycopg.Error):
        return EngineError(f"{where} failed: {type(error).__name__}")
    state = error.sqlstate
    if state is None:
        return _explain_connection(where, error)
    if state in _POSTGRES_DAMAGED:
        return DamageError(f"{where} is damaged (SQLSTATE {state})", hint=REBUILD)
    if state in _POSTGRES_BUSY:
        return LockedError(f"{where} is held by another process (SQLSTATE {state})")
    if state in _POSTGRES_REFUSED:
        return CredentialError(f"{where} refuses access (SQLSTATE {state})")
    if state in _POSTGRES_GONE or state.startswith("08"):
        return UnreachableError(f"{where} went away (SQLSTATE {state})")
    if state == "53100":
        return EngineError(f"{where} cannot grow: the server's disk is full")
    return EngineError(f"{where} failed: {type(error).__name__} (SQLSTATE {state})")


def _explain_connection(where: str, error: psycopg.Error) -> OrchestratorError:
    text = str(error)
    if "database " in text and "does not exist" in text:
        return NotFoundError(f"{where} does not exist on the server", hint=REBUILD)
    if any(sign in text for sign in _LOGIN_REFUSED):
        return CredentialError(
            f"{where} refuses the login: wrong user or password",
            hint="check [site] catalog in site.toml",
        )
    if type(error).__name__ in ("OperationalError", "ConnectionTimeout"):  # exactly these
        return UnreachableError(f"{where} cannot be reached: {' '.join(text.split())}")
    return EngineError(f"{where} failed: {type(error).__name__}")


def _code_name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", None) or type(error).__name__
