"""A site of two stores whose catalog is on either database, and a clock that tests set."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from orchestrator.actions.ledger.opening import make_ledger, new_origin
from orchestrator.actions.retention.facts import study_facts
from orchestrator.actions.site import Site, key_file_path, keyring_path
from orchestrator.catalog import files
from orchestrator.catalog.database import Catalog
from orchestrator.dicom.dates import study_reference_date
from orchestrator.keys.keyring import Keyring
from orchestrator.manifest import ManifestEntry
from orchestrator.retention.study import StudyFacts
from orchestrator.wiring import open_site
from tests.integration.catalog.conftest import (
    catalog,
    catalog_url,
    opener,
    postgres_server,
    postgres_template,
    postgres_url,
    sqlite_template,
    sqlite_url,
)
from tests.support.clock import SetClock

__all__ = [
    "catalog",
    "catalog_url",
    "opener",
    "postgres_server",
    "postgres_template",
    "postgres_url",
    "sqlite_template",
    "sqlite_url",
]

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
EXPORTED = "2026-03-01"

SITE = """
[site]
name = "Test Dental"
timezone = "America/Chicago"
state_dir = "state"
[actors.it]
name = "I. T."
title = "IT administrator"
roles = ["operator"]
[actors.privacy]
name = "P. Rivacy"
title = "Compliance officer"
roles = ["compliance"]
[actors.porter]
name = "P. Orter"
title = "Porter"
roles = ["custodian"]
[stores.xrays]
kind = "folder"
path = "xrays"
jurisdictions = ["US-TX"]
rpo = "24h"
rto = "4h"
[stores.annex]
kind = "folder"
path = "annex"
jurisdictions = ["US-NY", "US-TX"]
rpo = "24h"
rto = "4h"
[copies.disk]
role = "local"
path = "disk"
"""


class Clinic:
    """A site with a catalog; fills it and asks it.

    Args:
        site: The site.
        clock: Its clock.
        folder: For lists.
    """

    def __init__(self, site: Site, clock: SetClock, folder: Path) -> None:
        self.site = site
        self.clock = clock
        self._folder = folder

    def name_issuers(self, **issuers: str) -> None:
        """Give stores an issuer of patient ids."""
        stores = dict(self.site.config.stores)
        for name, issuer in issuers.items():
            stores[name] = dataclasses.replace(stores[name], issuer=issuer)
        self.site.config = dataclasses.replace(self.site.config, stores=stores)

    def has(
        self,
        entries: Iterable[ManifestEntry],
        *,
        store: str = "xrays",
        gone: Iterable[bytes] = (),
        run: str = "r1",
    ) -> None:
        """Record files as a backup does."""
        with self.site.catalog.transaction() as session:
            files.apply_changes(
                session,
                store,
                run_id=run,
                changed=entries,
                gone=gone,
                keys=self.site.catalog.keys,
                study_date=study_reference_date,
            )

    def facts(self, **which: object) -> list[StudyFacts]:
        """Gather the facts of studies."""
        with self.site.catalog.reading() as session:
            return list(study_facts(self.site, session, **which))  # type: ignore[arg-type]

    def study(self, number: int, store: str = "xrays") -> StudyFacts:
        """Gather the facts of one study of `catalog_rows.image`, alone and among all."""
        key = self.site.catalog.keys.pseudonyms.study(f"1.2.3.{number}")
        (alone,) = self.facts(store=store, studies=[key])
        (among_all,) = [one for one in self.facts() if (one.store, one.study) == (store, key)]
        assert alone == among_all
        return alone

    def list_of(self, *lines: str, header: str = "", exported: str = EXPORTED) -> Path:
        """Write a patient list; ``EXPORTED`` in a line is the time of export."""
        header = header or (
            "patient_id;issuer;birth_date;last_treatment_date;deceased_date;legal_hold;"
            "hold_reason;merged_into;incompetent;exported_at"
        )
        file = self._folder / "patients.csv"
        text = "\n".join([header, *(f"{line};{exported}" for line in lines), ""])
        file.write_text(text, encoding="utf-8")
        return file

    def line(
        self,
        patient_id: str,
        *,
        issuer: str = "",
        born: str = "",
        treated: str = "",
        died: str = "",
        held: str = "",
        reason: str = "",
        into: str = "",
        incompetent: str = "",
    ) -> str:
        """Write one row without its time of export."""
        return ";".join([patient_id, issuer, born, treated, died, held, reason, into, incompetent])


@pytest.fixture
def clinic(tmp_path: Path, catalog: Catalog) -> Clinic:
    """A site with two stores, keyring and ledger; the test runs on both databases."""
    return make_clinic(tmp_path, catalog)


@pytest.fixture
def small_clinic(tmp_path: Path, sqlite_template: Path, opener: Callable[..., Catalog]) -> Clinic:
    """The same on SQLite alone, for what no database can change."""
    import shutil

    from tests.support.postgres import CatalogUrl

    file = tmp_path / "catalog.sqlite3"
    shutil.copy(sqlite_template, file)
    return make_clinic(tmp_path, opener(CatalogUrl(f"sqlite:///{file}", None)))


def make_clinic(folder: Path, catalog: Catalog) -> Clinic:
    (folder / "site.toml").write_text(SITE)
    clock = SetClock(NOW)
    site = open_site(folder / "site.toml", clock=clock, actor="privacy")
    site.state_dir.mkdir()
    Keyring.create(keyring_path(site.state_dir), key_file_path(site.state_dir))
    site.__dict__["catalog"] = catalog
    origin = new_origin(site.config.name, site.keyring.id, 1)
    make_ledger(site.state_dir, site.keyring, origin=origin, now=NOW)
    return Clinic(site, clock, folder)
