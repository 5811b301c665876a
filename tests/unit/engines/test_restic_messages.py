"""Lines of restic 0.18 and 0.19 as they were written, and lines of no version."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engines.restic import messages
from orchestrator.engines.restic.failure import Complaints, failure, plain_words
from orchestrator.errors import (
    CredentialError,
    DamageError,
    EngineError,
    LockedError,
    NotFoundError,
    RefusedError,
    StoppedError,
    UnreachableError,
)

ID = "0ef63fc5aea0e035bf95d3b8ec37cd8afbec546fb4301096bd02593428ba5355"
SUMMARY = (
    b'{"message_type":"summary","files_new":50,"files_changed":1,"files_unmodified":2,'
    b'"dirs_new":0,"data_blobs":50,"tree_blobs":1,"data_added":1017197,'
    b'"data_added_packed":1006874,"total_files_processed":53,"total_bytes_processed":1000000,'
    b'"total_duration":0.59896814,"backup_start":"2026-11-22T12:38:00.827964367Z",'
    b'"snapshot_id":"' + ID.encode() + b'"}'
)


def doc(line: bytes) -> messages.Doc:
    document = messages.decode(line)
    assert document is not None
    return document


def exit_error(message: str) -> bytes:
    import json

    return json.dumps({"message_type": "exit_error", "code": 1, "message": message}).encode()


def test_a_backup_summary_is_read() -> None:
    summary = messages.backup_summary(doc(SUMMARY))
    assert (summary.snapshot_id, summary.files, summary.bytes) == (ID, 53, 1_000_000)
    assert (summary.files_new, summary.files_changed, summary.files_unmodified) == (50, 1, 2)
    assert (summary.bytes_added, summary.bytes_added_packed) == (1017197, 1006874)
    assert summary.started_at == datetime(2026, 11, 22, 12, 38, 0, 827964, UTC)
    assert not summary.partial


@pytest.mark.parametrize("snapshot_id", [None, "", "0ef63fc5", 5])
def test_a_summary_without_a_full_id_is_a_failure(snapshot_id: Any) -> None:
    with pytest.raises(EngineError, match="no snapshot"):
        messages.backup_summary({**doc(SUMMARY), "snapshot_id": snapshot_id})


def test_zero_fields_that_restic_leaves_out_are_zero() -> None:
    summary = messages.restore_summary(doc(b'{"message_type":"summary"}'))
    assert (summary.files, summary.files_restored, summary.bytes_restored) == (0, 0, 0)


def test_a_check_summary_with_null_packs_is_read() -> None:
    report = messages.check_report(
        doc(b'{"message_type":"summary","num_errors":0,"broken_packs":null}')
    )
    assert (report.errors, report.broken_packs, report.suggest_repair_index) == (0, (), False)


def test_the_text_of_an_error_is_found_where_each_version_puts_it() -> None:
    nested = doc(b'{"message_type":"error","error":{"message":"x"},"during":"a","item":"/p"}')
    flat = doc(b'{"message_type":"error","message":"y"}')
    plain = doc(b'{"message_type":"error","error":"z"}')
    assert [messages.error_text(one) for one in (nested, flat, plain)] == ["x", "y", "z"]
    assert messages.error_text({}) == ""


def test_a_time_of_any_zone_becomes_utc_and_another_form_is_an_error() -> None:
    base = {"id": ID, "time": "2026-11-22T14:38:00.827964367+02:00"}
    assert messages.snapshot(base).time == datetime(2026, 11, 22, 12, 38, 0, 827964, UTC)
    with pytest.raises(EngineError):
        messages.snapshot({"id": ID, "time": "yesterday"})


def test_snapshots_of_old_versions_have_no_counts() -> None:
    snapshot = messages.snapshot({"id": ID, "time": "2020-01-01T00:00:00Z", "tags": None})
    assert (snapshot.files, snapshot.bytes, snapshot.tags) == (None, None, ())


def test_a_policy_that_removes_nothing_gives_null_and_that_is_read() -> None:
    group = {"keep": [{"id": ID}], "remove": None,
             "reasons": [{"snapshot": {"id": ID}, "matches": ["last snapshot"]}]}  # fmt: skip
    (decision,) = messages.forget_decisions([group])
    assert (decision.snapshot_id, decision.keep) == (ID, True)
    assert decision.reasons == ("last snapshot",)
    assert messages.forget_decisions(None) == []


@pytest.mark.parametrize(
    "bad", [[{}], [5], {"keep": []}, [{"keep": [{}], "remove": [], "reasons": []}]]
)
def test_a_plan_in_an_unknown_form_is_an_error(bad: Any) -> None:
    with pytest.raises(EngineError):
        messages.forget_decisions(bad)


def test_an_unknown_message_is_logged_without_its_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    complaints = Complaints()
    complaints.take(b'{"message_type":"brand_new","item":"/srv/DOE^JANE.dcm"}')
    complaints.take(b'{"message_type":"/srv/DOE^JANE.dcm"}')
    assert "brand_new" in caplog.text
    assert "DOE" not in caplog.text


@given(st.binary(max_size=200))
def test_no_line_whatever_is_fatal(line: bytes) -> None:
    complaints = Complaints()
    complaints.take(line)
    complaints.take(b'{"message_type":"error","error":' + line + b"}")
    failure(1, complaints, name="copy disk", doing="the backup")


def test_problems_are_counted_all_and_kept_up_to_a_bound() -> None:
    complaints = Complaints()
    for number in range(1500):
        complaints.take(
            b'{"message_type":"error","error":{"message":"open /x: permission denied"},'
            b'"during":"archival","item":"/srv/%d.dcm"}' % number
        )
    assert complaints.problems_total == 1500
    assert len(complaints.problems) == 1000
    assert "dcm" not in repr(complaints.problems[0])


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1, EngineError), (2, EngineError), (10, NotFoundError), (11, LockedError),
     (12, CredentialError), (130, StoppedError), (-9, EngineError), (99, EngineError)],
)  # fmt: skip
def test_every_exit_code_has_its_error_and_unknown_ones_are_failures(
    code: int, kind: type[Exception]
) -> None:
    error = failure(code, Complaints(), name="copy disk", doing="the backup")
    assert type(error) is kind
    assert "copy disk" in str(error)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Fatal: config or key aa6f is damaged: ciphertext verification failed", DamageError),
        ("config file has zero size, invalid repository?", DamageError),
        ("panic: runtime error: slice bounds out of range [16:1]", DamageError),
        (
            "Fatal: config cannot be loaded: trying to decrypt invalid data: ciphertext too short",
            DamageError,
        ),
        ("LoadRaw(<index/b9936160ae>): invalid data returned", DamageError),
        (
            "Fatal: failed to find snapshot: failed to load snapshot 0ef6: "
            "LoadRaw(<snapshot/0ef6>): invalid data returned",
            DamageError,
        ),
        (
            "Fatal: failed to find snapshot: failed to load snapshot aaaa: "
            "open /r/snapshots/aaaa: no such file or directory",
            NotFoundError,
        ),
        ('Fatal: cannot dump file: path "/nope" not found in snapshot', NotFoundError),
        ("Fatal: Fatal: create repository at /r failed: config file already exists", RefusedError),
        ("unable to save snapshot: write /r/x: no space left on device", EngineError),
        ("Fatal: Get http://h/config: dial tcp: connect: connection refused", UnreachableError),
    ],
)
def test_the_closing_words_choose_the_error(message: str, kind: type[Exception]) -> None:
    complaints = Complaints()
    complaints.take(exit_error(message))
    error = failure(1, complaints, name="copy disk", doing="the backup")
    assert type(error) is kind
    assert "/" not in str(error)


def test_a_passing_trouble_does_not_hide_the_closing_words() -> None:
    complaints = Complaints()
    complaints.take(b"Load(<data/aa>, 0, 0) failed: connection reset by peer, retrying")
    complaints.take(exit_error("write /r/x: no space left on device"))
    error = failure(1, complaints, name="copy disk", doing="the backup")
    assert "no space is left" in str(error)


def test_errors_of_files_explain_closing_words_that_say_nothing() -> None:
    complaints = Complaints()
    complaints.take(
        b'{"message_type":"error","error":{"message":"ciphertext verification failed"},'
        b'"during":"restore","item":"/DOE^JANE.dcm"}'
    )
    complaints.take(exit_error("Fatal: There were 1 errors\n"))
    error = failure(1, complaints, name="copy disk", doing="the restore")
    assert isinstance(error, DamageError)
    assert "DOE" not in str(error)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "Fatal: Fatal: unable to open repository at /srv/x: gone",
            "unable to open repository at …",
        ),
        ("Fatal: There were 2 errors\n", "There were 2 errors"),
        ("open DOE^JANE.dcm: bad", "open …"),
        ("open scan_1.dcm: bad", "open …"),
        ("read C:\\images\\doe: bad", "read …"),
        ("/srv/doe.dcm: gone", ""),
        ("first line\ngoroutine 1 [running]:\n/srv/doe", "first line"),
        ("", ""),
    ],
)
def test_only_plain_words_of_restic_are_repeated(message: str, words: str) -> None:
    assert plain_words(message) == words


@given(st.text(alphabet="abc/\\^_. \"'=:é\n", max_size=80))
def test_repeated_words_never_hold_a_path(message: str) -> None:
    assert not set(plain_words("Fatal: " + message)) & set('/\\^_"=é\n')
