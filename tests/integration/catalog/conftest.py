"""Open catalogs on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

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


@pytest.fixture
def catalog(catalog_url: CatalogUrl, opener: Opener) -> Catalog:
    """A new catalog; the test runs on both databases."""
    return opener(catalog_url, create=True)
