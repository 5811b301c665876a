"""Sites for the tests of holds: real ones with backups, and catalogs with made-up rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from orchestrator.actions.holds.witnessed import Watch
from orchestrator.actions.site import Site
from orchestrator.catalog import files, repositories, runs, snapshots
from orchestrator.catalog.database import Catalog
from orchestrator.keys.secret import Secret
from orchestrator.manifest import ManifestEntry
from orchestrator.wiring import open_site
from tests.integration.drills.conftest import (
    backed_up,
    backed_up_template,
    make_loop,
    make_site,
    object_lock_server,
    site_template,
)
from tests.support.catalog_rows import (
    REPOSITORY,
    repository_row,
    run_row,
    snapshot_row,
    study_date,
)
from tests.support.postgres import (
    CatalogUrl,
    catalog_url,
    postgres_server,
    postgres_url,
    sqlite_url,
)
from tests.support.site import STORE, MakeSite

__all__ = [
    "backed_up",
    "backed_up_template",
    "catalog_url",
    "make_loop",
    "make_site",
    "object_lock_server",
    "postgres_server",
    "postgres_url",
    "site_template",
    "sqlite_url",
]


def run_id(night: int) -> str:
    return f"202601{night:02d}T020000Z-aaaaaa"


def snapshot_id(night: int) -> str:
    return f"{night:02x}" * 32


class Nights:
    """A site whose catalog holds made-up backups: what a hold keeps is a question of rows.

    Attributes:
        site: The site; a person of compliance acts.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        with site.catalog.transaction() as session:
            repositories.add(session, repository_row())

    def back_up(
        self, night: int, changed: Iterable[ManifestEntry] = (), gone: Iterable[bytes] = ()
    ) -> None:
        """Record a backup with what has changed since the last one."""
        at = dt.datetime(2026, 1, night, 2, tzinfo=dt.UTC)
        keys = self.site.catalog.keys
        with self.site.catalog.transaction() as session:
            runs.start(session, run_row(run_id(night), started_at=at, ended_at=at))
            watch = Watch(self.site, session, STORE, run_id(night))
            files.apply_changes(
                session,
                STORE,
                run_id=run_id(night),
                changed=changed,
                gone=gone,
                keys=keys,
                study_date=study_date,
            )
            watch.settle()
            row = snapshot_row(snapshot_id(night), run_id=run_id(night), at=at)
            snapshots.add(session, row)

    def forget(self, *nights: int) -> None:
        with self.site.catalog.transaction() as session:
            ids = [snapshot_id(one) for one in nights]
            snapshots.mark_forgotten(session, ids, run_id="r", now=self.site.clock.now())

    def held(self) -> set[int]:
        """Return the nights whose snapshots are held."""
        from orchestrator.actions.holds import guard

        with self.site.catalog.reading() as session:
            return {
                int(one[:2], 16) for one in guard.held_snapshots(self.site, session, REPOSITORY)
            }

    def study(self, number: int) -> str:
        return self.site.catalog.keys.pseudonyms.study(f"1.2.3.{number}")

    def patient(self, number: int, issuer: str = "") -> str:
        found = self.site.catalog.keys.pseudonyms.patient(issuer, f"P{number}")
        assert found is not None
        return found


@pytest.fixture
def nights(make_site: MakeSite, sqlite_url: CatalogUrl) -> Iterator[Nights]:
    """A site whose catalog, in SQLite, has one repository and no backup yet."""
    with opened(make_site().file, sqlite_url) as site:
        yield Nights(site)


class opened:
    """A site whose catalog is elsewhere."""

    def __init__(self, file: Path, url: CatalogUrl) -> None:
        self._site = open_site(file, actor="privacy")
        keys = self._site.keyring
        from orchestrator.catalog.encryption import FieldCipher, Pseudonyms

        self._site.__dict__["catalog"] = Catalog.open(
            url.url,
            Secret(url.password) if url.password else None,
            FieldCipher(keys.catalog_key()),
            Pseudonyms(keys.pseudonym_key()),
            create=True,
        )

    def __enter__(self) -> Site:
        return self._site

    def __exit__(self, *error: object) -> None:
        self._site.catalog.dispose()
