"""Which schema a catalog has, and how it gets the newest one.

Alembic is imported only when something is to be migrated, so that commands start fast.
"""

from __future__ import annotations

import logging
from importlib import resources
from typing import TYPE_CHECKING

import sqlalchemy as sa

from orchestrator.catalog.faults import REBUILD
from orchestrator.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from alembic.config import Config

logger = logging.getLogger(__name__)

HEAD = "0008"
"""The revision this program needs: the newest one in ``migrations/versions``.

Revisions are numbered with leading zeros, so that a newer one is greater as a text.
"""

_LOCK = 0x6F726368  # any number no other program uses for its advisory lock
_TABLE = "alembic_version"


def revision_of(connection: sa.Connection) -> str | None:
    """Return the revision of the catalog's schema, or None if there is no schema."""
    if not connection.dialect.has_table(connection, _TABLE):
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {_TABLE}").scalar()  # noqa: S608
    return None if found is None else str(found)


def ensure(reader: sa.Engine, writer: sa.Engine, *, where: str, create: bool) -> None:
    """Bring the schema up to date.

    Starters that race for it wait for each other; the change is made whole or not at all.

    Args:
        reader: An engine whose transactions wait for no writer.
        writer: An engine whose transactions are immediate on SQLite.
        where: The catalog in words, for messages.
        create: An empty database becomes a catalog.

    Raises:
        NotFoundError: The database is empty and may not be created.
        ConfigError: A newer program has made the schema, or it is not a catalog at all.
    """
    with reader.connect() as connection:
        if revision_of(connection) == HEAD:
            return
    with writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        found = revision_of(connection)  # again: another starter may have been faster
        if found == HEAD:
            return
        if found is None:
            _refuse_foreign(connection, where, create=create)
        _upgrade(connection, where, found)


def configuration(connection: sa.Connection) -> Config:
    """Return Alembic's configuration for this package's migrations on a connection."""
    from alembic.config import Config

    config = Config()
    folder = resources.files("orchestrator.catalog") / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _refuse_foreign(connection: sa.Connection, where: str, *, create: bool) -> None:
    if sa.inspect(connection).get_table_names():
        raise ConfigError([f"site.toml: catalog: {where} holds tables of another program"])
    if not create:
        raise NotFoundError(f"{where} is empty", hint=REBUILD)


def _upgrade(connection: sa.Connection, where: str, found: str | None) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = configuration(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise ConfigError(
            [f"site.toml: catalog: {where} has schema {found}; this program knows up to {HEAD}"],
            hint="install the version of the program that last used this catalog, or a newer one",
        )
    command.upgrade(config, "head")
    if found is not None:
        logger.info("%s: schema %s -> %s", where, found, HEAD)
