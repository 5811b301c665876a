"""What happens to the ledger when processes die, disks fill and clocks jump."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from orchestrator.actions.backup import back_up
from orchestrator.actions.ledger.mirror import parsed
from orchestrator.actions.ledger.record import Event, announced, record, record_new, settle
from orchestrator.catalog import ledger as rows
from orchestrator.errors import OrchestratorError, RefusedError, UsageError
from tests.support.clock import ShiftedClock
from tests.support.loop import loop_file_system


def entries(site):
    reader = site.ledger.reader()
    return [parsed(one.index, one.data) for one in reader.entries()]


def types(site):
    return [entry.type for entry in entries(site)]


BEGINNING = ["ledger.opened", "key.created"]
"""What `init` records."""

ACT_AND_DIE = """
    import os, signal, sys
    from pathlib import Path
    from orchestrator.wiring import open_site
    from orchestrator.actions.ledger.record import Event, announced
    site = open_site(Path(sys.argv[1]))
    with announced(site, Event("medium.retire", {"medium": "m1"})):
        if sys.argv[2] == "wait":
            print("acting", flush=True)
            sys.stdin.read()
        else:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def acting(site, how):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ACT_AND_DIE), str(site.file), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_an_intent_of_a_killed_process_is_settled_once_and_that_of_a_living_one_is_not(make_site):
    lab = make_site()
    with acting(lab, "die") as dead:
        assert dead.wait(timeout=240) == -signal.SIGKILL
    with acting(lab, "wait") as alive:
        assert alive.stdout is not None
        assert alive.stdout.readline() == "acting\n"
        with lab.opened() as site:
            (made,) = settle(site)
            assert settle(site) == []
            by_id = {entry.id: entry for entry in entries(site)}
            settled = parsed(made.index, made.entry)
            assert settled.type == "medium.retire.interrupted"
            assert by_id[settled.intent or ""].type == "medium.retire"
        alive.communicate(timeout=240)
    with lab.opened() as site:
        assert types(site) == [
            *BEGINNING,
            "medium.retire",
            "medium.retire",
            "medium.retire.interrupted",
            "medium.retire.done",
        ]


def test_an_act_that_fails_is_recorded_as_failed_without_its_words(make_site):
    with make_site().opened() as site:
        with (
            pytest.raises(ValueError, match="Doe"),
            announced(site, Event("medium.retire", {"medium": "m"})),
        ):
            raise ValueError("/srv/Doe^Jane")
        failed = entries(site)[-1]
        assert failed.type == "medium.retire.failed"
        assert failed.body == {"error": "ValueError"}


def test_what_cannot_be_announced_does_not_happen(make_site):
    lab = make_site()
    done = []
    with lab.opened() as site:
        (site.ledger.folder / "checkpoint").write_bytes(b"nonsense\n")
        with (
            pytest.raises(OrchestratorError),
            announced(site, Event("medium.retire", {"medium": "m"})),
        ):
            done.append("harm")
    assert done == []


def test_two_writers_leave_every_entry_and_one_history(make_site):
    lab = make_site()

    def write(number):
        with lab.opened() as site:
            for one in range(5):
                record(site, [Event("key.created", {"writer": number, "one": one})])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    with lab.opened() as site:
        found = {(e.body["writer"], e.body["one"]) for e in entries(site) if "writer" in e.body}
    assert len(found) == 10
    assert lab.ask("ledger", "verify")["verdict"] == "verified"


def test_an_occasion_that_several_see_is_recorded_once(make_site):
    lab = make_site()
    event = Event("probe.done", {"copy": "vault", "probed_at": "t", "verdict": "held"})

    def see(_):
        with lab.opened() as site:
            return len(record_new(site, [event]))

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(see, range(3))) == 1


def test_a_catalog_that_lost_its_account_reads_it_from_the_ledger(make_site):
    lab = make_site()
    event = Event("probe.done", {"copy": "vault", "probed_at": "t", "verdict": "held"})
    with lab.opened() as site:
        record_new(site, [event])
        with site.catalog.transaction() as session:
            session.connection().exec_driver_sql("delete from ledger_seen")
            session.connection().exec_driver_sql("update ledger set mirrored = 0")
        assert record_new(site, [event]) == []


def test_a_clock_before_the_last_entry_is_said_and_the_times_stay_the_clocks(make_site):
    lab = make_site()
    with lab.opened(ShiftedClock(timedelta(hours=5))) as ahead:
        record(ahead, [Event("key.created", {"n": 1})])
    with lab.opened() as site:
        record(site, [Event("key.created", {"n": 2})])
        record(site, [Event("key.created", {"n": 3})])
        found = entries(site)
    assert [one.type for one in found][-3:] == ["clock.jump", "key.created", "key.created"]
    assert found[-3].at < found[-4].at
    assert abs(found[-3].body["behind_s"] - 5 * 3600) < 600


def test_a_full_disk_loses_nothing_and_makes_a_backup_partial(make_site, tmp_path):
    lab = make_site()
    with loop_file_system(tmp_path) as small:
        ledger, moved = lab.state / "ledger", small.mount_point / "ledger"
        shutil.copytree(ledger, moved)
        shutil.rmtree(ledger)
        ledger.symlink_to(moved)
        filler = small.mount_point / "filler"
        fill_up(filler)
        with lab.opened() as site, pytest.raises(OrchestratorError, match="no space"):
            record(site, [Event("key.created", {"pad": "x" * 30000})] * 9)
        fill_up(filler)
        with lab.opened(ShiftedClock(timedelta(days=1))) as later:
            (result,) = back_up(later, ["xrays"], copies=[])
        assert (result.snapshot is not None, result.outcome) == (True, "partial")
        filler.unlink()
        with lab.opened() as site:
            assert types(site) == BEGINNING
            record(site, [Event("key.created", {"n": 2})])
        assert lab.ask("ledger", "verify")["verdict"] == "verified"


def fill_up(path):
    """Take every byte that is left."""
    for piece in (1 << 20, 1 << 12, 1):
        with path.open("ab", buffering=0) as out:
            try:
                while out.write(bytes(piece)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


@pytest.mark.parametrize(
    "note",
    [
        "study 1.2.840.113619.2.55.3 went",
        "see /srv/images/a",
        "picture anna.dcm",
        "about {family}",
        "id {id} was wrong",
        "x" * 201,
    ],
)
def test_a_note_that_names_somebody_is_refused(noted, note):
    site, family, number = noted
    text = note.format(family=family.lower(), id=number)
    with pytest.raises((RefusedError, UsageError)) as refused:
        record(site, [Event("hold.placed", note=text)])
    assert family.lower() not in refused.value.message.lower()
    assert number not in refused.value.message


def test_a_note_that_names_nobody_is_taken(noted):
    site, _, _ = noted
    made = record(site, [Event("hold.placed", note="asked for by the attorney, see file 7")])
    assert b"attorney" in made[0].entry


@pytest.fixture(scope="module")
def patient():
    return "Zwetschgenbaum", "PX-90-4711"


@pytest.fixture
def noted(make_site, patient):
    from tests.support.catalog_rows import image, study_date

    family, number = patient
    lab = make_site()
    with lab.opened() as site:
        entry = image(1, 1, patient_name=f"{family}^Anna", patient_id=number)
        from orchestrator.catalog import files

        with site.catalog.transaction() as session:
            files.apply_changes(
                session,
                "xrays",
                run_id="r1",
                changed=[entry],
                gone=[],
                keys=site.catalog.keys,
                study_date=study_date,
            )
            assert rows.current(session) is not None
        yield site, family, number
