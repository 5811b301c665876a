"""Open catalogs on both databases."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.lab.postgres_server import PostgresServer
from orchestrator.catalog.database import Catalog
from orchestrator.catalog.encryption import FieldCipher, Pseudonyms
from orchestrator.keys.secret import Secret
from tests.support.postgres import (
    CatalogUrl,
    catalog_url,
    postgres_server,
    postgres_url,
    sqlite_url,
)

__all__ = ["catalog_url", "postgres_server", "postgres_url", "sqlite_url"]

FIELD_KEY = bytes(range(32))
NAME_KEY = bytes(range(32, 64))

Opener = Callable[..., Catalog]


def open_at(
    url: CatalogUrl, *, create: bool = False, field: bytes = FIELD_KEY, name: bytes = NAME_KEY
) -> Catalog:
    return Catalog.open(
        url.url,
        Secret(url.password) if url.password else None,
        FieldCipher(field),
        Pseudonyms(name),
        create=create,
    )


@pytest.fixture
def opener() -> Iterator[Opener]:
    """Opens catalogs that are closed at the end."""
    with ExitStack() as stack:

        def opened(url: CatalogUrl, **options: object) -> Catalog:
            catalog = open_at(url, **options)  # type: ignore[arg-type]
            stack.callback(catalog.dispose)
            return catalog

        yield opened


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new catalog in one file; migrating is what costs time."""
    path = tmp_path_factory.mktemp("template") / "catalog.sqlite3"
    open_at(CatalogUrl(f"sqlite:///{path}", None), create=True).dispose()
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """A new catalog in a database to copy from."""
    url = CatalogUrl(postgres_server.create_database("new_catalog"), postgres_server.password)
    open_at(url, create=True).dispose()
    return "new_catalog"


@pytest.fixture
def catalog(catalog_url: CatalogUrl, request: pytest.FixtureRequest, opener: Opener) -> Catalog:
    """A new catalog; the test runs on both databases."""
    if catalog_url.is_sqlite:
        template = request.getfixturevalue("sqlite_template")
        shutil.copy(template, catalog_url.url.removeprefix("sqlite:///"))
    else:
        server = request.getfixturevalue("postgres_server")
        server.replace_database(catalog_url.database, request.getfixturevalue("postgres_template"))
    return opener(catalog_url)
