"""What somebody could do to a log's files, seen by our verifier and by the standalone one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from orchestrator.ledger import note
from orchestrator.ledger.checkpoint import body
from orchestrator.ledger.edge import Edge
from orchestrator.ledger.note import cosign, parse_vkey, verifier_of
from orchestrator.ledger.standalone.verify_ledger import Examination, Key
from orchestrator.ledger.sums import encode
from orchestrator.ledger.tiles import decode_bundle, encode_bundle
from orchestrator.ledger.verify import verify_files
from tests.support.ledger import SIGNER, VERIFIER, MemoryFiles, log_files, sign, signer

Files = dict[str, bytes]
ENTRIES = [b"entry %d" % number for number in range(600)]
BATCHES = [ENTRIES[:100], ENTRIES[100:300], ENTRIES[300:]]


def ours(files: Files, seen: list[bytes]) -> list[str]:
    return verify_files(MemoryFiles(files), [VERIFIER], remembered=seen).problems


def standalone(files: Files, seen: list[bytes]) -> list[str]:
    examination = Examination(MemoryFiles(files), Key(VERIFIER.vkey))  # type: ignore[arg-type]
    examination.run([("the checkpoint you kept", data) for data in seen])
    return examination.problems


Verify = Callable[[Files, list[bytes]], list[str]]
both = pytest.mark.parametrize("verify", [ours, standalone])


@pytest.fixture
def files() -> Files:
    return log_files(BATCHES)


def rewritten(files: Files, change: Callable[[list[bytes]], list[bytes]]) -> Files:
    """Change the entries of bundle 1 and leave everything else."""
    path = "tile/entries/001"
    return {**files, path: encode_bundle(change(decode_bundle(files[path], 256)))}


@both
def test_a_whole_log_has_no_problem(verify: Verify, files: Files) -> None:
    assert verify(files, [files["checkpoints/100"], files["checkpoint"]]) == []


@both
@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries[1:],
        lambda entries: entries[:-1],
        lambda entries: [entries[1], entries[0], *entries[2:]],
        lambda entries: [entries[0], *entries[:-1]],
        lambda entries: [entries[0], *entries],
        lambda entries: [b"", *entries[1:]],
        lambda entries: [entries[0] + entries[1], b"", *entries[2:]],
        lambda entries: entries[::-1],
    ],
    ids=["dropped", "cut", "swapped", "duplicated", "added", "emptied", "merged", "reversed"],
)
def test_entries_that_were_meddled_with_are_seen(
    verify: Verify, files: Files, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    problems = verify(rewritten(files, change), [])
    assert problems
    assert any("entries/001" in problem or "256" in problem for problem in problems), problems


@both
@pytest.mark.parametrize("path", sorted(set(log_files(BATCHES)) - {"keys/log.vkey"}))
@pytest.mark.parametrize("how", ["missing", "truncated", "longer", "empty", "another's"])
def test_files_that_were_meddled_with_are_seen(
    verify: Verify, files: Files, path: str, how: str
) -> None:
    data = files.pop(path)
    other = "tile/0/000" if path.startswith("tile/entries") else "tile/entries/000"
    is_of_earlier_size = ".p/" in path and not path.endswith(("/88", "1.p/2", "/1/000.p/2"))
    if how == "missing" and (path.startswith("checkpoints/") or is_of_earlier_size):
        assert verify(files, []) == []  # nothing says that there must be one
        return
    if how != "missing":
        changes = {"truncated": data[:-1], "longer": data + b"\n", "empty": b""}
        files[path] = changes.get(how, log_files(BATCHES)[other])
    assert verify(files, [])


@both
def test_tiles_that_changed_places_are_seen(verify: Verify, files: Files) -> None:
    files["tile/0/000"], files["tile/0/001"] = files["tile/0/001"], files["tile/0/000"]
    assert verify(files, [])


@both
def test_a_history_written_anew_is_seen_by_who_kept_a_checkpoint(
    verify: Verify, files: Files
) -> None:
    forged = log_files([[b"another", *ENTRIES[1:]]])
    assert verify(forged, []) == []
    assert verify(forged, [files["checkpoints/100"]])


@both
def test_a_fork_of_equal_size_is_seen_by_who_kept_its_checkpoint(
    verify: Verify, files: Files
) -> None:
    fork = log_files([*BATCHES[:-1], [*BATCHES[-1][:-1], b"another"]])
    assert verify(fork, [fork["checkpoint"]]) == []
    assert verify(fork, [files["checkpoint"]])


@both
def test_a_log_put_back_is_seen_by_who_kept_a_checkpoint(verify: Verify, files: Files) -> None:
    older = log_files(BATCHES[:-1])
    assert verify(older, []) == []
    problems = verify(older, [files["checkpoint"]])
    assert "put back" in problems[0]


@both
def test_a_checkpoint_put_back_is_seen_by_the_later_ones_beside_it(
    verify: Verify, files: Files
) -> None:
    files["checkpoint"] = files["checkpoints/300"]
    assert "put back" in verify(files, [])[0]


@both
def test_an_earlier_checkpoint_of_another_history_is_seen(verify: Verify, files: Files) -> None:
    fork = Edge()
    list(fork.grow([b"another"] * 100))
    files["checkpoints/100"] = sign(fork)
    assert verify(files, [])


@both
def test_another_key_is_refused(verify: Verify) -> None:
    forged = log_files(BATCHES, signer(2))
    assert verify(forged, [])
    forged["keys/log.vkey"] = f"{VERIFIER.vkey}\n".encode()
    assert verify(forged, [])


@both
def test_a_key_inside_that_is_not_the_one_given_is_seen(verify: Verify, files: Files) -> None:
    files["keys/log.vkey"] = f"{verifier_of(signer(2)).vkey}\n".encode()
    assert verify(files, [])


@both
def test_a_checkpoint_of_another_log_of_the_same_key_is_refused(
    verify: Verify, files: Files
) -> None:
    edge = Edge()
    list(edge.grow(ENTRIES))
    other = body("elsewhere.invalid/disposal/1", 600, edge.root())
    files["checkpoint"] = note.sign(other, SIGNER)
    assert verify(files, [])


@both
def test_a_second_wrong_signature_of_the_log_is_refused(verify: Verify, files: Files) -> None:
    lines = files["checkpoint"].split(b"\n")
    wrong = files["checkpoints/100"].split(b"\n")[-2]
    files["checkpoint"] = b"\n".join([*lines[:-1], wrong, b""])
    assert verify(files, [])


@both
def test_lines_of_witnesses_and_strangers_change_nothing(verify: Verify, files: Files) -> None:
    text = note.parse(files["checkpoint"]).text
    late = cosign(text, signer(3, "witness.invalid/w"), timestamp=2**62)
    files["checkpoint"] += late.line + note.sign(text, signer(4)).split(b"\n")[-2] + b"\n"
    assert verify(files, []) == []


@both
def test_carriage_returns_are_refused(verify: Verify, files: Files) -> None:
    files["checkpoint"] = files["checkpoint"].replace(b"\n", b"\r\n")
    assert verify(files, [])


@both
@pytest.mark.parametrize(
    "path",
    [
        "tile/0/x000/000",
        "tile/0/4",
        "tile/64/000",
        "tile/00/000",
        "tile/entries/000.p/256",
        "tile/x",
        "tile/0/.p",
    ],
)
def test_files_that_belong_to_no_log_are_seen(verify: Verify, files: Files, path: str) -> None:
    assert any(path in problem for problem in verify({**files, path: b"x"}, []))


@both
def test_what_a_killed_append_left_counts_nothing(verify: Verify, files: Files) -> None:
    left = {"tile/entries/002.p/99": b"x", "tile/0/002.p/99": b"y", "tile/0/007": b"z"}
    assert verify({**files, **left}, []) == []


@both
def test_what_a_killed_append_left_is_seen_once_it_is_covered(verify: Verify, files: Files) -> None:
    assert verify({**files, "tile/entries/002.p/60": b"x"}, [])
    assert verify({**files, "tile/0/001.p/60": files["tile/0/000"][: 60 * 32]}, [])


@both
def test_files_beside_the_log_must_be_listed(verify: Verify, files: Files) -> None:
    files["README-VERIFY.html"] = b"page"
    files["SHA256SUMS"] = encode({"README-VERIFY.html": hashlib.sha256(b"page").hexdigest()})
    assert verify(files, []) == []
    assert verify({**files, "planted.txt": b"x"}, [])
    assert verify({**files, "README-VERIFY.html": b"Page"}, [])
    assert verify({**files, "SHA256SUMS": encode({"../secret": "0" * 64})}, [])


def test_a_certificate_that_the_ledger_does_not_name_is_seen_by_the_standalone_verifier() -> None:
    hashed = hashlib.sha256(b"certificate").hexdigest().encode()
    entry = b'{"evidence":{"pdf":"sha256:%s"},"type":"certificate.issued"}' % hashed
    files = log_files([[b"first", entry]])
    named = {**files, "certificates/2026-0001.pdf": b"certificate"}
    assert standalone(named, []) == []
    forged = {**files, "certificates/2026-0001.pdf": b"Certificate"}
    assert standalone(forged, []) == [
        "certificates/2026-0001.pdf is named by no entry of the ledger"
    ]


def test_the_verification_ends_after_enough_problems(files: Files) -> None:
    broken = {path: data if "tile" not in path else b"" for path, data in files.items()}
    found = verify_files(MemoryFiles(broken), [VERIFIER], most=2)
    assert len(found.problems) == 3
    assert "stopped" in found.problems[-1]


def test_without_a_checkpoint_nothing_is_whole(files: Files) -> None:
    del files["checkpoint"]
    found = verify_files(MemoryFiles(files), [VERIFIER])
    assert (found.is_whole, found.size) == (False, None)


def test_witnesses_that_are_trusted_must_have_signed_rightly(files: Files) -> None:
    witness = signer(3, "witness.invalid/w")
    material = parse_vkey(verifier_of(witness).vkey)
    trusted = note.Verifier(material.name, note.COSIGNATURE, material.public_key)
    right = cosign(note.parse(files["checkpoint"]).text, witness, timestamp=1_800_000_000)
    wrong = note.Signature(right.name, right.key_id, right.value[:-1] + b"\0")
    for line, is_whole in ((right.line, True), (wrong.line, False)):
        signed = {**files, "checkpoint": files["checkpoint"] + line}
        found = verify_files(MemoryFiles(signed), [VERIFIER, trusted])
        assert found.is_whole is is_whole
