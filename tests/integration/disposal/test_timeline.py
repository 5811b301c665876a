"""How early each place can be free of a batch is said before anybody approves it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from orchestrator.actions.disposal.listing import show
from orchestrator.actions.disposal.propose import propose
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, media
from orchestrator.catalog.copy_tables import Medium
from orchestrator.engines.interface import Receipt
from orchestrator.engines.layout import RepositoryFile
from tests.integration.disposal.conftest import MORE, acting
from tests.support.due_studies import BATCH
from tests.support.site import STORE, LabSite

QUARANTINE = timedelta(days=14)

VAULT = """
[copies.vault]
role = "immutable"
endpoint = "https://127.0.0.1:1"
region = "us-east-1"
bucket = "vault"
lock_period = "35d"
access_key = { env = "PATH" }
secret_key = { env = "PATH" }
"""
SWEEPER = """
[copies.vault.sweeper]
access_key = { env = "HOME" }
secret_key = { env = "HOME" }
"""
ROTATION = """
[copies.rotation]
role = "offline"
search = ["media"]
due_every = "7d"
"""


def add_media(site: Site, now: datetime) -> None:
    """Register media of every sort there is."""
    known = {
        "next": ("rotation", now + timedelta(days=3), None),
        "late": ("rotation", now - timedelta(days=1), None),
        "lent": ("rotation", None, None),
        "old": ("rotation", now, now),
        "lost": ("elsewhere", now + timedelta(days=3), None),
    }
    with site.catalog.transaction() as session:
        for label, (copy, due, retired) in known.items():
            row = Medium(
                id=label * 8,
                copy_=copy,
                label=label,
                fs_uuid=label,
                state="retired" if retired else "away",
                registered_at=now,
                due_at=due,
                retired_at=retired,
            )
            media.register(session, row, actor="it")


def lock(site: Site, *days: float) -> None:
    """Say that the bucket holds versions that are locked for so many days."""
    now = site.clock.now()
    key = ("vault", "", site.repository(STORE).id)
    receipts = [
        Receipt(RepositoryFile("data", f"{number:064x}", 10), "v", now + timedelta(days=length))
        for number, length in enumerate(days)
    ]
    with site.catalog.transaction() as session:
        copies.record_stored(session, key, receipts, now=now)


def test_before_an_approval_every_place_says_how_early_it_can_be_free(lab: LabSite) -> None:
    lab.write(more=MORE + VAULT + SWEEPER + ROTATION)
    with acting(lab, "it") as site:
        now = site.clock.now()
        add_media(site, now)
        lock(site, 20, 30)
        found = propose(site)
        days = {one.label or one.copy: one.expected for one in found.copies}
        words = {one.label or one.copy: one.detail for one in found.copies}

        def after(length: float) -> date:
            return (now + timedelta(days=length)).astimezone(site.config.timezone).date()

    assert days == {
        "live": after(14),
        "disk": after(14),
        "vault": after(47.5),  # lengthened once the lock of 30 days has less than half left
        "next": after(17),  # the second visit after its due date: the first comes too early
        "late": None,
        "lent": None,
        "old": None,
        "lost": None,
    }
    assert "overdue" in str(words["late"])
    assert "no day is known" in str(words["lent"])
    assert "sanitization" in str(words["old"])
    assert "no longer configured" in str(words["lost"])
    assert found.earliest_completion is None
    assert found.row.earliest_completion is None


def test_a_completion_is_known_where_every_place_is(lab: LabSite) -> None:
    lab.write(more=MORE + VAULT + SWEEPER)
    with acting(lab, "it") as site:
        lock(site, 100)
        expected = (site.clock.now() + timedelta(days=100)).astimezone(site.config.timezone).date()
        assert propose(site).row.earliest_completion == expected


def test_a_bucket_that_nobody_sweeps_is_free_on_a_day_nobody_knows(lab: LabSite) -> None:
    lab.write(more=MORE + VAULT)
    with acting(lab, "it") as site:
        lock(site, 20)
        propose(site)
        batch = show(site, BATCH)
    (vault,) = (one for one in batch.copies if one.copy == "vault")
    assert (vault.expected, batch.earliest_completion) == (None, None)
    assert "life-cycle rule" in str(vault.detail)
