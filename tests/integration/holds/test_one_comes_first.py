"""A hold and a removal at the same moment: one of them comes first, on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from orchestrator.actions.holds import guard, place
from orchestrator.actions.holds.place import Wish
from orchestrator.actions.site import Site
from orchestrator.catalog import facts, holds
from orchestrator.errors import RefusedError
from tests.integration.holds.conftest import Nights, opened
from tests.support.catalog_rows import image
from tests.support.postgres import CatalogUrl
from tests.support.site import STORE, MakeSite

ROUNDS = 12


@pytest.fixture
def both(make_site: MakeSite, catalog_url: CatalogUrl) -> Iterator[Nights]:
    with opened(make_site().file, catalog_url) as site:
        yield Nights(site)


def remove(site: Site, study: str, pause: threading.Event | None = None) -> bool:
    """Take a study away if nothing keeps it; say whether it is gone."""
    try:
        with guard.guarded(site) as session:
            removal = guard.Removal("test", "a study", store=STORE, studies=[study])
            guard.demand_free(site, session, removal)
            if pause is not None:
                assert pause.wait(60)
            facts.put(session, f"gone:{study}", value="yes", now=site.clock.now())
    except RefusedError:
        return False
    return True


def put(site: Site, study: str) -> bool:
    """Place a hold; say whether the study was gone by then."""
    with site.catalog.transaction() as session:
        holds.gate(session)
        was_gone = facts.get(session, f"gone:{study}") is not None
        place.add(site, session, [Wish("study", "22-cv-1", "a claim", study=study)])
    return was_gone


def test_hold_placed_while_something_goes_comes_before_it_or_after(both: Nights) -> None:
    both.back_up(1, [image(number, 1) for number in range(ROUNDS)])
    keys = [both.study(number) for number in range(ROUNDS)]
    start = threading.Barrier(2)

    def in_turn(what: object, study: str) -> bool:
        start.wait(60)
        return what(both.site, study)  # type: ignore[operator,no-any-return]

    with ThreadPoolExecutor(2) as pool:
        for study in keys:
            removed = pool.submit(in_turn, remove, study)
            seen_gone = pool.submit(in_turn, put, study)
            assert removed.result(60) == seen_gone.result(60), study


def test_hold_waits_for_a_removal_that_has_asked(both: Nights, catalog_url: CatalogUrl) -> None:
    """The removal stands still between its question and its end: the hold is not slipped in."""
    both.back_up(1, [image(1, 1)])
    study, go_on = both.study(1), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        removed = pool.submit(remove, both.site, study, go_on)
        wait_for_gate(both.site, catalog_url)
        placed = pool.submit(put, both.site, study)
        if not catalog_url.is_sqlite:
            wait_until_somebody_waits(both.site)
        assert not placed.done()
        go_on.set()
        assert (removed.result(60), placed.result(60)) == (True, True)


def wait_for_gate(site: Site, url: CatalogUrl) -> None:
    """Wait until somebody has shut the gate."""
    if url.is_sqlite:
        engine = sa.create_engine(url.url, connect_args={"timeout": 0})
        with engine.connect() as connection:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                try:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                except sa.exc.OperationalError:
                    connection.rollback()
                    break
                connection.exec_driver_sql("ROLLBACK")
                connection.rollback()
                time.sleep(0.01)
        engine.dispose()
        return
    counted(site, "SELECT count(*) FROM pg_locks WHERE mode = 'ShareRowExclusiveLock' AND granted")


def wait_until_somebody_waits(site: Site) -> None:
    counted(site, "SELECT count(*) FROM pg_locks WHERE NOT granted")


def counted(site: Site, query: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with site.catalog.reading() as session:
            if session.connection().execute(sa.text(query)).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody shut the gate")
