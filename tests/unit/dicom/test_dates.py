from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dicom.dates import DATE_KEYWORDS, parse_date, study_reference_date


@pytest.mark.parametrize("first", range(len(DATE_KEYWORDS)))
def test_the_first_usable_date_wins_in_the_fixed_order(first: int) -> None:
    fields = {keyword: f"200{i}0203" for i, keyword in enumerate(DATE_KEYWORDS) if i >= first}
    assert study_reference_date(fields) == (date(2000 + first, 2, 3), DATE_KEYWORDS[first])


def test_an_impossible_date_gives_way_to_the_next_field() -> None:
    fields = {"study_date": "20230229", "series_date": "20230228"}
    assert study_reference_date(fields) == (date(2023, 2, 28), "series_date")


def test_the_old_form_with_full_stops_is_read() -> None:
    assert parse_date("1997.04.24") == date(1997, 4, 24)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "00000000",
        "20231301",
        "20230132",
        "20230229",
        "2023-01-02",
        "2023.1.2",
        "2023.0102",
        "202301",
        "20230102123000",
        "20230101-20230201",
        "٢٠٢٣٠١٠٢",
        "+2023012",
        "TEST",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    assert parse_date(text) is None


def test_a_leap_day_is_a_date_in_leap_years_only() -> None:
    assert parse_date("20240229") == date(2024, 2, 29)
    assert parse_date("21000229") is None


def test_no_date_field_means_no_date() -> None:
    assert study_reference_date({"patient_birth_date": "19700101", "modality": "CT"}) is None


@given(st.dates())
def test_every_date_survives_both_spellings(day: date) -> None:
    assert parse_date(day.strftime("%Y%m%d").zfill(8)) == day
    assert parse_date(f"{day.year:04}.{day.month:02}.{day.day:02}") == day


@given(st.text(max_size=20))
def test_any_text_is_read_without_error(text: str) -> None:
    parse_date(text)
