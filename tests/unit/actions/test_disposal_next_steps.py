"""Every place that is not free of a disposal yet says what a person does next about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.disposal.listing import Standing
from orchestrator.actions.disposal.next_steps import with_next_steps
from orchestrator.actions.set_up import make_state
from orchestrator.actions.site import Site
from orchestrator.catalog import media
from orchestrator.catalog.copy_tables import Medium
from orchestrator.catalog.disposal_tables import Disposal
from orchestrator.wiring import open_site
from tests.support.clock import SetClock
from tests.unit.actions.conftest import SITE, START

NAME = "D-2026-0001"
VAULT = """
[copies.attic]
role = "local"
path = "attic"
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


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "images").mkdir()
    (tmp_path / "jobs").mkdir()
    (tmp_path / "site.toml").write_text(SITE + VAULT + SWEEPER)
    opened = open_site(tmp_path / "site.toml", clock=SetClock(START))
    make_state(opened)
    yield opened
    opened.catalog.dispose()


def place(copy: str, role: str, **changes: Any) -> Standing:
    plain = Standing(
        store="xrays",
        copy=copy,
        role=role,
        medium=None,
        label=None,
        state="residual",
        residual_until=None,
        expected=None,
        proved_at=None,
        detail=None,
    )
    return replace(plain, **changes)


def said(
    site: Site, one: Standing, *, state: str = "residual", paused: str | None = None
) -> str | None:
    row = Disposal(
        id=NAME, state=state, paused=paused, plan_digest="", proposed_by="it", proposed_at=START
    )
    with site.catalog.reading() as session:
        (told,) = with_next_steps(site, session, row, [one])
    return told.next


def register(site: Site, due: datetime | None, *, retired: bool = False) -> None:
    row = Medium(
        id="ab" * 16,
        copy_="rotation",
        label="red",
        fs_uuid="0000-0001",
        state="retired" if retired else "away",
        registered_at=START,
        due_at=due,
        retired_at=START if retired else None,
    )
    with site.catalog.transaction() as session:
        media.register(session, row, actor="privacy")


RED = {"medium": "ab" * 16, "label": "red"}


def test_a_bucket_whose_lock_runs_names_the_job_that_empties_it_and_the_command(
    site: Site,
) -> None:
    until = START + timedelta(days=3)
    words = said(site, place("vault", "immutable", residual_until=until))
    assert words == (
        "copy vault: locked until 2026-03-05 12:00 UTC; the job lock-extension (2026-03-06 05:30 "
        "UTC) removes it then, or: orchestrator bucket sweep vault"
    )


def test_a_bucket_whose_lock_has_ended_is_swept_next(site: Site) -> None:
    words = said(site, place("vault", "immutable", residual_until=START - timedelta(hours=1)))
    assert words == (
        "copy vault: its locks have ended; the job lock-extension (2026-03-03 05:30 UTC) does it "
        "too: orchestrator bucket sweep vault, then: orchestrator job run disposal-settle"
    )


def test_a_site_that_switched_the_job_off_is_told_the_command_alone(site: Site) -> None:
    (site.config.jobs_dir / "lock-extension.toml").write_text("enabled = false\n")
    words = said(site, place("vault", "immutable", residual_until=START - timedelta(hours=1)))
    assert words == (
        "copy vault: its locks have ended: orchestrator bucket sweep vault, then: orchestrator "
        "job run disposal-settle"
    )


def test_a_bucket_that_nobody_here_may_sweep_says_who_must(site: Site, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE + VAULT)
    with_rule = open_site(tmp_path / "site.toml", clock=SetClock(START))
    words = said(with_rule, place("vault", "immutable"))
    with_rule.catalog.dispose()
    assert words is not None
    assert "a life-cycle rule of the bucket must empty it" in words
    assert "[copies.vault.sweeper]" in words


def test_a_medium_that_is_awaited_is_named_with_its_day_and_the_command(site: Site) -> None:
    register(site, START + timedelta(days=4))
    assert said(site, place("rotation", "offline", **RED)) == (
        "copy rotation, medium red: due back 2026-03-06, it may come earlier; when it is "
        "connected: orchestrator replicate rotation"
    )


def test_a_medium_that_is_overdue_is_called_back(site: Site) -> None:
    register(site, START - timedelta(days=4))
    assert said(site, place("rotation", "offline", **RED)) == (
        "copy rotation, medium red: overdue since 2026-02-26: bring it back; when it is "
        "connected: orchestrator replicate rotation"
    )


def test_a_medium_out_of_service_waits_for_its_sanitization(site: Site) -> None:
    register(site, None, retired=True)
    words = said(site, place("rotation", "offline", **RED))
    assert words is not None
    assert "until its sanitization is accepted: orchestrator sanitize list" in words


def test_a_copy_that_refuses_says_why(site: Site) -> None:
    why = "3 files are of nobody known"
    for name, role in (("attic", "local"), ("vault", "immutable")):
        assert said(site, place(name, role, state="unknown", detail=why)) == (
            f"copy {name}: {why}; mend that, then: orchestrator job run disposal-settle"
        )


def test_a_replica_that_is_behind_is_brought_up_to_date(site: Site) -> None:
    assert said(site, place("attic", "local", detail="2 files are there")) == (
        "copy attic: 2 files are there: orchestrator replicate attic, then: orchestrator job run "
        "disposal-settle"
    )


def test_store_and_primary_go_on_with_the_disposal_itself(site: Site) -> None:
    command = f"orchestrator --as ACTOR disposal execute {NAME} --execute"
    assert said(site, place("live", "live", state="pending"), state="executing") == (
        f"store xrays: {command}"
    )
    assert said(site, place("disk", "local", detail="not rewritten yet")) == (
        f"copy disk: not rewritten yet: {command}"
    )


def test_a_copy_that_the_site_file_lost_is_put_back(site: Site) -> None:
    words = said(site, place("gone", "local"))
    assert words is not None
    assert words.startswith("copy gone: put it back into the site file")


def test_what_a_hold_keeps_waits_for_the_hold(site: Site) -> None:
    words = said(site, place("attic", "local"), paused="H-2026-0001")
    assert words == (
        "copy attic: it stays as it is until hold H-2026-0001 is released: orchestrator hold list"
    )


@pytest.mark.parametrize("state", ["proposed", "approved", "refused", "complete"])
def test_only_a_disposal_under_way_has_next_steps_at_places(site: Site, state: str) -> None:
    assert said(site, place("attic", "local"), state=state) is None
    assert said(site, place("attic", "local", state="absent")) is None
