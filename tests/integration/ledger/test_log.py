"""A log in a folder: appending, reading, other writers, damage found before signing."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import (
    CredentialError,
    DamageError,
    EngineError,
    LockedError,
    NotFoundError,
    RefusedError,
)
from orchestrator.ledger import checkpoint, entry, tree
from orchestrator.ledger.log import LOCK, Log
from orchestrator.ledger.note import cosign
from orchestrator.ledger.reader import Reader
from orchestrator.ledger.standalone.verify_ledger import Key, is_included, parse_proof
from orchestrator.ledger.verify import verify
from tests.support.ledger import NOW, ORIGIN, SIGNER, VERIFIER, log_in, signer


@pytest.fixture
def folder(quick_folder: Path) -> Path:
    return quick_folder / "ledger"


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [b"entry %d" % number for number in range(start, start + count)]


def demand_whole(folder: Path, size: int) -> None:
    found = verify(folder, [VERIFIER])
    assert (found.problems, found.remarks, found.size) == ([], [], size)


def test_a_new_log_begins_with_its_name_and_key(folder: Path) -> None:
    log = Log.create(folder, SIGNER, now=NOW, actor="it", opening={"previous": "none"})
    first = entry.parse(log.reader().entry(0))
    assert (first.type, first.at, first.actor) == ("ledger.opened", NOW, "it")
    assert first.body == {"origin": ORIGIN, "vkey": VERIFIER.vkey, "previous": "none"}
    assert (log.origin, log.vkey) == (ORIGIN, VERIFIER.vkey)
    assert (folder / "keys" / "log.vkey").read_text() == f"{VERIFIER.vkey}\n"
    assert folder.stat().st_mode & 0o077 == 0
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    demand_whole(folder, 1)


def test_a_log_is_never_made_over_another(folder: Path) -> None:
    log_in(folder, numbered(3))
    with pytest.raises(RefusedError, match="there is one already"):
        Log.create(folder, SIGNER, now=NOW)
    demand_whole(folder, 4)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_lost_log_is_not_made_anew_by_opening_it(folder: Path) -> None:
    with pytest.raises(RefusedError, match="gone"):
        Log.open(folder, SIGNER)
    assert not folder.exists()


def test_appending_one_by_one_and_at_once_makes_the_same_tree(
    folder: Path, quick_folder: Path
) -> None:
    log = log_in(folder)
    for one in numbered(300):
        log.append([one])
    other = quick_folder / "other"
    shutil.copytree(folder, other)
    log.append(numbered(400, 300))
    again = Log.open(other, SIGNER)
    for start in range(300, 700, 100):
        again.append(iter(numbered(100, start)))
    assert again.checkpoint().root == log.checkpoint().root
    assert [one.data for one in log.reader().entries(1)] == numbered(700)
    demand_whole(folder, 701)
    demand_whole(other, 701)


def test_a_thousand_entries_in_one_append_are_one_checkpoint(folder: Path) -> None:
    appended = log_in(folder).append(numbered(1000))
    assert (appended.first, appended.size) == (1, 1001)
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["1", "1001"]
    assert (folder / "checkpoint").read_bytes() == appended.checkpoint.data


def test_partial_files_go_when_the_full_one_is_there(folder: Path) -> None:
    log = log_in(folder)
    for one in numbered(255):
        log.append([one])
    assert list(folder.rglob("tile/0/*.p")) == []
    assert (folder / "tile/entries/000").exists()
    assert (folder / "tile/1/000.p/1").exists()
    demand_whole(folder, 256)
    log.append([b"next"])
    demand_whole(folder, 257)


def test_every_entry_is_read_and_proved(folder: Path) -> None:
    reader = log_in(folder, numbered(600)).reader()
    assert [one.index for one in reader.entries(250, 520)] == list(range(250, 520))
    assert reader.entry(300) == numbered(1, 299)[0]
    for index in (0, 255, 256, 511, 599, 600):
        index_found, proof, size, root = parse_proof(reader.proof_text(index), Key(VERIFIER.vkey))
        assert (index_found, size) == (index, 601)
        assert is_included(tree.leaf_hash(reader.entry(index)), index, size, root, proof)
        assert not is_included(tree.leaf_hash(reader.entry(index)), index ^ 1, size, root, proof)
    for wrong in (-1, 601):
        with pytest.raises(NotFoundError, match="has no entry"):
            reader.entry(wrong)
        with pytest.raises(NotFoundError, match="has no entry"):
            reader.proof_text(wrong)


def test_a_log_continues_its_own_checkpoints_and_no_others(
    folder: Path, quick_folder: Path
) -> None:
    log = log_in(folder)
    seen = [log.append([one]).checkpoint for one in numbered(300)]
    fork = Log.create(quick_folder / "fork", SIGNER, now=NOW).append(numbered(40, 7)).checkpoint
    reader = log.reader()
    assert all(reader.is_continuation_of(one) for one in seen)
    assert not reader.is_continuation_of(fork)
    assert not Reader(folder, seen[0]).is_continuation_of(seen[1])
    assert not reader.is_continuation_of(checkpoint.sign(signer(1, "b.invalid/1"), 1, b"x" * 32))
    with pytest.raises(NotFoundError, match="cannot be compared"):
        reader.consistency_proof(302)


def test_a_reader_goes_on_at_its_checkpoint_while_the_log_grows(folder: Path) -> None:
    log = log_in(folder, numbered(100))
    reader = log.reader()
    log.append(numbered(500, 100))
    assert [one.data for one in reader.entries(1)] == numbered(100)
    assert reader.proof_text(50)
    assert reader.edge().root() == reader.checkpoint.root


def test_two_open_logs_take_turns(folder: Path) -> None:
    first = log_in(folder)
    second = Log.open(folder, SIGNER)
    for number in range(40):
        appended = (first, second)[number % 2].append(numbered(1, number))
        assert appended.first == number + 1
    demand_whole(folder, 41)


def test_threads_that_append_at_once_lose_nothing(folder: Path) -> None:
    log_in(folder)
    logs = [Log.open(folder, SIGNER, wait_s=300) for _ in range(2)]

    def work(number: int) -> None:
        for at in range(25):
            logs[number % 2].append([b"%d of %d" % (at, number)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {one.data for one in logs[0].reader().entries(1)}
    assert found == {b"%d of %d" % (at, number) for at in range(25) for number in range(4)}
    demand_whole(folder, 101)


def test_a_writer_that_does_not_end_is_not_waited_for_for_ever(folder: Path) -> None:
    log_in(folder)
    log = Log.open(folder, SIGNER, wait_s=0.05)
    descriptor = os.open(folder / LOCK, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="another process"):
            log.append([b"x"])
        with pytest.raises(LockedError, match="another process"):
            Log.open(folder, SIGNER, wait_s=0)
    finally:
        os.close(descriptor)
    assert log.append([b"x"]).size == 2


def test_nothing_to_append_and_impossible_entries_change_nothing(folder: Path) -> None:
    log = log_in(folder, numbered(3))
    before = log.checkpoint()
    for entries in ([], [b""], [b"good", b"x" * 65_536], [*numbered(700), b""]):
        with pytest.raises(ValueError, match=r"nothing to append|1 to 65535"):
            log.append(entries)
    assert log.checkpoint() == before
    log.append([b"x" * 65_535])
    demand_whole(folder, 5)


def test_an_error_while_entries_are_being_made_leaves_the_log_as_it_was(folder: Path) -> None:
    log = log_in(folder, numbered(3))

    def failing() -> Iterator[bytes]:
        yield from numbered(600)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        log.append(failing())
    assert verify(folder, [VERIFIER]).problems == []
    log.append([b"x"])
    demand_whole(folder, 5)


@pytest.mark.parametrize(
    "path",
    ["checkpoint", "tile/0/001.p/45", "tile/1/000.p/1", "tile/entries/001.p/45"],
)
@pytest.mark.parametrize("how", ["missing", "cut", "changed"])
def test_a_damaged_edge_is_not_signed_onto(folder: Path, path: str, how: str) -> None:
    log_in(folder, numbered(300))
    data = (folder / path).read_bytes()
    changed = {"cut": data[:-1], "changed": data[:-9] + b"\x05" + data[-8:]}
    (folder / path).unlink()
    if how != "missing":
        (folder / path).write_bytes(changed[how])
    with pytest.raises(DamageError, match="ledger") as caught:
        Log.open(folder, SIGNER)
    assert "verify" in str(caught.value.hint)
    assert verify(folder, [VERIFIER]).problems


def test_a_log_that_was_put_back_beside_its_later_checkpoints_is_not_signed(folder: Path) -> None:
    log = log_in(folder, numbered(3))
    older = (folder / "checkpoint").read_bytes()
    log.append(numbered(5))
    (folder / "checkpoint").write_bytes(older)
    with pytest.raises(DamageError, match="put back"):
        log.append([b"x"])
    with pytest.raises(DamageError, match="put back"):
        Log.open(folder, SIGNER)


def test_another_logs_key_opens_nothing(folder: Path) -> None:
    log_in(folder)
    with pytest.raises(DamageError, match="known key"):
        Log.open(folder, signer(2))


def test_left_over_files_are_gone_before_the_log_grows_past_them(folder: Path) -> None:
    log_in(folder, numbered(300))
    for path in ("tile/0/001.p/50", "tile/entries/001.p/50", "tile/0/003", "tile/2/000.p/1"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"left over")
    assert len(verify(folder, [VERIFIER]).remarks) == 4
    log = Log.open(folder, SIGNER)
    demand_whole(folder, 301)
    log.append(numbered(1000))
    demand_whole(folder, 1301)


def test_a_missing_kept_checkpoint_is_put_back(folder: Path) -> None:
    log_in(folder, numbered(3))
    (folder / "checkpoints" / "4").unlink()
    Log.open(folder, SIGNER)
    assert (folder / "checkpoints" / "4").read_bytes() == (folder / "checkpoint").read_bytes()


def test_kept_checkpoints_need_no_links(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    log_in(folder, numbered(3)).append([b"x"])
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["1", "4", "5"]
    demand_whole(folder, 5)


def test_a_witness_line_is_attached_once_and_survives_growth(folder: Path) -> None:
    log = log_in(folder, numbered(3))
    line = cosign(log.checkpoint().text, signer(3, "w.invalid/1"), timestamp=1_800_000_000)
    for _ in range(2):
        log.attach(4, [line])
    assert (folder / "checkpoint").read_bytes().count(line.line) == 1
    log.append([b"x"])
    log.attach(4, [line])
    assert (folder / "checkpoints" / "4").read_bytes().count(line.line) == 1
    assert line.line not in (folder / "checkpoint").read_bytes()
    with pytest.raises(RefusedError, match="no checkpoint of 3"):
        log.attach(3, [line])
    demand_whole(folder, 5)


def test_a_refusing_disk_is_explained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_in(folder)
    for code, kind, words in (
        (errno.ENOSPC, EngineError, "no space left"),
        (errno.EROFS, EngineError, "read-only"),
        (errno.EACCES, CredentialError, "access is refused"),
        (errno.EIO, EngineError, "Input/output error"),
    ):

        def refuse(*_: object, code: int = code) -> int:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refuse)
            with pytest.raises(kind, match=words):
                log.append([b"x"])
    assert log.append([b"x"]).size == 2
    demand_whole(folder, 2)


def test_several_processes_find_what_one_finds(folder: Path) -> None:
    log = log_in(folder, numbered(40_000))
    log.append(numbered(7))
    whole = verify(folder, [VERIFIER], workers=2)
    assert (whole.is_whole, whole.size, whole.checkpoints) == (True, 40_008, 3)
    for path, at in (("tile/entries/100", 40), ("tile/0/101", 40), ("tile/1/000.p/156", 40)):
        data = bytearray((folder / path).read_bytes())
        data[at] ^= 1
        (folder / path).write_bytes(data)
    problems = [verify(folder, [VERIFIER], workers=workers).problems for workers in (0, 2)]
    assert problems[0] == problems[1]
    wrong = [problem.split(":")[0].split(" ")[0] for problem in problems[0]]
    assert wrong == ["tile/entries/100", "tile/0/101", "tile/1/000.p/156"]
