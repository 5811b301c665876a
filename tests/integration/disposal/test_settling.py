"""A disposal after its execution: what it waits for, what completes it, what never does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from orchestrator.actions.certificates import certify
from orchestrator.actions.certificates.signer import certificate_path
from orchestrator.actions.certificates.verify import verify
from orchestrator.actions.disposal import ending
from orchestrator.actions.disposal.decide_batch import approve
from orchestrator.actions.disposal.doctor import look_at_disposals, look_at_suppression
from orchestrator.actions.disposal.execute import execute
from orchestrator.actions.disposal.listing import Batch, show
from orchestrator.actions.disposal.propose import propose
from orchestrator.actions.disposal.readmit import readmit
from orchestrator.actions.disposal.settle import settle
from orchestrator.actions.disposal.statement import contents, write
from orchestrator.actions.disposal.story import story
from orchestrator.actions.disposal.under_way import under_way
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, media
from orchestrator.catalog.copy_tables import Medium, MediumEvent
from orchestrator.catalog.sanitization_tables import Sanitization
from orchestrator.catalog.sanitizations import add as add_sanitization
from orchestrator.errors import RefusedError
from tests.integration.disposal.conftest import MORE, acting
from tests.support.due_studies import BATCH, NEW, OLD, dicom, fill
from tests.support.site import STORE, LabSite

AFTER = timedelta(days=14, hours=1)
LATER = datetime.now(UTC) + AFTER
CERTIFICATE = f"{LATER.astimezone(ZoneInfo('America/Chicago')).year}-0001"
MEDIUM = "ab" * 16


@pytest.fixture(scope="session")
def begun_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a site with an executed batch lies, once the first test has made it."""
    return tmp_path_factory.mktemp("begun") / "site"


@pytest.fixture
def begun(due_site: Callable[..., LabSite], begun_template: Path) -> LabSite:
    """Return a site with a batch that was executed and waits for a medium that is away."""
    lab = due_site(more=MORE + ROTATION)
    if not begun_template.exists():
        with acting(lab, "it") as site:
            propose(site)
            with site.catalog.transaction() as session:
                media.register(session, medium(site.clock.now()), actor="it")
        with acting(lab, "privacy") as site:
            approve(site, BATCH)
        with acting(lab, "it", ahead=AFTER) as site:
            execute(site, BATCH, dry_run=False)
        shutil.copytree(lab.folder, begun_template, symlinks=True)
    else:
        shutil.rmtree(lab.folder)
        shutil.copytree(begun_template, lab.folder, symlinks=True)
        lab.moved_in()
        lab.write()
    return lab


def medium(now: datetime) -> Medium:
    return Medium(
        id=MEDIUM,
        copy_="rotation",
        label="red",
        fs_uuid="0000-0001",
        state="away",
        registered_at=now,
        last_seen=now,
        due_at=now + timedelta(days=7),
    )


ROTATION = """
[copies.rotation]
role = "offline"
search = ["media"]
due_every = "7d"
"""


def sanitized(site: Site, *, method: str | None = "destroy", validation: str = "accepted") -> None:
    """Take the medium out of service and record that it was shredded."""
    now = site.clock.now()
    with site.catalog.transaction() as session:
        event = MediumEvent(medium=MEDIUM, at=now, actor="it", event="retired")
        media.record(session, event, state="retired")
        row = Sanitization(
            id="20261206-00000001",
            state="recorded",
            basis="attested",
            technique="shred",
            kind="hdd",
            medium=MEDIUM,
            proposed_by="it",
            proposed_at=now,
            ended_at=now,
            method=method,
            validation=validation,
            validated_by="privacy",
            validated_at=now,
        )
        add_sanitization(session, row)


def left(batch: Batch) -> dict[str, str]:
    return {one.copy: one.state for one in batch.copies if one.state != "absent"}


def settled(lab: LabSite) -> tuple[list[str], Batch]:
    with acting(lab, "system", ahead=AFTER) as site:
        return list(settle(site)), show(site, BATCH)


def test_what_lies_on_a_medium_that_is_away_keeps_a_disposal_open(begun: LabSite) -> None:
    problems, batch = settled(begun)
    assert (batch.row.state, left(batch), problems) == ("residual", {"rotation": "residual"}, [])
    (red,) = (one for one in batch.copies if one.copy == "rotation")
    assert "medium red is not here; it is overdue since" in str(red.detail)
    assert batch.earliest_completion is None
    assert batch.row.certificate is None


@pytest.mark.parametrize(
    ("method", "validation"), [(None, "accepted"), ("destroy", "rejected"), ("purge", "pending")]
)
def test_a_retired_medium_counts_as_free_only_when_its_sanitization_was_accepted(
    begun: LabSite, method: str | None, validation: str
) -> None:
    with acting(begun, "it", ahead=AFTER) as site:
        sanitized(site, method=method, validation=validation)
    problems, batch = settled(begun)
    assert (batch.row.state, left(batch), problems) == ("residual", {"rotation": "residual"}, [])


def test_the_last_copy_gone_brings_a_certificate_that_names_the_proofs(begun: LabSite) -> None:
    with acting(begun, "it", ahead=AFTER) as site:
        sanitized(site)
    problems, batch = settled(begun)
    assert problems == []
    assert (batch.row.state, batch.row.certificate, left(batch)) == ("complete", CERTIFICATE, {})
    with acting(begun, "privacy", ahead=AFTER) as site:
        found, record = certify.get(site, CERTIFICATE)
        assert found.state == "issued"
        assert verify(site, found.pdf).verdict == "valid"
        act = record["act"]
        assert (act["series"]["studies"], act["series"]["files"]) == (3, 6)
        assert len(act["series"]["subjects"]) == 3
        assert {one["copy"]: one["basis"] for one in act["copies"]} == {
            "live store": "measured",
            "disk": "measured",
            "rotation": "attested",
        }
        parts = [(one["part"], one["actor"]) for one in act["persons"]]
        assert parts == [
            ("requested", "it"),
            ("approved", "privacy"),
            ("performed", "it"),
            ("validated", "privacy"),
            ("verified", "system"),
        ]
        types = [site.ledger.reader().entry(index) for index in act["ledger"]]
        assert b"disposal.proposed" in types[0]
        assert b"disposal.residual" in types[-1]
        with site.catalog.reading() as session:
            assert {one.state for one in disposals.studies(session, BATCH)} == {"disposed"}
        study = str(site.catalog.keys.pseudonyms.study(OLD[0].uid))
        told = story(site, BATCH, study)
        text = found.record.read_text() + repr(told)
    assert told.chapters[-1].what in (f"certificate {CERTIFICATE} issued", "no copy is left")
    for one in OLD:
        assert one.patient_id not in text
        assert one.uid not in text
    assert settled(begun)[1].row.certificate == CERTIFICATE
    checked = begun.ask("ledger", "verify")
    assert (checked["verdict"], checked["problems"]) == ("verified", [])


def test_a_certificate_that_cannot_be_issued_leaves_the_disposal_open(begun: LabSite) -> None:
    with acting(begun, "it", ahead=AFTER) as site:
        sanitized(site)
        signer = certificate_path(site)
    signer.rename(signer.with_suffix(".away"))
    problems, batch = settled(begun)
    assert (batch.row.state, left(batch)) == ("residual", {})
    assert "its certificate cannot be issued" in problems[0]
    assert "no certificate is issued yet" in batch.hints[0]
    signer.with_suffix(".away").rename(signer)
    problems, batch = settled(begun)
    assert (problems, batch.row.state, batch.row.certificate) == ([], "complete", CERTIFICATE)


def test_a_kill_between_certificate_and_end_is_taken_up_with_the_same_certificate(
    begun: LabSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with acting(begun, "it", ahead=AFTER) as site:
        sanitized(site)
    with monkeypatch.context() as patched:
        patched.setattr(ending, "once", die)
        with pytest.raises(KeyboardInterrupt):
            settled(begun)
    problems, batch = settled(begun)
    assert (problems, batch.row.state, batch.row.certificate) == ([], "complete", CERTIFICATE)
    with acting(begun, "it", ahead=AFTER) as site:
        assert [one.number for one in certify.listing(site)] == [CERTIFICATE]


def test_a_copy_that_the_site_file_no_longer_names_keeps_a_disposal_open(begun: LabSite) -> None:
    begun.write(more=MORE)
    problems, batch = settled(begun)
    assert (batch.row.state, problems) == ("residual", [])
    (red,) = (one for one in batch.copies if one.copy == "rotation")
    assert (red.state, red.detail) == ("residual", "copy no longer configured")


def test_a_copy_that_is_added_meanwhile_must_be_proved_free_too(begun: LabSite) -> None:
    begun.write(more=MORE + ROTATION + SECOND)
    with acting(begun, "it", ahead=AFTER) as site:
        sanitized(site)
    _, batch = settled(begun)
    assert batch.row.state == "residual"
    assert set(left(batch)) == {"attic"}
    begun.run("init", begun.folder)
    begun.run("replicate", "attic")
    _, batch = settled(begun)
    assert (batch.row.state, left(batch)) == ("complete", {})


def test_a_hold_on_a_study_of_a_running_disposal_keeps_it_from_its_end(begun: LabSite) -> None:
    with acting(begun, "it", ahead=AFTER) as site:
        sanitized(site)
        study = str(site.catalog.keys.pseudonyms.study(OLD[0].uid))
    begun.run("--as", "privacy", "hold", "place", "--study", study, "--matter", "2026-CV-1",
              "--reason", "a letter of a lawyer")  # fmt: skip
    ((name,),) = (row.values() for row in begun.rows("SELECT id FROM hold"))
    _, batch = settled(begun)
    assert (batch.row.state, batch.row.paused) == ("residual", name)
    assert batch.row.certificate is None
    assert batch.earliest_completion is None
    with acting(begun, "it", ahead=AFTER) as site, pytest.raises(RefusedError, match=name):
        execute(site, BATCH, dry_run=False)


def test_a_study_that_came_back_is_left_to_a_person_and_keeps_a_disposal_open(
    begun: LabSite,
) -> None:
    with acting(begun, "it", ahead=AFTER) as site:
        sanitized(site)
    fill(begun, OLD[:1], empty=False)
    begun.run("backup")
    for _ in range(2):
        problems, batch = settled(begun)
        assert batch.row.state == "residual"
        assert "1 disposed studies are in store xrays again" in problems[0]
        assert left(batch) == {"live": "residual"}
        assert (begun.images / OLD[0].folder / "1.dcm").exists()
    assert len(begun.ask("ledger", "list", "--type", "disposal.partial")["entries"]) == 1
    with acting(begun, "it", ahead=AFTER) as site:
        execute(site, BATCH, dry_run=False)
        batch = show(site, BATCH)
    assert not (begun.images / OLD[0].folder).exists()
    assert (batch.row.state, left(batch)) == ("complete", {})


def test_a_study_that_came_back_after_the_end_is_an_alarm_and_goes_by_a_disposal_of_its_own(
    begun: LabSite,
) -> None:
    with acting(begun, "it", ahead=AFTER) as site:
        sanitized(site)
    assert settled(begun)[1].row.state == "complete"
    with acting(begun, "it") as site:
        assert {one.state for one in look_at_suppression(site)} == {"ok"}
    fill(begun, OLD[:1], empty=False)
    begun.run("backup")
    with acting(begun, "it") as site:
        (warning,) = look_at_suppression(site)
    assert (warning.state, warning.detail.split()[0]) == ("warn", "1")
    assert warning.hint == "orchestrator retention plan xrays --verdict review"
    with acting(begun, "it", ahead=AFTER) as site:
        again = propose(site).row.id
    assert again != BATCH
    with acting(begun, "privacy", ahead=AFTER) as site:
        approve(site, again)
    with acting(begun, "it", ahead=2 * AFTER) as site:
        execute(site, again, dry_run=False)
        batch = show(site, again)
        assert (batch.row.state, batch.studies, left(batch)) == ("complete", 1, {})
        assert {one.state for one in look_at_suppression(site)} == {"ok"}
    assert not (begun.images / OLD[0].folder).exists()


def test_what_a_running_disposal_removes_is_taken_into_no_records_again(begun: LabSite) -> None:
    fill(begun, OLD[:1], empty=False)
    begun.run("backup")
    with acting(begun, "privacy") as site:
        study = site.catalog.keys.pseudonyms.study(OLD[0].uid)
        with pytest.raises(RefusedError, match=f"{BATCH} removes it and is not complete") as caught:
            readmit(site, study, "the patient is treated again")
    assert caught.value.hint == f"orchestrator disposal show {BATCH} --study {study}"
    begun.run(*caught.value.hint.split()[1:])


def test_a_study_that_came_back_and_is_needed_is_not_removed_by_anybody(begun: LabSite) -> None:
    folder = begun.images / OLD[0].folder
    folder.mkdir(parents=True)
    (folder / "1.dcm").write_bytes(
        dicom(OLD[0], 1).replace(b"20030506", f"{NEW.day:%Y%m%d}".encode())
    )
    begun.run("backup")
    with acting(begun, "it", ahead=AFTER) as site:
        with pytest.raises(RefusedError, match="is kept now"):
            execute(site, BATCH, dry_run=False)
        assert show(site, BATCH).row.state == "residual"
    assert (folder / "1.dcm").exists()


def test_a_batch_of_which_nothing_may_go_any_more_ends_as_refused(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        propose(site)
    with acting(lab, "privacy") as site:
        approve(site, BATCH)
    lab.run("--as", "privacy", "hold", "place", "--store", STORE, "--matter", "2026-CV-2",
            "--reason", "an audit of the practice")  # fmt: skip
    with acting(lab, "it", ahead=AFTER) as site:
        execute(site, BATCH, dry_run=False)
        batch = show(site, BATCH)
    assert (batch.row.state, batch.studies) == ("refused", 0)
    assert batch.row.decision_reason == "every study was withheld when the batch was executed"
    assert sum(batch.withheld.values()) == len(OLD)
    assert all("on_hold" in why for why in batch.withheld)
    assert all((lab.images / one.folder).exists() for one in OLD)


def test_the_statement_says_what_remains_and_that_it_is_no_certificate(
    begun: LabSite,
) -> None:
    target = begun.folder / "statement.pdf"
    with acting(begun, "it", ahead=AFTER) as site:
        write(site, BATCH, target)
        with pytest.raises(RefusedError, match="exists already"):
            write(site, BATCH, target)
        said = contents(site, BATCH)
    assert [one.place for one in said.remaining] == ["copy rotation, medium red (xrays)"]
    assert {one.place for one in said.gone} == {"the store itself (xrays)", "copy disk (xrays)"}
    text = subprocess.run(
        ["pdftotext", "-layout", target, "-"], capture_output=True, text=True, check=True
    ).stdout
    assert "This is not a certificate of destruction: records remain." in text
    assert "medium red" in text
    for one in (*OLD, NEW):
        assert one.patient_id not in text
    assert "Zzyzx" not in text


def test_status_names_a_disposal_that_is_not_at_its_end_and_what_it_waits_for(
    begun: LabSite,
) -> None:
    with acting(begun, "it", ahead=AFTER) as site:
        (late,) = under_way(site)
        assert (late.disposal, late.state, late.left) == (
            BATCH,
            "residual",
            ("rotation (medium red)",),
        )
        assert late.residual_until is None, "an overdue medium says nothing of its return"
        due = site.clock.now() + timedelta(days=3)
        with site.catalog.transaction() as session:
            (row,) = (one for one in disposals.copies(session, BATCH) if one.medium)
            disposals.update_copy(session, disposals.CopyKey.of(row), residual_until=due)
        assert [one.residual_until for one in under_way(site)] == [due]
    (told,) = begun.ask("status")["disposals"]
    assert told["left"] == ["rotation (medium red)"]
    assert datetime.fromisoformat(told["residual_until"]) == due
    with acting(begun, "it", ahead=AFTER) as site:
        sanitized(site)
    settled(begun)
    assert begun.ask("status")["disposals"] == []


def test_the_day_of_a_medium_is_when_it_is_due_and_not_the_earliest(begun: LabSite) -> None:
    with acting(begun, "it", ahead=AFTER) as site:
        due = site.clock.now() + timedelta(days=3)
        with site.catalog.transaction() as session:
            red_row = media.get(session, MEDIUM)
            red_row.due_at = due
            session.add(red_row)
    settled(begun)
    with acting(begun, "it", ahead=AFTER) as site:
        said = contents(site, BATCH)
        day = due.astimezone(site.config.timezone)
    (red,) = said.remaining
    words = f"{day.day} {day:%B %Y}"
    assert red.until == f"due back {words}; it may come earlier"
    assert f"on {words}, when the last medium is due back, or when it comes back" in said.state
    assert "not before" not in said.state + red.until


def test_doctor_names_an_open_disposal_and_says_when_it_has_waited_too_long(
    begun: LabSite,
) -> None:
    def told(ahead: timedelta) -> tuple[str, str, str | None]:
        with acting(begun, "it", ahead=ahead) as site:
            (one,) = look_at_disposals(site)
        return one.state, one.detail, one.hint

    detail = f"{BATCH}: residual, 3 studies; left on rotation (medium red)"
    hint = f"orchestrator disposal show {BATCH}"
    assert told(AFTER) == ("ok", detail, hint)
    state, words, next_step = told(AFTER + timedelta(days=8))
    assert (state, next_step) == ("warn", hint)
    assert "a copy still holds what should be gone" in words
    with acting(begun, "it", ahead=AFTER) as site:
        sanitized(site)
    settled(begun)
    assert told(AFTER) == ("ok", "none is under way", None)


def test_nothing_is_stated_of_what_was_not_begun_or_is_complete(lab: LabSite) -> None:
    with acting(lab, "it") as site:
        propose(site)
        with pytest.raises(RefusedError, match="nothing was removed"):
            write(site, BATCH, lab.folder / "statement.pdf")


SECOND = """
[copies.attic]
role = "local"
path = "copies/attic"
"""
