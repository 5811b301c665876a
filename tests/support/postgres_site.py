"""A site whose catalog is in PostgreSQL."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from deploy.lab.postgres_server import PostgresServer
from tests.support.postgres import CatalogUrl
from tests.support.site import LabSite, Values

_PASSWORD = "CATALOG_KEY"  # the site's other secrets are called so, too


@dataclass
class _Elsewhere(Values):
    """What stands in the site file; the catalog is at a URL."""

    url: str = ""

    def text(self) -> str:
        catalog = f'catalog = {{ url = "{self.url}", password = {{ env = "{_PASSWORD}" }} }}'
        return super().text().replace('catalog = "sqlite"', catalog)


@dataclass(kw_only=True)
class PostgresSite(LabSite):
    """A site in a folder of its own, but for its catalog.

    Attributes:
        server: Where the catalog is.
        url: Its database.
    """

    server: PostgresServer
    url: CatalogUrl

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Ask the catalog, past the product."""
        import psycopg
        from psycopg.rows import dict_row

        with psycopg.connect(self.url.url, password=self.url.password) as connection:
            cursor = connection.cursor(row_factory=dict_row)
            return cursor.execute(query.replace("?", "%s").encode(), values or None).fetchall()


def move_to_postgres(site: LabSite, server: PostgresServer, url: CatalogUrl) -> PostgresSite:
    """Move the catalog of a site to PostgreSQL; it must not know any file of the store yet."""
    from orchestrator.catalog import transfer

    with site.opened() as opened, opened.catalog.reading() as session:
        lines = list(transfer.export_rows(session))
    lose_catalog(site)
    known = {one.name: getattr(site.values, one.name) for one in dataclasses.fields(site.values)}
    values = _Elsewhere(**known, url=url.url)
    moved = PostgresSite(site.folder, values, site.env, site.medium, server=server, url=url)
    moved.env[_PASSWORD] = url.password or ""
    moved.write()
    with moved.opened() as opened:
        opened.catalog = opened.open_catalog(create=True)
        with opened.catalog.transaction() as session:
            transfer.import_rows(session, lines)
    return moved


def lose_catalog(site: LabSite) -> None:
    """Take a site's catalog away: no file is left, or an empty database."""
    if isinstance(site, PostgresSite):
        site.server.drop_database(site.url.database)
        site.server.create_database(site.url.database)
    for path in site.state.glob("catalog.sqlite*"):
        path.unlink()
