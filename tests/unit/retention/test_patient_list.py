"""Reading a patient list: its form, its dates, every fault of every row, hostile files."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import ConfigError
from orchestrator.retention.patient_list import LONGEST_LINE, read_rows
from orchestrator.retention.patient_row import COLUMNS, Row

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
CHICAGO = ZoneInfo("America/Chicago")
HEADER = (
    "patient_id,issuer,birth_date,last_treatment_date,deceased_date,legal_hold,hold_reason,"
    "merged_into,exported_at"
)


def rows_of(text: str | bytes, *, now: dt.datetime = NOW) -> list[Row]:
    data = text if isinstance(text, bytes) else text.encode()
    return read_rows(io.BytesIO(data), now=now, zone=CHICAGO)


def one(line: str, header: str = HEADER) -> Row:
    (row,) = rows_of(f"{header}\n{line}\n")
    return row


def test_a_row_is_read_whole() -> None:
    row = one("4711,ELM,1980-02-29,2020-05-06,2021-07-08,1,case 17,4712,2026-03-01T06:30:00Z")
    assert (row.line, row.patient_id, row.issuer, row.merged_into) == (2, "4711", "ELM", "4712")
    assert row.born == dt.date(1980, 2, 29)
    assert (row.last_treatment, row.died) == (dt.date(2020, 5, 6), dt.date(2021, 7, 8))
    assert (row.is_held, row.hold_reason, row.is_incompetent) == (True, "case 17", False)
    assert row.exported_at == dt.datetime(2026, 3, 1, 6, 30, tzinfo=dt.UTC)
    assert not row.faults


@pytest.mark.parametrize(
    "data",
    [
        HEADER.replace(",", ";") + "\n7;;1980-01-02;;;;;;2026-03-01\n",
        "\ufeff" + HEADER + "\n7,,1980-01-02,,,,,,2026-03-01\n",
        HEADER + "\r\n7,,1980-01-02,,,,,,2026-03-01\r\n",
        HEADER + "\n7,,1980-01-02,,,,,,2026-03-01",
        '"patient_id","birth_date","last_treatment_date","exported_at"\n'
        '"7","1980-01-02","","2026-03-01"\n',
        "PATIENT_ID ,birth_date,last_treatment_date,exported_at\n 7 ,19800102,,20260301\n",
    ],
    ids=["semicolons", "byte order mark", "CRLF", "no last line end", "quoted", "blanks"],
)
def test_every_usual_form_of_the_file_is_read_alike(data: str) -> None:
    (row,) = rows_of(data)
    assert (row.patient_id, row.born, row.faults) == ("7", dt.date(1980, 1, 2), set())
    assert row.exported_at == dt.datetime(2026, 3, 1, 6, tzinfo=dt.UTC)  # midnight in Chicago


def test_blank_lines_are_no_rows_and_keep_their_numbers() -> None:
    rows = rows_of(f"{HEADER}\n\n7,,,,,,,,\n   \n,,,,,,,,\r\n8,,,,,,,,\n")
    assert [(row.line, row.patient_id) for row in rows] == [(3, "7"), (6, "8")]


def test_quoted_fields_hold_separators_quotes_and_line_breaks() -> None:
    text = f'{HEADER}\n7,,,,,1,"one, ""two""\nthree",,2026-03-01\n8,,,,,,,,\n'
    first, second = rows_of(text)
    assert first.hold_reason == 'one, "two" three'
    assert (second.line, second.patient_id) == (4, "8")


def test_an_open_quote_rejects_its_own_row_and_swallows_no_patient() -> None:
    lines = [f"{number},,,,,,,," for number in range(100, 160)]
    lines[10] = '110,,,,,1,"never closed,,2026-03-01'
    rows = rows_of("\n".join([HEADER, *lines]))
    assert [row.line for row in rows] == list(range(2, 62))
    assert [row.line for row in rows if row.faults] == [12]
    assert rows[10].faults == {"quoting_wrong"}


def test_two_open_quotes_near_each_other_swallow_no_patient_between_them() -> None:
    lines = [f"{number},,,,,,,," for number in range(100, 110)]
    lines[2] = '102,,,,,1,"open,,'
    lines[6] = '106,,,,,1,"open,,'
    rows = rows_of("\n".join([HEADER, *lines]))
    assert [row.line for row in rows if row.faults] == [4, 8]
    assert len(rows) == 10


def test_a_sign_of_inches_is_no_quote() -> None:
    row = one('7,,,,,1,6" ruler,,')
    assert (row.hold_reason, row.faults) == ('6" ruler', set())


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("", "empty"),
        ("4711,1980-02-29,2020-05-06,2026-03-01", "column 1 is none of"),
        (f"{HEADER},legal_hlod", "column 10 is none of"),
        (f"{HEADER},issuer", "column issuer is there twice"),
        ("patient_id,birth_date,last_treatment_date", "column exported_at is missing"),
        ("patient_id\tbirth_date", "column 1 is none of"),
    ],
)
def test_a_header_that_is_not_ours_is_refused_without_showing_it(header: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        rows_of(header)
    assert any(told in fault for fault in refused.value.faults)
    assert not any(secret in refused.value.message for secret in ("4711", "1980", "2020", "hlod"))


def test_every_fault_of_a_header_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        rows_of("patient_id,issuer,issuer,colour\n")
    assert len(refused.value.faults) == 1 + 1 + 3


@pytest.mark.parametrize(
    "data",
    [HEADER.encode("utf-16"), b"\0" * 500, b"\xff\xfe" + HEADER.encode(), b"\x89PNG\r\n\x1a\n"],
    ids=["UTF-16", "zeros", "other mark", "a picture"],
)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError):
        rows_of(data)


def test_bytes_that_are_no_utf8_reject_their_row_alone() -> None:
    bad, good = rows_of(HEADER.encode() + b"\n7,,,,,1,M\xfcller,,\n8,,,,,1,M\xc3\xbcller,,\n")
    assert (bad.faults, bad.patient_id) == ({"not_utf8"}, "")
    assert (good.faults, good.hold_reason) == (set(), "Müller")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("7,,,,,,,", "wrong_number_of_fields"),
        ("7,,,,,,,,,", "wrong_number_of_fields"),
        ("7\0,,,,,,,,", "control_character"),
        ("7\t8,,,,,,,,", "control_character"),
        ("7\u200b,,,,,,,,", "control_character"),
        ('"7"8,,,,,,,,', "quoting_wrong"),
        ("7" * 129 + ",,,,,,,,", "value_too_long"),
        (" ,ELM,,,,,,,", "patient_id_missing"),
        ("0000,,,,,,,,", "patient_id_placeholder"),
        ("7,,02/29/1980,,,,,,", "birth_date_unreadable"),
        ("7,,1981-02-29,,,,,,", "birth_date_unreadable"),
        ("7,,1981-0229,,,,,,", "birth_date_unreadable"),
        ("7,,1980.01.02,,,,,,", "birth_date_unreadable"),
        ("7,,1899-12-30,,,,,,", "birth_date_implausible"),
        ("7,,2026-03-03,,,,,,", "date_in_future"),
        ("7,,,2026-03-03,,,,,", "date_in_future"),
        ("7,,,,2026-03-03,,,,", "date_in_future"),
        ("7,,,yesterday,,,,,", "last_treatment_date_unreadable"),
        ("7,,,,2020-13-01,,,,", "deceased_date_unreadable"),
        ("7,,1980-01-02,1979-01-01,,,,,", "treated_before_birth"),
        ("7,,1980-01-02,,1979-01-01,,,,", "died_before_birth"),
        ("7,,,2020-01-02,2020-01-01,,,,", "treated_after_death"),
        ("7,,,,,yes,,,", "legal_hold_unreadable"),
        ("7,,,,,,,,soon", "exported_at_unreadable"),
        ("7,,,,,,,,2026-02-30", "exported_at_unreadable"),
        ("7,,,,,,,,2026-W09-1", "exported_at_unreadable"),
        ("7,,,,,,,,0001-01-01T00:00:00+23:59", "exported_at_unreadable"),
    ],
)
def test_a_wrong_row_is_rejected_with_its_reason(line: str, fault: str) -> None:
    row = one(line)
    assert row.faults == {fault}


def test_all_faults_of_a_row_are_told() -> None:
    row = one("7,,bad,2026-05-01,1890-01-01,maybe,,,never")
    assert row.faults == {
        "birth_date_unreadable",
        "date_in_future",
        "deceased_date_implausible",
        "treated_after_death",
        "legal_hold_unreadable",
        "exported_at_unreadable",
    }


@pytest.mark.parametrize("nothing", ["", "NULL", "\\N", "0001-01-01", "00010101", "0000-00-00"])
def test_what_databases_write_for_no_date_is_no_date(nothing: str) -> None:
    row = one(f"7,,{nothing},{nothing},{nothing},,,,")
    assert (row.born, row.last_treatment, row.died, row.faults) == (None, None, None, set())


@pytest.mark.parametrize("nothing", ["NULL", "\\N"])
def test_what_databases_write_for_nothing_is_an_empty_field(nothing: str) -> None:
    row = one(f"7,{nothing},,,,{nothing},{nothing},{nothing},{nothing}")
    assert (row.issuer, row.merged_into, row.is_held, row.faults) == ("", "", False, set())
    assert one(f"{nothing},,,,,,,,").faults == {"patient_id_missing"}


def test_the_day_of_the_import_is_that_of_the_site() -> None:
    late = dt.datetime(2026, 3, 3, 4, tzinfo=dt.UTC)  # still the second of March in Chicago
    (row,) = rows_of(f"{HEADER}\n7,,,2026-03-03,,,,,\n", now=late)
    assert row.faults == {"date_in_future"}


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-01 06:30", dt.datetime(2026, 3, 1, 12, 30)),
        ("2026-03-01T06:30:15", dt.datetime(2026, 3, 1, 12, 30, 15)),
        ("2026-03-01T06:30:15.25+01:00", dt.datetime(2026, 3, 1, 5, 30, 15, 250_000)),
        ("2026-07-01", dt.datetime(2026, 7, 1, 5)),
    ],
)
def test_the_time_of_export_without_a_zone_is_the_sites(text: str, instant: dt.datetime) -> None:
    assert one(f"7,,,,,,,,{text}").exported_at == instant.replace(tzinfo=dt.UTC)


def test_a_hold_that_cannot_be_read_counts_as_one() -> None:
    assert one("7,,,,,Y,,,").is_held
    assert not one("7,,,,,0,,,").is_held


def test_disability_is_stated_in_a_column_of_its_own() -> None:
    header = "patient_id;birth_date;last_treatment_date;exported_at;incompetent"
    assert one("7;;;;1", header).is_incompetent
    assert one("7;;;;2", header).faults == {"incompetent_unreadable"}


def test_values_are_compared_in_normal_form_and_formulas_are_text() -> None:
    full_width = one("\uff17\uff18,,,,,,,,")
    assert (full_width.patient_id, full_width.faults) == ("78", set())
    assert one('"=HYPERLINK(""http://x"")",,,,,,,,').patient_id == '=HYPERLINK("http://x")'


def test_a_row_shows_nobody_in_a_message() -> None:
    row = one("SECRET-ID,ELM,1980-02-29,2020-05-06,,1,SECRET-REASON,SECRET-INTO,bad")
    assert repr(row) == "Row(line=2, faults=['exported_at_unreadable'])"


def test_a_line_without_end_in_quotes_stays_small() -> None:
    def lines() -> Iterator[bytes]:
        yield HEADER.encode() + b"\n"
        for _ in range(200):
            yield b'"' + b"x" * (LONGEST_LINE - 2) + b"\n"

    rows = read_rows(lines(), now=NOW, zone=CHICAGO)
    assert len(rows) == 200
    assert all(row.faults for row in rows)


def test_rows_beyond_the_most_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.retention.patient_list.MOST_ROWS", 3)
    lines = f"{HEADER}\n" + "7,,,,,,,,\n" * 4
    with pytest.raises(ConfigError, match="more than 3 rows"):
        rows_of(lines)


_TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=30)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(_TEXT, min_size=1, max_size=12), max_size=8))
def test_any_text_is_read_without_a_crash_and_every_row_is_accounted_for(
    table: list[list[str]],
) -> None:
    body = "\n".join(",".join(fields) for fields in table).replace('"', "")
    data = f"{HEADER}\n{body}\n".encode()
    wanted = [line for line in data.split(b"\n")[1:] if line.strip(b" \t\r\n;,")]
    rows = rows_of(data)
    assert len(rows) == len(wanted)
    for row in rows:
        assert row.faults or (row.patient_id and row.line > 1)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_behind_a_header_are_read_without_a_crash(data: bytes) -> None:
    for row in rows_of(HEADER.encode() + b"\n" + data):
        assert row.line >= 2


def test_the_columns_are_those_that_are_documented() -> None:
    assert set(HEADER.split(",")) | {"incompetent"} == set(COLUMNS)
