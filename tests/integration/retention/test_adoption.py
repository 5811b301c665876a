"""Adopting schedules: by whom, exactly what, and what an upgrade or an edit changes: nothing."""

from __future__ import annotations

import hashlib
import json

import pytest
import sqlalchemy as sa

from orchestrator.actions.certificates.files import evidence_path
from orchestrator.actions.retention.adopt import adopt
from orchestrator.actions.retention.doctor import look_at_retention
from orchestrator.actions.retention.listing import listing, one_schedule
from orchestrator.actions.retention.policy import current_policy
from orchestrator.actions.site import Site
from orchestrator.catalog import schedules as rows
from orchestrator.catalog.bulk import table_of
from orchestrator.catalog.retention_tables import AdoptedSchedule
from orchestrator.errors import ConfigError, DamageError, NotFoundError, RefusedError, UsageError
from orchestrator.retention.schedule import Policy
from tests.integration.retention.conftest import acting, local_schedule
from tests.support.due_studies import SCHEDULE
from tests.support.site import LabSite


def policy_of(site: Site) -> Policy:
    with site.catalog.reading() as session:
        return current_policy(site, session)


def adoptions(site: Site) -> list[dict[str, object]]:
    """Return what the ledger says was adopted, oldest first."""
    found = [json.loads(stored.data) for stored in site.ledger.reader().entries()]
    return [entry for entry in found if entry["type"] == "retention.adopted"]


@pytest.mark.parametrize("actor", ["system", "it"])
def test_only_a_person_of_compliance_adopts(lab: LabSite, actor: str) -> None:
    with acting(lab, actor) as site:
        with pytest.raises(RefusedError, match="compliance"):
            adopt(site, SCHEDULE)
        assert policy_of(site).adopted == ()
        assert adoptions(site) == []


def test_adopting_pins_the_text_in_catalog_ledger_and_evidence(lab: LabSite) -> None:
    with acting(lab) as site:
        done = adopt(site, SCHEDULE)
        assert (done.is_new, done.replaced, done.row.adopted_by) == (True, None, "privacy")
        assert done.reviewers == ["the project, from the pages cited; not by a lawyer"]
        text = done.row.text.encode()
        assert hashlib.sha256(text).hexdigest() == done.row.digest
        assert evidence_path(site, done.row.digest).read_bytes() == text
        majority, schedule = adoptions(site)
        assert (majority["schedule"], schedule["schedule"]) == ("majority", SCHEDULE)
        assert schedule["actor"] == "privacy"
        assert schedule["digest"] == done.row.digest
        assert schedule["evidence"] == {"text": f"sha256:{done.row.digest}"}
        policy = policy_of(site)
        assert [one.schedule.id for one in policy.adopted] == [SCHEDULE]
        assert "US-TX" in {one.jurisdiction for one in policy.majority}


def test_adopting_what_is_in_force_changes_nothing(lab: LabSite) -> None:
    with acting(lab) as site:
        first = adopt(site, SCHEDULE)
        again = adopt(site, SCHEDULE)
        assert (again.is_new, again.row.adopted_at) == (False, first.row.adopted_at)
        assert len(adoptions(site)) == 2
        assert not adopt(site, "majority").is_new


def test_an_upgrade_changes_nothing_until_it_is_adopted(lab: LabSite) -> None:
    local_schedule(lab, version="1", adult="30y")
    with acting(lab) as site:
        adopt(site, "own-rule")
        local_schedule(lab, version="2", adult="6y")
        (before,) = policy_of(site).adopted
        assert (before.schedule.version, before.schedule.rules[0].adult.years) == ("1", 30)
        shown = one_schedule(site, "own-rule")
        assert (shown.newer, shown.fault, shown.schedule.version) == ("2", None, "1")
        assert "2 is newer" in " ".join(one.detail for one in look_at_retention(site))
        done = adopt(site, "own-rule")
        assert (done.is_new, done.replaced) == (True, "1")
        (after,) = policy_of(site).adopted
        assert (after.schedule.version, after.schedule.rules[0].adult.years) == ("2", 6)
        with site.catalog.reading() as session:
            kept = rows.history(session, "own-rule")
        assert [(row.version, row.replaced_at is None) for row in kept] == [
            ("1", False),
            ("2", True),
        ]


def test_a_file_changed_under_its_version_stops_every_decision(lab: LabSite) -> None:
    local_schedule(lab, adult="30y")
    with acting(lab) as site:
        adopt(site, "own-rule")
        file = local_schedule(lab, adult="1y")
        for attempt in (
            policy_of,
            lambda site: adopt(site, SCHEDULE),
            lambda s: adopt(s, "own-rule"),
        ):
            with pytest.raises(ConfigError, match="was adopted with another text"):
                attempt(site)
        found = listing(site)
        assert found.changes[0].startswith(f"{file}: version: 1 of own-rule")
        assert one_schedule(site, "own-rule").fault == found.changes[0]
        # What is shown is what was adopted, not what the file says now.
        assert one_schedule(site, "own-rule").schedule.rules[0].adult.years == 30
        assert "fail" in {one.state for one in look_at_retention(site)}


def test_a_broken_file_is_refused_and_keeps_no_other_from_being_adopted(lab: LabSite) -> None:
    broken = local_schedule(lab, name="broken", adult="thirty years")
    local_schedule(lab, name="sound")
    with acting(lab) as site:
        with pytest.raises(ConfigError, match="is not a period"):
            adopt(site, "broken")
        assert adopt(site, "sound").is_new
        (faulty,) = listing(site).faulty
        assert (faulty.id, faulty.path) == ("broken", broken)
        # A draft that was never adopted stops no decision.
        assert len(policy_of(site).adopted) == 1


def test_a_template_must_be_filled_in_first(lab: LabSite) -> None:
    with acting(lab) as site, pytest.raises(ConfigError, match="blanks") as refused:
        adopt(site, "payer-contract")
    assert "retention_policies" in (refused.value.hint or "")


def test_a_site_cannot_pass_off_a_file_as_shipped_law(lab: LabSite) -> None:
    own = local_schedule(lab, name=SCHEDULE, adult="30y")
    with acting(lab) as site:
        # Nor takes anybody who wrote a longer rule the shipped one for it.
        with pytest.raises(ConfigError, match="is that of a shipped file"):
            adopt(site, SCHEDULE)
        assert policy_of(site).adopted == ()
        own.unlink()
        adopt(site, SCHEDULE)
        (adopted,) = policy_of(site).adopted
        assert adopted.schedule.kind == "jurisdiction"


def test_the_image_clock_is_a_decision_of_its_own(lab: LabSite) -> None:
    file = local_schedule(lab)
    text = file.read_text()
    file.write_text(
        text.replace("patient_record", "xray_image").replace("with_record", "own_clock")
    )
    with acting(lab) as site:
        with pytest.raises(UsageError, match="no separate clock"):
            adopt(site, SCHEDULE, image_clock=True)
        adopt(site, "own-rule")
        assert adopt(site, "own-rule", image_clock=True).is_new
        assert [one.image_clock for one in policy_of(site).adopted] == [True]
        assert adopt(site, "own-rule").is_new
        assert [one.image_clock for one in policy_of(site).adopted] == [False]


def test_an_unknown_schedule_is_not_found(lab: LabSite) -> None:
    with acting(lab) as site, pytest.raises(NotFoundError):
        adopt(site, "us-zz-dental")


def test_a_text_edited_in_the_catalog_is_damage_and_adopting_mends_it(lab: LabSite) -> None:
    with acting(lab) as site:
        adopt(site, SCHEDULE)
        table = table_of(AdoptedSchedule)
        with site.catalog.transaction() as session:
            session.connection().execute(
                sa.update(table)
                .where(table.c.schedule_id == SCHEDULE)
                .values(text=sa.func.replace(table.c.text, '"5y"', '"1y"'))
            )
        with pytest.raises(DamageError, match="was changed in the catalog"):
            policy_of(site)
        assert adopt(site, SCHEDULE).is_new
        assert policy_of(site).adopted[0].schedule.rules[0].adult.years == 5


def test_a_catalog_that_knows_less_than_the_ledger_decides_nothing(lab: LabSite) -> None:
    local_schedule(lab, version="1", adult="6y")
    with acting(lab) as site:
        adopt(site, "own-rule")
    before = {file: file.read_bytes() for file in lab.state.glob("catalog.sqlite*")}
    local_schedule(lab, version="2", adult="30y")
    with acting(lab) as site:
        adopt(site, "own-rule")
        assert {one.schedule.version for one in policy_of(site).adopted} == {"2"}
    # As after a rebuild from a copy that is older than the second adoption.
    for file in lab.state.glob("catalog.sqlite*"):
        file.unlink()
    for file, data in before.items():
        file.write_bytes(data)
    with acting(lab) as site:
        with pytest.raises(RefusedError, match="do not agree"):
            policy_of(site)
        assert "fail" in {one.state for one in look_at_retention(site)}
        assert adopt(site, "own-rule").is_new
        assert {one.schedule.version for one in policy_of(site).adopted} == {"2"}


def test_a_schedule_that_nobody_recorded_decides_nothing(lab: LabSite) -> None:
    with acting(lab) as site:
        row = adopt(site, SCHEDULE).row
        with site.catalog.transaction() as session:
            values = row.model_dump(exclude={"id"}) | {"schedule_id": "us-ok-dental"}
            rows.adopt(session, AdoptedSchedule(**values))
        with pytest.raises(RefusedError, match="us-ok-dental"):
            policy_of(site)


def test_a_jurisdiction_without_an_adopted_schedule_is_pointed_out(lab: LabSite) -> None:
    with acting(lab) as site:
        found = listing(site)
        assert found.uncovered == ["US-TX"]
        assert found.jurisdictions[0].offered == (SCHEDULE,)
        (finding,) = [one for one in look_at_retention(site) if one.state == "warn"]
        assert finding.hint == f"orchestrator --as ACTOR retention adopt {SCHEDULE}"
        # A rule of the site's own adds to the law and does not stand in for it.
        local_schedule(lab)
        adopt(site, "own-rule")
        assert listing(site).uncovered == ["US-TX"]
        adopt(site, SCHEDULE)
        assert listing(site).uncovered == []
