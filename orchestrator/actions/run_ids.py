"""Ids of runs: those of one store sort in the order in which they had its lock.

Which snapshots hold a file is told by comparing run ids, so an id that sorts before an earlier
run's would take a snapshot for one that lacks a held study. The clock alone cannot give that
order: two runs may share a second, wait for the lock in another order, or see the clock set back.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets

_FORM = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f]{6})")
_INSTANT = "%Y%m%dT%H%M%SZ"
_SUFFIXES = 16**6
_STEP = 16
"""Two hosts that count on from one id seldom meet."""


def fresh(now: dt.datetime) -> str:
    """Return an id made of an instant (UTC) and a random suffix."""
    return _made(now, secrets.randbelow(_SUFFIXES))


def after(wanted: str, latest: str | None) -> str:
    """Return `wanted` if it sorts after `latest`, else an id that does.

    Args:
        wanted: The id of `fresh`.
        latest: The greatest id the store has seen; None for none.
    """
    if latest is None or latest < wanted:
        return wanted
    form = _FORM.fullmatch(latest)
    if form is None:
        return f"{latest}-{secrets.token_hex(3)}"  # not of our making: longer sorts later
    instant = dt.datetime.strptime(form[1], _INSTANT).replace(tzinfo=dt.UTC)
    number = int(form[2], 16) + 1 + secrets.randbelow(_STEP)
    if number < _SUFFIXES:
        return _made(instant, number)
    return _made(instant + dt.timedelta(seconds=1), number - _SUFFIXES)


def _made(instant: dt.datetime, number: int) -> str:
    return f"{instant:{_INSTANT}}-{number:06x}"
