"""Proposing, approving and refusing batches, and what is said of them before."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest

from orchestrator.actions.disposal.decide_batch import approve, demand_executable, refuse
from orchestrator.actions.disposal.hints import OnHold
from orchestrator.actions.disposal.listing import listing, show
from orchestrator.actions.disposal.propose import propose
from orchestrator.actions.disposal.story import story
from orchestrator.actions.holds.place import Wish, place
from orchestrator.catalog import disposals
from orchestrator.errors import NotFoundError, RefusedError, UsageError
from tests.integration.disposal.conftest import acting
from tests.support.due_studies import BATCH, NEW, OLD, SCHEDULE, Made, patient_list
from tests.support.site import STORE, LabSite

SECOND_BATCH = BATCH.replace("0001", "0002")
FORTNIGHT = timedelta(days=14)


def entries(site: LabSite, kind: str) -> list[dict[str, object]]:
    listed = site.ask("ledger", "list", "--type", kind)["entries"]
    return list(listed)


def test_a_batch_is_everything_that_is_due_and_nothing_else(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        found = propose(site)
        with site.catalog.reading() as session:
            rows = disposals.studies(session, found.row.id)
        pseudonyms = site.catalog.keys.pseudonyms
        assert {one.study_key for one in rows} == {pseudonyms.study(one.uid) for one in OLD}
        assert {(one.schedule_id, one.state) for one in rows} == {(SCHEDULE, "due")}
        days = sorted((one.dates_from, one.dates_to) for one in rows)
        assert days == sorted((one.day, one.day) for one in OLD)
        assert (found.row.id, found.row.state, found.studies) == (BATCH, "proposed", 3)
        assert found.stores[0].files == sum(one.files for one in OLD)
        assert found.row.proposed_by == "it"


def test_a_study_of_an_open_batch_is_not_proposed_again_until_that_is_refused(
    lab: LabSite,
) -> None:
    with acting(lab, "it") as site:
        propose(site)
        with pytest.raises(RefusedError, match="3 stand in a batch that is under way"):
            propose(site, STORE)
    with acting(lab, "privacy") as site:
        refuse(site, BATCH, reason="the list of patients is looked at again")
    with acting(lab, "it") as site:
        again = propose(site, STORE)
        assert (again.row.id, again.studies) == (SECOND_BATCH, 3)
        assert [one.row.state for one in listing(site)] == ["refused", "proposed"]


def test_holds_that_came_after_the_proposal_are_told_to_whoever_approves(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        propose(site)
        study, kept = (site.catalog.keys.pseudonyms.study(one.uid) for one in (OLD[0], NEW))
        assert show(site, BATCH).on_hold == OnHold()
    with acting(lab, "privacy") as site:
        reason = "a letter of a lawyer"
        placed = place(site, Wish("study", matter="2026-CV-1", reason=reason, study=study))
        told = approve(site, BATCH)
        assert told.on_hold == OnHold(1, (placed.hold.hold,))
        words = f"1 of its studies are on hold {placed.hold.hold} now"
        assert told.hints[0].startswith(words)
    shown = lab.ask("disposal", "show", BATCH)
    assert shown["on_hold"] == {"studies": 1, "holds": [placed.hold.hold]}
    assert shown["next"] == []
    # Nothing stands in the ledger about a study that is kept, and that is an answer.
    assert lab.ask("ledger", "list", "--study", kept)["entries"] == []
    assert len(lab.ask("ledger", "list", "--study", study)["entries"]) == 2
    unknown = lab.run("ledger", "list", "--study", "f" * 32, expect=10)
    assert "neither the catalog nor the ledger knows" in unknown.error["message"]


def test_an_empty_batch_is_refused_with_what_is_kept_instead(lab: LabSite) -> None:
    kept = [Made(one.number, NEW.day) for one in (*OLD, NEW)]  # everybody was treated lately
    lab.run("--as", "privacy", "patients", "import", patient_list(lab, kept))
    with acting(lab, "it") as site:
        with pytest.raises(RefusedError, match="4 must be kept") as refused:
            propose(site)
        assert refused.value.hint == "orchestrator retention plan"
        assert listing(site) == []
        with pytest.raises(NotFoundError):
            propose(site, "nowhere")


def test_nobody_and_the_system_propose_nothing(lab: LabSite) -> None:
    with acting(lab, "system") as site, pytest.raises(RefusedError, match="takes a person"):
        propose(site)


def test_the_number_of_a_proposal_that_was_cut_off_is_never_given_again(
    lab: LabSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with acting(lab, "it") as site:
        with monkeypatch.context() as patched:
            patched.setattr(disposals, "add", die)
            with pytest.raises(KeyboardInterrupt):
                propose(site)
        assert listing(site) == []
        assert propose(site).row.id == SECOND_BATCH


def test_who_proposed_a_batch_cannot_approve_it(lab: LabSite) -> None:
    with acting(lab, "dentist") as site:
        propose(site)
        with pytest.raises(RefusedError, match="dentist proposed it and may not approve it"):
            approve(site, BATCH)
    with acting(lab, "it") as site, pytest.raises(RefusedError, match="role compliance"):
        approve(site, BATCH)
    with acting(lab, "system") as site, pytest.raises(RefusedError, match="takes a person"):
        approve(site, BATCH)
    with acting(lab, "privacy") as site:
        assert approve(site, BATCH).row.state == "approved"


@pytest.mark.parametrize(("one", "other"), [("privacy", "second"), ("second", "privacy")])
def test_one_human_under_two_names_in_the_site_file_is_one_person(
    lab: LabSite, one: str, other: str
) -> None:
    with acting(lab, one) as site:
        propose(site)
    with acting(lab, other) as site, pytest.raises(RefusedError, match="may not approve it"):
        approve(site, BATCH)


def test_renaming_the_proposer_in_the_site_file_makes_no_second_person(lab: LabSite) -> None:
    with acting(lab, "second") as site:
        propose(site)
    more = lab.values.more.replace('name = "Rivacy, P."', 'name = "S. Omebody"')
    lab.write(more=more)
    with acting(lab, "privacy") as site, pytest.raises(RefusedError, match="may not approve it"):
        approve(site, BATCH)


def test_approval_begins_the_quarantine_and_nothing_may_be_executed_in_it(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        row = propose(site).row
        with pytest.raises(RefusedError, match="is proposed, not approved"):
            demand_executable(site, row)
    with acting(lab, "privacy") as site:
        found = approve(site, BATCH)
        assert found.row.quarantine_until == found.row.decided_at + FORTNIGHT
        with pytest.raises(RefusedError, match="in quarantine until"):
            demand_executable(site, found.row)
        with pytest.raises(RefusedError, match="is approved, not proposed"):
            approve(site, BATCH)
    with acting(lab, "it", ahead=FORTNIGHT - timedelta(minutes=1)) as site:
        row = show(site, BATCH).row
        with pytest.raises(RefusedError, match="in quarantine until"):
            demand_executable(site, row)
    with acting(lab, "it", ahead=FORTNIGHT) as site:
        demand_executable(site, show(site, BATCH).row)


def test_a_clock_that_was_set_back_counts_no_quarantine(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        propose(site)
    with acting(lab, "privacy", ahead=-timedelta(days=30)) as site:
        with pytest.raises(RefusedError, match="the clock stands before"):
            approve(site, BATCH)
        assert show(site, BATCH).row.state == "proposed"
    with acting(lab, "privacy") as site:
        approve(site, BATCH)
    with acting(lab, "it", ahead=-timedelta(days=1)) as site:
        row = show(site, BATCH).row
        with pytest.raises(RefusedError, match="the clock stands before"):
            demand_executable(site, row)


def test_an_approved_batch_can_be_called_off_and_stays_so(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        propose(site)
    with acting(lab, "privacy") as site:
        approve(site, BATCH)
        with pytest.raises(UsageError, match="needs a reason"):
            refuse(site, BATCH, reason="  ")
        found = refuse(site, BATCH, reason="a lawyer has called")
        assert (found.row.state, found.row.decision_reason) == ("refused", "a lawyer has called")
        assert found.earliest_completion is None
        with pytest.raises(RefusedError, match="is refused, not proposed or approved"):
            refuse(site, BATCH, reason="again")
        with pytest.raises(RefusedError, match="is refused, not approved"):
            demand_executable(site, found.row)


def test_who_proposed_may_withdraw_it_and_others_without_the_role_may_not(lab: LabSite) -> None:
    with acting(lab, "dentist") as site:
        propose(site)
    with acting(lab, "it") as site, pytest.raises(RefusedError, match="role compliance"):
        refuse(site, BATCH, reason="not now")
    with acting(lab, "dentist") as site:
        assert refuse(site, BATCH, reason="not now").row.state == "refused"


def test_a_reason_that_names_a_patient_is_refused(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        propose(site)
    with acting(lab, "privacy") as site:
        for text in ("Zzyzx1 has sued", f"it is {OLD[0].patient_id}", f"see {OLD[0].uid}"):
            with pytest.raises(RefusedError, match="nobody is named in it"):
                refuse(site, BATCH, reason=text)
        assert show(site, BATCH).row.state == "proposed"


def test_notices_of_the_schedules_are_confirmed_before_an_approval(lab: LabSite) -> None:
    folder = lab.folder / "retention_policies"
    folder.mkdir()
    (folder / "practice.toml").write_text(NOTICE, encoding="utf-8")
    lab.run("--as", "privacy", "retention", "adopt", "practice")
    with acting(lab, "it") as site:
        found = propose(site)
        assert [one["text"] for one in found.notices] == ["Post a sign in the waiting room."]
    with acting(lab, "privacy") as site:
        with pytest.raises(RefusedError, match="Post a sign in the waiting") as refused:
            approve(site, BATCH)
        assert "--notice TEXT" in str(refused.value.hint)
        approve(site, BATCH, notice="A sign hangs since the first of the month.")
    (entry,) = entries(lab, "disposal.approved")
    assert entry["note"] == "A sign hangs since the first of the month."


def test_a_notice_that_came_into_force_after_the_proposal_is_asked_for_too(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        assert propose(site).notices == []
    folder = lab.folder / "retention_policies"
    folder.mkdir()
    (folder / "practice.toml").write_text(NOTICE, encoding="utf-8")
    lab.run("--as", "privacy", "retention", "adopt", "practice")
    with acting(lab, "privacy") as site, pytest.raises(RefusedError, match="Post a sign"):
        approve(site, BATCH)


def test_two_who_propose_at_once_get_one_batch(lab: LabSite) -> None:
    refusals: list[str] = []

    def work() -> None:
        try:
            with acting(lab, "it") as site:
                propose(site)
        except RefusedError as error:
            refusals.append(error.message)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refusals) == 1
    assert "3 stand in a batch" in refusals[0]
    assert len(lab.rows("SELECT * FROM disposal")) == 1


def test_the_ledger_knows_each_study_of_a_batch_and_names_nobody(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        propose(site)
        keys = [site.catalog.keys.pseudonyms.study(one.uid) for one in OLD]
    with acting(lab, "privacy") as site:
        refuse(site, BATCH, reason="not now")
    (entry,) = entries(lab, "disposal.proposed")
    assert len(entry["subjects"]["study"]) == 3  # type: ignore[index,call-overload]
    with acting(lab, "privacy") as site:
        told = story(site, BATCH, str(keys[0]))
        with pytest.raises(NotFoundError):
            story(site, BATCH, "nobody")
    says = [one.what for one in told.chapters]
    assert says[0].startswith("due since 2008-05-07 by us-tx-dental")
    assert says[1:] == [
        "proposed in a batch with everything that was due",
        "the batch was refused: the study is kept",
    ]
    text = json.dumps([entry, says])
    for one in OLD:
        assert one.patient_id not in text
        assert one.uid not in text
    assert "Zzyzx" not in text


NOTICE = """
id = "practice"
version = "1"
kind = "local"
title = "What this practice adds"

[[rule]]
id = "sign"
record_class = "patient_record"
trigger = "last_treatment"
adult = "1y"
images = "with_record"
confidence = "high"
reviewer = "D. Entist"
reviewed_on = 2026-11-01
review_by = 2126-11-01

[rule.minor]
form = "not_applicable"

[rule.citation]
instrument = "Practice handbook"
section = "4"
read_on = 2026-11-01

[[rule.notice]]
form = "posted_sign"
text = "Post a sign in the waiting room."
"""
