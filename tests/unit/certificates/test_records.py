from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchestrator.certificates import closing, encoding, rules, schema, sections, wording
from orchestrator.certificates.details import Held, HiddenArea
from orchestrator.certificates.phrases import Zone
from orchestrator.certificates.record import (
    PASSWORD_DESTRUCTION,
    Act,
    document,
    subject_of,
)
from orchestrator.errors import DamageError, EngineError, RefusedError, UsageError
from tests.support import certificate_records as acts

ALL = {
    "measured": acts.sanitization(),
    "rejected": acts.rejected(),
    "batch": acts.batch(),
    "disposal": acts.disposal(),
    "residue": acts.disposal_with_residue(),
    "key": acts.key_destruction(),
    "names": acts.foreign_names(),
}


def record_of(act: Act) -> dict[str, Any]:
    return document(acts.heading(), act)


def refused(act: Act) -> str:
    with pytest.raises(RefusedError) as error:
        rules.demand(act, record_of(act))
    return error.value.message


@pytest.mark.parametrize("name", ALL)
def test_every_kind_has_a_record_that_meets_schema_and_rules(name: str) -> None:
    rules.demand(ALL[name], record_of(ALL[name]))


@pytest.mark.parametrize("name", ALL)
def test_a_records_bytes_read_back(name: str) -> None:
    record = record_of(ALL[name])
    assert encoding.decode(encoding.encode(record)) == record


def test_a_record_without_exact_form_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        encoding.encode({"value": 1.5})


@pytest.mark.parametrize("raw", [b'{"b":1,"a":2}', b"[]", b"\xff"])
def test_bytes_that_are_not_canonical_are_no_record(raw: bytes) -> None:
    with pytest.raises(DamageError):
        encoding.decode(raw)


def places_in(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    if isinstance(value, dict):
        for key in value:
            found += places_in(value[key], (*at, key))
    elif isinstance(value, list) and value:
        found += places_in(value[0], (*at, 0))
    return found


@pytest.mark.parametrize("name", ["measured", "batch", "residue", "key"])
def test_every_missing_key_and_every_wrong_type_is_found(name: str) -> None:
    record = record_of(ALL[name])
    assert schema.faults(record) == []
    for place in places_in(record):
        for change in ("drop", "type"):
            changed = copy.deepcopy(record)
            holder = changed
            for step in place[:-1]:
                holder = holder[step]
            free = place[-2:-1] == ("evidence",)  # any names may stand there
            if change == "drop" and not (isinstance(place[-1], int) or free):
                del holder[place[-1]]
            else:
                holder[place[-1]] = 1.5
            assert schema.faults(changed), (place, change)


def test_an_unknown_key_is_refused_anywhere() -> None:
    record = record_of(acts.sanitization())
    for place in places_in(record):
        changed = copy.deepcopy(record)
        holder: Any = changed
        for step in place:
            holder = holder[step]
        if isinstance(holder, dict) and place[-1] != "evidence":
            holder["surprise"] = "x"
            assert any("surprise: is not known" in one for one in schema.faults(changed)), place


def test_a_day_that_does_not_exist_is_refused() -> None:
    record = record_of(acts.disposal())
    record["act"]["series"]["dates_from"] = "2015-02-30"
    assert schema.faults(record) == ["act.series.dates_from: is no date"]


def test_a_keyword_that_is_not_checked_is_refused() -> None:
    with pytest.raises(EngineError):
        schema.check({}, {"minProperties": 1}, {})


@pytest.mark.parametrize(
    "text",
    [
        "The data is unrecoverable.",
        "It cannot be recovered.",
        "irretrievably gone",
        "This process is HIPAA compliant.",
        "HIPAA-compliant",
        "compliant with NIST guidance",
        "NIST certified",
        "NIST SP 800-88 Rev. 2, section 3.1",
        "see Table 5 of SP 800-88",
        "IEEE 2883 § 4.2",
        "DoD 5220.22-M, three passes",
        "guaranteed",
        "permanently erased",
        "under the safe harbor",
    ],
)
def test_words_that_no_certificate_may_use_are_found(text: str) -> None:
    assert wording.forbidden(text)
    reasons = (text,)
    assert "are not allowed" in refused(acts.sanitization(method_reasons=reasons))


@pytest.mark.parametrize(
    "text",
    ["22 Tex. Admin. Code § 108.8", "100 % of all sectors", "NAID AAA certified, id 4711",
     "FIPS 140-3 certificate 5247, as the operator states it"],
)  # fmt: skip
def test_plain_facts_are_not_taken_for_such_words(text: str) -> None:
    assert wording.forbidden(text) == []


def test_every_certificate_says_what_it_does_not_claim() -> None:
    for act in ALL.values():
        said = record_of(act)["act"]["not_claimed"]
        assert len(said) >= 3
        attested = act.verification.basis == "attested"
        assert any("word of the persons named" in one for one in said) is attested


def test_a_disposal_states_the_normal_course_only_where_it_was() -> None:
    assert "normal course" in record_of(acts.disposal())["act"]["normal_course"]
    assert record_of(acts.disposal(normal_course=False))["act"]["normal_course"] is None


def test_who_performed_must_not_validate() -> None:
    same = dataclasses.replace(acts.ANN, part="validated")
    assert "must not validate" in refused(acts.sanitization(persons=(acts.ANN, same)))
    unnamed = dataclasses.replace(same, actor=None)
    assert "must not validate" in refused(acts.sanitization(persons=(acts.ANN, unnamed)))


def test_nobody_who_validated_is_no_validation() -> None:
    assert "who validated" in refused(acts.sanitization(persons=(acts.ANN,)))


def test_a_rejected_outcome_has_no_method_and_a_reason() -> None:
    rejected = acts.rejected()
    assert "has no method" in refused(dataclasses.replace(rejected, method="clear"))
    bare = dataclasses.replace(rejected.validation, reasons=())
    assert "needs a reason" in refused(dataclasses.replace(rejected, validation=bare))


@pytest.mark.parametrize("result", ["unverified", "not_verified"])
def test_a_method_needs_a_verified_outcome(result: Any) -> None:
    base = acts.sanitization()
    verification = dataclasses.replace(base.verification, result=result)
    assert "verified outcome" in refused(dataclasses.replace(base, verification=verification))


def test_what_a_vendor_attests_was_not_measured() -> None:
    batch = acts.batch()
    measured = dataclasses.replace(batch.verification, basis="measured", result="verified")
    assert "not measured here" in refused(dataclasses.replace(batch, verification=measured))


def test_a_medium_without_any_number_is_refused() -> None:
    base = acts.sanitization()
    bare = dataclasses.replace(base.medium, serial=None, property_number=None)
    assert "neither a serial" in refused(dataclasses.replace(base, medium=bare))


def test_absence_that_was_not_proved_is_not_claimed() -> None:
    base = acts.disposal()
    unproved = dataclasses.replace(base.copies[0], proved_at=None)
    assert "absence was not proved" in refused(dataclasses.replace(base, copies=(unproved,)))


def test_a_copy_that_is_left_must_be_named_with_its_end() -> None:
    left = acts.disposal_with_residue()
    assert "what is left there is not named" in refused(dataclasses.replace(left, residual=()))


def test_a_disposal_with_a_copy_left_is_not_verified_as_a_whole() -> None:
    left = acts.disposal_with_residue()
    verified = dataclasses.replace(left.verification, result="verified")
    assert "not verified as a whole" in refused(dataclasses.replace(left, verification=verified))


def test_a_disposal_needs_an_approval() -> None:
    assert "who approved" in refused(acts.disposal(persons=(acts.ANN,)))


def test_a_key_reaches_a_method_only_with_every_precondition_and_confirmation() -> None:
    sure = tuple(
        dataclasses.replace(one, answer="yes") for one in acts.key_destruction().preconditions
    )
    good = acts.key_destruction(method="purge", preconditions=sure)
    rules.demand(good, record_of(good))
    other = dataclasses.replace(good, technique=PASSWORD_DESTRUCTION)
    assert "only a cryptographic erase" in refused(other)
    plain = acts.key_destruction(technique=PASSWORD_DESTRUCTION)
    rules.demand(plain, record_of(plain))
    assert "not every precondition" in refused(acts.key_destruction(method="purge"))
    assert "is not confirmed" in refused(dataclasses.replace(good, confirmed_at=None))


def test_banner_of_a_destroyed_key_says_what_is_left() -> None:
    made = acts.key_destruction()
    shown = closing.banner("key_destruction", record_of(made)["act"])
    assert (shown["tone"], shown["headline"]) == ("care", "Key destroyed, encrypted copies remain")
    unsure = dataclasses.replace(made.verification, result="unverified")
    doubtful = dataclasses.replace(made, verification=unsure, residual=())
    shown = closing.banner("key_destruction", record_of(doubtful)["act"])
    assert (shown["tone"], shown["headline"]) == ("care", "Not verified as a whole")


def test_times_that_run_backwards_are_refused() -> None:
    late = acts.NOW + dt.timedelta(days=1)
    assert "ended before it began" in refused(acts.sanitization(started_at=late))
    assert "confirmed before" in refused(acts.key_destruction(destroyed_at=late))


def test_each_act_is_about_one_thing() -> None:
    assert len({subject_of(act) for act in ALL.values()}) == len(ALL)


def test_a_hidden_area_with_an_invented_outcome_is_refused() -> None:
    odd = HiddenArea(area="HPA", reached="perhaps", detail=None)  # type: ignore[arg-type]
    assert "none of the words" in refused(acts.sanitization(hidden_areas=(odd,)))


def test_the_committed_schema_is_the_one_that_is_packed() -> None:
    found = schema.schema()
    assert found["$schema"].endswith("2020-12/schema")
    assert json.loads(json.dumps(found)) == found


def residual_text(act: Act) -> str:
    record = record_of(act)
    blocks = closing.common(record["act"], Zone(ZoneInfo("UTC")))
    (block,) = [one for one in blocks if one["title"] == "Residual copies"]
    return str(block["text"])


def test_no_page_says_that_nothing_is_left_where_nobody_looked() -> None:
    base = acts.sanitization()
    assert "kept as named above" in residual_text(base)
    assert "not looked at" in residual_text(dataclasses.replace(base, held=Held()))
    assert "still holding its data" in residual_text(acts.rejected())


def test_who_recorded_the_work_of_others_must_not_validate_it() -> None:
    base = acts.sanitization()
    recorded = acts.person("recorded", "Bo Bauer", "Compliance officer")
    act = dataclasses.replace(base, persons=(*base.persons, recorded))
    assert "recorded the work must not validate it" in refused(act)


def test_an_agreement_that_had_expired_is_called_so() -> None:
    base = acts.batch(2)
    assert base.vendor is not None
    for expires, words in (
        (acts.DAY, "on file, until 4 Mar 2026"),
        (acts.DAY - dt.timedelta(days=1), "EXPIRED on 3 Mar 2026"),
        (None, "NONE ON FILE"),
    ):
        vendor = dataclasses.replace(base.vendor, agreement_expires=expires)
        record = record_of(dataclasses.replace(base, vendor=vendor))
        blocks = sections.of_kind(record["kind"], record["act"], Zone(ZoneInfo("UTC")))
        (block,) = [one for one in blocks if one["title"] == "Vendor"]
        assert ["Business associate agreement", words] in block["facts"]


def test_who_had_several_parts_on_one_day_signs_once() -> None:
    one = acts.person("requested", "Ann Archer", "IT administrator")
    same = dataclasses.replace(one, part="performed")
    later = dataclasses.replace(one, part="verified", date=acts.DAY + dt.timedelta(days=1))
    record = record_of(acts.sanitization(persons=(one, acts.CY, same, later, acts.BO)))
    signing = closing.people(record["act"])["people"]
    assert [(who["part"], who["date"][:1]) for who in signing] == [
        ("Requested by, Performed by", "4"),
        ("Approved by", "4"),
        ("Verified by", "5"),
        ("Validated by", "4"),
    ]


def test_a_batch_is_not_called_one_medium() -> None:
    assert "about the media listed" in residual_text(acts.batch(2))
