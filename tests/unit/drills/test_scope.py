"""Slices of a store: disjoint, complete, and stable while studies are added."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.drills.scope import MOST_SLICES, Scope, parse_scope, slice_of
from orchestrator.errors import UsageError

KEYS = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=16, max_size=16)


@given(st.sets(KEYS, max_size=60), st.integers(1, 60))
def test_slices_are_disjoint_and_together_everything(keys: set[str], of: int) -> None:
    slices = [Scope(number=number, of=of) for number in range(1, of + 1)]
    for key in keys:
        assert sum(one.covers(key, is_study=True) for one in slices) == 1


@given(KEYS, st.integers(1, MOST_SLICES))
def test_a_study_stays_in_its_slice(key: str, of: int) -> None:
    assert 1 <= slice_of(key, of) == slice_of(key, of) <= of


def test_a_slice_never_changes_between_releases() -> None:
    assert [slice_of("abcdefghijklmnop", of) for of in (1, 7, 52)] == [1, 6, 23]


def test_one_study_is_no_file_of_no_study() -> None:
    scope = parse_scope("study:abcdefghijklmnop")
    assert scope.covers("abcdefghijklmnop", is_study=True)
    assert not scope.covers("abcdefghijklmnop", is_study=False)
    assert not scope.is_all


@pytest.mark.parametrize("text", ["all", "3/52", "study:abcdefghijklmnop"])
def test_a_scope_reads_back_what_it_says(text: str) -> None:
    assert str(parse_scope(text)) == text


@pytest.mark.parametrize(
    "text", ["", "0/4", "5/4", "1/1001", "1/0", "study:", "study:ABCDEFGHIJKLMNOP", "-1/4", "x"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_scope(text)


def test_the_only_slice_is_everything() -> None:
    assert parse_scope("1/1").is_all
