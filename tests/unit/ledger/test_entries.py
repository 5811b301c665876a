"""What an entry may hold, and its one sequence of bytes."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from orchestrator.ledger import entry
from orchestrator.ledger.entry import Entry, disclosure, new_id
from orchestrator.ledger.entry_types import ACTS, OUTCOMES, TYPES

AT = datetime(2026, 11, 22, 15, 35, 37, 123456, UTC)
ID = "0199f1f0-0000-7000-8000-000000000001"
PLAIN = Entry("drill.done", ID, AT, "it", {"verdict": "verified", "files": 20})


def test_an_entry_has_one_sequence_of_bytes() -> None:
    assert entry.build(PLAIN) == (
        b'{"actor":"it","at":"2026-11-22T15:35:37.123Z","files":20,'
        b'"id":"0199f1f0-0000-7000-8000-000000000001","type":"drill.done","v":1,'
        b'"verdict":"verified"}'
    )


def test_an_entry_is_read_as_it_was_built() -> None:
    study = disclosure("study", "S-1")
    full = dataclasses.replace(
        PLAIN,
        subjects={"study": [study.commitment]},
        evidence={"report": "sha256:" + "0" * 64},
        note="as agreed",
        intent=ID,
    )
    found = entry.parse(entry.build(full))
    assert found == dataclasses.replace(full, at=AT.replace(microsecond=123000))


def test_time_is_written_in_utc_whatever_the_zone() -> None:
    local = AT.astimezone(timezone(timedelta(hours=-5)))
    assert entry.build(dataclasses.replace(PLAIN, at=local)) == entry.build(PLAIN)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "drill.made"},
        {"type": ["drill.done"]},
        {"id": "0199f1f0-0000-4000-8000-000000000001"},
        {"id": ID.upper()},
        {"at": AT.replace(tzinfo=None)},
        {"actor": ""},
        {"actor": "two words"},
        {"actor": "a" * 101},
        {"body": {"type": "drill.done"}},
        {"body": {"at": "now"}},
        {"body": {"Upper": 1}},
        {"body": {"": 1}},
        {"body": {"share": 0.5}},
        {"body": {"large": 2**53}},
        {"body": {"raw": b"x"}},
        {"body": {"broken": "\ud800"}},
        {"body": {"a": {"b": {1: 2}}}},
        {"subjects": {"study": ["S-1"]}},
        {"subjects": {"study": []}},
        {"subjects": {"study": "sha256:" + "0" * 64}},
        {"subjects": {"Study": ["sha256:" + "0" * 64]}},
        {"evidence": {"report": "0" * 64}},
        {"evidence": {"report": "sha256:" + "0" * 63}},
        {"evidence": {"report": "sha256:" + "A" * 64}},
        {"evidence": ["sha256:" + "0" * 64]},
        {"note": ""},
        {"note": " "},
        {"note": "n" * 201},
        {"note": "two\nlines"},
        {"note": "two\u2028lines"},
        {"note": 7},
        {"intent": "none"},
    ],
)
def test_what_an_entry_may_not_hold_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        entry.build(dataclasses.replace(PLAIN, **change))


@pytest.mark.parametrize("length", [65_535, 65_536])
def test_an_entry_has_less_than_65536_bytes(length: int) -> None:
    rest = length - len(entry.build(dataclasses.replace(PLAIN, body={"text": ""})))
    long = dataclasses.replace(PLAIN, body={"text": "x" * rest})
    if length > 65_535:
        with pytest.raises(ValueError, match="65536 bytes are more than 65535"):
            entry.build(long)
    else:
        assert len(entry.build(long)) == length


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        entry.build(PLAIN) + b"\n",
        entry.build(PLAIN).replace(b'"files":20', b'"files":20.0'),
        entry.build(PLAIN).replace(b'"files":20', b'"files":NaN'),
        entry.build(PLAIN).replace(b'"files":20', b'"files":-0'),
        entry.build(PLAIN).replace(b'"files":20', b'"files": 20'),
        entry.build(PLAIN).replace(b'"files":20', b'"files":20,"files":20'),
        entry.build(PLAIN).replace(b'"v":1', b'"v":2'),
        entry.build(PLAIN).replace(b'"v":1', b'"v":true'),
        entry.build(PLAIN).replace(b"verified", b"v\\u0065rified"),
        entry.build(PLAIN).replace(b".123Z", b".123456Z"),
        entry.build(PLAIN).replace(b".123Z", b".123+00:00"),
        entry.build(PLAIN).replace(b"-11-22", b"-13-22"),
        entry.build(PLAIN).replace(b'"type"', b'"subjects":{},"type"'),
        entry.build(PLAIN).replace(b'"actor":"it"', b'"actor":null'),
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_bytes_that_would_not_have_been_built_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        entry.parse(data)


def test_every_act_has_its_intent_and_all_outcomes() -> None:
    assert TYPES >= ACTS
    assert {f"{act}.{outcome}" for act in ACTS for outcome in OUTCOMES} <= TYPES


@pytest.mark.parametrize(
    "wanted",
    [
        "backup.day check.done drill.done probe.done missed retention.adopted clock.jump",
        "medium.registered medium.released medium.received medium.retired medium.overdue",
        "hold.placed hold.released approval.given approval.refused evidence.imported",
        "sanitization.proposed sanitization.approved sanitization.refused sanitization.recorded",
        "sanitization.validated sanitization.run sanitization.run.done sanitization.run.failed",
        "certificate.issued certificate.revoked certificate.imported cache.purged",
        "ledger.opened ledger.closed ledger.incident disposal.execute disposal.proposed",
    ],
)
def test_what_the_product_records_has_a_type(wanted: str) -> None:
    assert set(wanted.split()) <= TYPES


def test_ids_sort_by_time_and_are_those_of_the_standard() -> None:
    # RFC 9562 appendix A.6.
    at = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    random = (0xCC3 << 64 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert new_id(at, random=random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    ids = [new_id(at + timedelta(milliseconds=number)) for number in range(50)]
    assert ids == sorted(ids)
    assert len({new_id(at) for _ in range(50)}) == 50


def test_a_commitment_hides_its_value_and_opens_only_with_its_salt() -> None:
    first, second = disclosure("study", "S-1"), disclosure("study", "S-1")
    assert first.commitment != second.commitment
    held = dataclasses.replace(PLAIN, subjects={"study": [first.commitment]})
    assert first.opens(held)
    assert not second.opens(held)
    assert not dataclasses.replace(first, value="S-2").opens(held)
    assert not dataclasses.replace(first, kind="patient").opens(held)
    assert "S-1" not in entry.build(held).decode()


def test_kind_and_value_cannot_run_into_each_other() -> None:
    salt = b"\0" * 16
    assert entry.commitment("study", salt, "x") != entry.commitment("studyx", salt, "")
    for kind, wrong in (("study", b"short"), ("", salt), ("a b", salt)):
        with pytest.raises(ValueError, match=r"salt|kind"):
            entry.commitment(kind, wrong, "x")
