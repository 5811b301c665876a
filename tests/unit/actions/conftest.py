"""A small site with a catalog and a clock that tests set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.actions.set_up import make_state
from orchestrator.actions.site import Site
from orchestrator.wiring import open_site
from tests.support.clock import SetClock

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

SITE = """
[site]
name = "Test Dental"
timezone = "UTC"
state_dir = "state"
[actors.privacy]
name = "P. Rivacy"
title = "Compliance officer"
roles = ["compliance"]
[stores.xrays]
kind = "folder"
path = "images"
jurisdictions = ["US-TX"]
rpo = "24h"
rto = "4h"
[copies.disk]
role = "local"
path = "disk"
[copies.rotation]
role = "offline"
search = ["media"]
due_every = "7d"
mount = ["true"]
"""


@pytest.fixture
def drill_clock() -> SetClock:
    return SetClock(START)


@pytest.fixture
def drill_site(tmp_path: Path, drill_clock: SetClock) -> Iterator[Site]:
    """A site with a local and an offline copy, that was never backed up."""
    (tmp_path / "images").mkdir()
    (tmp_path / "jobs").mkdir()
    (tmp_path / "site.toml").write_text(SITE)
    site = open_site(tmp_path / "site.toml", clock=drill_clock)
    make_state(site)
    yield site
    site.catalog.dispose()
