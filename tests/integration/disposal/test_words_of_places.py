"""What people have said of a former place counts as long as they can be told apart, and no longer
than the copy stays away."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from orchestrator.actions.ledger.record import record
from orchestrator.actions.place_register import events
from orchestrator.actions.place_register.closing import Said, close, withdraw
from orchestrator.actions.place_register.recover import recover
from orchestrator.actions.site import Site
from orchestrator.catalog import places
from orchestrator.catalog.place_tables import CopyPlace
from orchestrator.errors import RefusedError
from tests.support.site import MakeSite

PLACE = "P-00000001"


def left(site: Site) -> CopyPlace:
    """Record a place that a copy of before has left, an hour ago."""
    at = site.clock.now() - timedelta(hours=1)
    values = {"id": PLACE, "copy_": "old", "role": "local", "location": "not known"}
    times = dict.fromkeys(("first_seen", "last_seen", "left_at"), at)
    with site.catalog.transaction() as session:
        places.save(session, CopyPlace(**values, **times))
    return CopyPlace(**values, **times)


def acting(site: Site, actor: str) -> Site:
    site.actor = actor
    return site


def test_whoever_has_left_is_confirmed_by_nobody_and_stands_in_nobodys_way(
    make_site: MakeSite,
) -> None:
    with make_site().opened() as site:
        left(site)
        assert close(acting(site, "it"), PLACE, Said("emptied", "by hand")).state == "close_asked"
        actors = dict(site.config.actors)
        gone = actors.pop("it")
        actors["again"] = dataclasses.replace(gone, key="again", name="Tee Eye")
        actors["chief"] = dataclasses.replace(
            actors["privacy"], key="chief", name="C. Hief", roles=frozenset({"compliance"})
        )
        site.config = dataclasses.replace(site.config, actors=actors)
        with pytest.raises(RefusedError, match="not in the site file any more") as told:
            close(acting(site, "privacy"), PLACE, Said("emptied"))
        assert "--withdraw" in str(told.value.hint)
        with pytest.raises(RefusedError, match="compliance"):
            withdraw(acting(site, "again"), PLACE)
        assert withdraw(acting(site, "privacy"), PLACE).state == "former"
        close(acting(site, "chief"), PLACE, Said("destroyed", "shredded"))
        assert close(acting(site, "privacy"), PLACE, Said("destroyed")).state == "closed"


def test_what_was_said_before_the_copy_came_back_is_not_said_again_by_the_ledger(
    make_site: MakeSite,
) -> None:
    with make_site().opened() as site:
        row = left(site)
        row.asked_by, row.asked_at, row.how = "it", site.clock.now(), "emptied"
        record(site, [events.left(row), events.close_asked(row)])
        with site.catalog.transaction() as session:
            known = places.get(session, PLACE)
            known.last_seen = site.clock.now() + timedelta(seconds=1)  # it was there again
            known.left_at = known.last_seen  # and left once more
            places.save(session, known)
        recover(site)
        with site.catalog.reading() as session:
            assert places.get(session, PLACE).asked_by is None
            assert places.get(session, PLACE).left_at is not None
