from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.period import LONGEST, format_period, parse_period


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(days=1)),
        ("35d", timedelta(days=35)),
        ("7y", timedelta(days=7 * 365)),
        ("100y", LONGEST),
    ],
)
def test_periods_are_a_number_and_a_unit(text, length):
    assert parse_period(text) == length


@pytest.mark.parametrize(
    "text", ["", "24", "h", "1.5h", "1 h", "1H", "1w", "24h ", "٣d", "0s", "-1h", "101y"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"period|zero|longer"):
        parse_period(text)


@given(st.timedeltas(timedelta(seconds=1), LONGEST))
def test_what_is_written_reads_back_to_the_second(length):
    whole = timedelta(seconds=int(length.total_seconds()))
    assert parse_period(format_period(length)) == whole
