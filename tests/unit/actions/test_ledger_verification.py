"""The ledger is verified on a schedule; what that finds, or that it was not done, is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.actions.jobs import JobResult, run_job
from orchestrator.actions.ledger import mirror
from orchestrator.actions.ledger.doctor import warnings_of_ledger
from orchestrator.actions.ledger.opening import make_ledger, new_origin
from orchestrator.actions.ledger.verifying import look_at_verification
from orchestrator.actions.site import Site
from orchestrator.config.jobs import load_jobs
from tests.support.clock import SetClock

WEEK = timedelta(days=7)


@pytest.fixture
def site(drill_site: Site) -> Site:
    """A site with a ledger."""
    origin = new_origin("Test Dental", drill_site.keyring.id, 1)
    now = drill_site.clock.now()
    make_ledger(drill_site.state_dir, drill_site.keyring, origin=origin, now=now)
    mirror.catch_up(drill_site)
    return drill_site


def run(site: Site) -> JobResult:
    return run_job(site, load_jobs(site.config).active["ledger-verify"])


def told(site: Site) -> tuple[str, str]:
    (one,) = look_at_verification(site)
    return one.state, one.detail


def test_a_ledger_that_nobody_verified_for_twice_the_period_is_a_warning(
    site: Site, drill_clock: SetClock
) -> None:
    assert told(site) == ("ok", "is not due yet")
    drill_clock.at += 2 * WEEK + timedelta(minutes=1)
    assert told(site) == (
        "warn",
        "was never made: the job ledger-verify did not run when it was due",
    )
    assert (run(site).outcome, run(site).exit_code) == ("succeeded", 0)
    done = f"last made {drill_clock.at:%Y-%m-%d %H:%M} UTC"
    assert told(site) == ("ok", done)
    drill_clock.at += 2 * WEEK + timedelta(minutes=1)
    late = f"{done}: the job ledger-verify did not run when it was due"
    assert told(site) == ("warn", late)
    assert f"ledger verification: {late}" in warnings_of_ledger(site)
    drill_clock.at -= 4 * WEEK
    assert told(site)[1] != done, "a verification in the future is not believed"


def test_what_a_verification_finds_fails_the_job_and_stands_until_one_ends_well(
    site: Site, drill_clock: SetClock
) -> None:
    tile = next(path for path in site.ledger.folder.rglob("*") if "entries" in path.parts
                and path.is_file())  # fmt: skip
    content = tile.read_bytes()
    tile.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    found = run(site)
    assert (found.outcome, found.exit_code) == ("failed", 4)
    state, words = told(site)
    assert state == "fail"
    assert words == found.message
    tile.write_bytes(content)
    assert told(site)[0] == "fail", "mended is not verified"
    drill_clock.at += timedelta(minutes=1)
    assert run(site).exit_code == 0
    assert told(site)[0] == "ok"


def test_a_site_that_switched_the_job_off_is_told_so(site: Site) -> None:
    (site.config.jobs_dir / "ledger-verify.toml").write_text("enabled = false\n")
    assert told(site) == ("warn", "no job verifies the ledger")
