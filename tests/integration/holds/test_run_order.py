"""Which snapshot holds a study is told by the order of the runs: no clock decides it."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable

import pytest

from orchestrator.actions.holds import guard
from orchestrator.actions.lock import StoreLock
from orchestrator.actions.run import run
from tests.integration.holds.test_paths import hold, night, study_of
from tests.support.clock import SetClock
from tests.support.site import STORE, LabSite


@pytest.mark.parametrize("step_s", [0, -2])
def test_held_snapshots_are_found_also_when_the_clock_stands_or_goes_back(
    backed_up: Callable[..., LabSite], step_s: int
) -> None:
    lab = backed_up()
    folder, away = lab.images / "p0", lab.folder / "away"
    clock = SetClock(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60))
    with lab.opened(clock) as site:
        study = study_of(site, 0)
        holding = set()
        for number in range(5):
            if number % 3 == 0:
                shutil.copytree(folder, away, dirs_exist_ok=True)
            if number % 3 == 1:
                shutil.rmtree(folder)
            elif not folder.exists():
                shutil.copytree(away, folder)
            snapshot = night(site)
            if folder.exists():
                holding.add(snapshot)
            clock.at += dt.timedelta(seconds=step_s)
        hold(site, study=study)
        with site.catalog.reading() as session:
            held = set(guard.held_by(site, session, site.repository(STORE).id))
    assert holding <= held


def test_runs_are_numbered_by_who_had_the_lock_and_the_lock_names_its_run(
    backed_up: Callable[..., LabSite],
) -> None:
    lab = backed_up()
    clock = SetClock(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60))
    with lab.opened(clock) as site:
        with run(site, "backup", store=STORE) as first:
            pass
        clock.at -= dt.timedelta(seconds=30)  # as if it had waited for the first one's end
        with run(site, "backup", store=STORE) as second:
            assert second.id > first.id
            assert StoreLock(site.lock_dir, STORE).holder() == second.id
