"""Readers that share no code with the ledger: Go's, openssl, and the standalone verifier alone."""

from __future__ import annotations

import ast
import base64
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.ledger import note
from orchestrator.ledger.log import Log
from orchestrator.ledger.standalone import verify_ledger
from tests.support.ledger import NOW, SIGNER, VERIFIER, log_in, signer

VERIFY = Path(verify_ledger.__file__)
SIZE = 601


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("readers") / "ledger"
    return log_in(folder, [b"entry %d" % number for number in range(SIZE - 1)])


@pytest.fixture(scope="module")
def parts(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry, its proof and the key, as files."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "entry").write_bytes(log.reader().entry(300))
    (folder / "entry.tlog-proof").write_bytes(log.reader().proof_text(300))
    (folder / "key").write_text(f"{log.vkey}\n")
    return folder


def run(*command: str | Path, **named: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **named},
    )


def alone(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the verifier as an auditor does: no site packages, no environment, no warnings."""
    return run(sys.executable, "-I", "-S", "-W", "error", VERIFY, *arguments)


@pytest.fixture(scope="module")
def go_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("go") / "reader"
    source = Path(__file__).with_name("go") / "main.go"
    # Nothing but what Debian's packages hold: no module, no network.
    built = run(
        "go", "build", "-o", program, source,
        GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="", GOPROXY="off",
        GOCACHE=str(program.parent / "cache"), CGO_ENABLED="0",
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return program


def test_gos_reader_accepts_a_checkpoint_and_a_proof(
    go_reader: Path, log: Log, parts: Path
) -> None:
    checkpoint = log.folder / "checkpoint"
    proof, entry = parts / "entry.tlog-proof", parts / "entry"
    accepted = run(go_reader, log.vkey, checkpoint, proof, entry, "300")
    assert (accepted.returncode, accepted.stdout) == (0, f"entry 300 of {SIZE}\n")
    for wrong in ("299", "301", "0", str(SIZE)):
        assert run(go_reader, log.vkey, checkpoint, proof, entry, wrong).returncode == 1
    assert run(go_reader, log.vkey, checkpoint, proof, parts / "key", "300").returncode == 1
    stranger = note.verifier_of(signer(2)).vkey
    assert run(go_reader, stranger, checkpoint, proof, entry, "300").returncode == 1
    older = log.folder / "checkpoints" / "1"
    assert run(go_reader, log.vkey, older, proof, entry, "300").returncode == 1


def test_openssl_accepts_a_checkpoints_signature(log: Log, tmp_path: Path) -> None:
    parsed = note.parse((log.folder / "checkpoint").read_bytes())
    der = bytes.fromhex("302a300506032b6570032100") + VERIFIER.public_key
    pem = base64.encodebytes(der).decode()
    (tmp_path / "key.pem").write_text(
        f"-----BEGIN PUBLIC KEY-----\n{pem}-----END PUBLIC KEY-----\n"
    )
    (tmp_path / "signature").write_bytes(parsed.signatures[0].value)
    for text, code in ((parsed.text, 0), (parsed.text + b"x", 1)):
        (tmp_path / "text").write_bytes(text)
        found = run(
            "openssl", "pkeyutl", "-verify", "-rawin", "-pubin",
            "-inkey", tmp_path / "key.pem", "-in", tmp_path / "text",
            "-sigfile", tmp_path / "signature",
        )  # fmt: skip
        assert found.returncode == code, found.stderr


def test_the_standalone_verifier_needs_python_3_8_and_nothing_else() -> None:
    tree = ast.parse(VERIFY.read_text(), feature_version=(3, 8))
    imported = {
        name.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported <= sys.stdlib_module_names | {"__future__"}


def test_the_standalone_verifier_accepts_a_folder_and_an_archive(
    log: Log, parts: Path, tmp_path: Path
) -> None:
    flat = shutil.make_archive(str(tmp_path / "flat"), "zip", log.folder)
    nested = shutil.make_archive(str(tmp_path / "nested"), "zip", log.folder.parent, "ledger")
    for export in (str(log.folder), flat, nested):
        for key in (log.vkey, str(parts / "key")):
            found = alone(export, "--key", key, "--seen", log.folder / "checkpoints" / "1")
            assert (found.returncode, found.stderr) == (0, "")
            assert f"entries  {SIZE}" in found.stdout
            assert found.stdout.splitlines()[-2].startswith("VERIFIED")


def test_without_a_key_from_outside_it_claims_consistency_only(log: Log) -> None:
    found = alone(log.folder)
    assert found.returncode == 0
    assert "CONSISTENT, BUT NOT VERIFIED" in found.stdout
    assert "\nVERIFIED" not in found.stdout
    assert verify_ledger.Key(log.vkey).fingerprint in found.stdout


def test_a_key_file_out_of_the_export_itself_verifies_nothing(log: Log, tmp_path: Path) -> None:
    unpacked = Path(shutil.copytree(log.folder, tmp_path / "unpacked"))
    inside = alone(unpacked, "--key", unpacked / "keys/log.vkey")
    assert inside.returncode == 0
    assert "CONSISTENT, BUT NOT VERIFIED" in inside.stdout
    outside = alone(unpacked, "--key", log.vkey)
    assert "\nVERIFIED" in outside.stdout


def test_the_root_is_shown_as_the_program_shows_it(log: Log) -> None:
    # `ledger list` and the printed summary write it in hex: a person compares the two by eye.
    found = alone(log.folder, "--key", log.vkey)
    assert f"root     {log.checkpoint().root.hex()}" in found.stdout


def test_it_refuses_another_key_and_an_older_log(log: Log, tmp_path: Path) -> None:
    other = alone(log.folder, "--key", note.verifier_of(signer(2)).vkey)
    assert (other.returncode, other.stdout.splitlines()[-1][:12]) == (1, "NOT VERIFIED")
    Log.create(tmp_path / "older", SIGNER, now=NOW)
    older = alone(tmp_path / "older", "--key", log.vkey, "--seen", log.folder / "checkpoint")
    assert older.returncode == 1
    assert "put back" in older.stdout


def test_a_proof_is_verified_alone(log: Log, parts: Path) -> None:
    given = ("--key", parts / "key", "--proof", parts / "entry.tlog-proof", "--entry")
    found = alone(*given, parts / "entry")
    assert found.returncode == 0
    assert f"entry 300 of {SIZE}" in found.stdout
    assert alone(*given, parts / "key").returncode == 1
    assert len((parts / "entry.tlog-proof").read_bytes()) <= 2048


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["/nowhere"], 2),
        (["--proof", "x"], 2),
        (["--proof", "/nowhere", "--entry", "/nowhere", "--key", VERIFIER.vkey], 1),
        (["{folder}", "--key", "nonsense"], 1),
        (["{parts}"], 2),
        (["{parts}/key", "--key", VERIFIER.vkey], 2),
    ],
)
def test_what_cannot_be_verified_is_never_verified(
    log: Log, parts: Path, arguments: list[str], code: int
) -> None:
    given = [one.format(folder=log.folder, parts=parts) for one in arguments]
    found = alone(*given)
    assert found.returncode == code, found.stdout + found.stderr
    assert "\nVERIFIED" not in f"\n{found.stdout}"
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-30],
        lambda data: data[: len(data) // 2] + b"\0" + data[len(data) // 2 + 1 :],
        lambda data: b"PK" + data[:50],
    ],
    ids=["cut", "changed", "not an archive"],
)
def test_a_damaged_archive_is_never_verified(
    log: Log, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    whole = Path(shutil.make_archive(str(tmp_path / "x"), "zip", log.folder))
    (tmp_path / "damaged.zip").write_bytes(damage(whole.read_bytes()))
    found = alone(tmp_path / "damaged.zip", "--key", log.vkey)
    assert found.returncode in (1, 2)
    assert "\nVERIFIED" not in f"\n{found.stdout}"
    assert "Traceback" not in found.stderr


def test_an_archive_with_two_files_of_one_name_is_refused(log: Log, tmp_path: Path) -> None:
    whole = Path(shutil.make_archive(str(tmp_path / "x"), "zip", log.folder))
    with (
        zipfile.ZipFile(whole, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr("checkpoint", b"another")
    found = alone(whole, "--key", log.vkey)
    assert found.returncode == 1
    assert "twice" in found.stdout
