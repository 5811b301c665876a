"""The tests' databases: a real PostgreSQL per test session, and SQLite files.

Import the fixtures into a ``conftest.py``; ``catalog_url`` runs a test on both databases.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.lab.postgres_server import PostgresServer

_numbers = itertools.count(1)


@dataclass(frozen=True)
class CatalogUrl:
    """Where a test's catalog is.

    Attributes:
        url: What ``site.toml`` would say.
        password: The database's password in clear; None for SQLite.
    """

    url: str
    password: str | None

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    @property
    def database(self) -> str:
        """Name of the database on the server."""
        return self.url.partition("@/")[2].partition("?")[0]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[CatalogUrl]:
    """An empty database of its own on the real server."""
    name = f"catalog_{next(_numbers)}"
    yield CatalogUrl(postgres_server.create_database(name), postgres_server.password)
    postgres_server.drop_database(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> CatalogUrl:
    return CatalogUrl(f"sqlite:///{tmp_path}/catalog.sqlite3", None)


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest) -> CatalogUrl:
    """The same test on both databases."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url = request.getfixturevalue(name)
    assert isinstance(url, CatalogUrl)
    return url
