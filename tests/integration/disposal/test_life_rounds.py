"""The whole life of a store's studies by lot: whatever happens in whatever order, no harm is done.

Never a disposed study in a restore or drill, never a kept one lost, never complete with one left.
``DISPOSAL_LIFE_ROUNDS`` asks for more rounds, ``DISPOSAL_LIFE_SEED`` repeats one, with
``DISPOSAL_LIFE_EVENTS`` and ``DISPOSAL_LIFE_LOCK_PERIOD``; ``DISPOSAL_LIFE_CATALOG=postgres``
keeps the catalog there.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.integration.disposal.life_events import begin_a_disposal, execute, happen
from tests.integration.disposal.life_round import Round, make_round
from tests.integration.disposal.life_site import MORE
from tests.integration.disposal.life_worker import Worker
from tests.support.postgres_site import move_to_postgres
from tests.support.seed import seed
from tests.support.site import MakeSite

ROUNDS = int(os.environ.get("DISPOSAL_LIFE_ROUNDS", "2"))
EVENTS = int(os.environ.get("DISPOSAL_LIFE_EVENTS", "10"))
SEED = seed("DISPOSAL_LIFE_SEED")
CATALOG = os.environ.get("DISPOSAL_LIFE_CATALOG", "sqlite")
LOCK_PERIOD = os.environ.get("DISPOSAL_LIFE_LOCK_PERIOD", "8s")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_whatever_happens_in_whatever_order_no_harm_is_done(
    number: int, make_site: MakeSite, worker: Worker, request: pytest.FixtureRequest
) -> None:
    draw = random.Random(f"{SEED}/{number}")
    is_locked = number % 2 == 0
    server = request.getfixturevalue("object_lock_server") if is_locked else None
    print(f"seed {SEED}, round {number}")
    with ExitStack() as stack:
        lab = make_site(vault=is_locked, lock_period=LOCK_PERIOD, more=MORE)
        if CATALOG == "postgres":
            url = request.getfixturevalue("postgres_url")
            lab = move_to_postgres(lab, request.getfixturevalue("postgres_server"), url)
        (lab.folder / "media").mkdir()
        lab.write(search=lab.folder / "media")
        one = make_round(lab, worker, draw, stack, server)
        for turn in range(EVENTS):
            if turn == EVENTS // 4:
                begin_a_disposal(one)
            elif turn == EVENTS // 2:
                execute(one)
            happen(one)
        one.converge()
        say(one)


def say(one: Round) -> None:
    """Say how acts ended, and what came of the disposals."""
    acts = ", ".join(f"{name} {count}" for name, count in sorted(one.ended.items()))
    gone = sum(len(studies) for studies in one.complete.values())
    print(f"{len(one.complete)} disposals of {gone} studies complete, {one.restores} restores")
    print(acts)
