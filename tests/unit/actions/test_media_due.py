"""A medium whose day of return was set by a clock that was years ahead is called back."""

from __future__ import annotations

from datetime import timedelta

from orchestrator.actions.media import listing
from orchestrator.actions.site import Site
from orchestrator.actions.status import status
from orchestrator.catalog import media
from orchestrator.catalog.copy_tables import Medium
from tests.support.clock import SetClock

WEEK, YEARS = timedelta(days=7), timedelta(days=3650)


def test_a_day_that_a_wrong_clock_has_set_lets_no_medium_stay_away_for_years(
    drill_site: Site, drill_clock: SetClock
) -> None:
    right = drill_clock.at
    row = Medium(id="ab" * 16, copy_="rotation", label="red", fs_uuid="0-1", state="away",
                 registered_at=right)  # fmt: skip
    with drill_site.catalog.transaction() as session:
        media.register(session, row, actor="privacy")
        media.mark_seen(session, row.id, now=right, due_at=right + WEEK)
    assert [one.overdue for one in listing(drill_site)] == [False]
    with drill_site.catalog.transaction() as session:
        media.mark_seen(session, row.id, now=right + YEARS, due_at=right + YEARS + WEEK)
    assert [one.overdue for one in listing(drill_site)] == [True]
    (found,) = status(drill_site, ["xrays"])
    words = "copy rotation: medium red was last here in the future: its day of return was set by"
    assert any(one.startswith(words) for one in found.reasons)
