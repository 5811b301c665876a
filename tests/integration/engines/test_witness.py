from __future__ import annotations

import threading
from pathlib import Path

from orchestrator.engines.directory import DirectoryPlace
from orchestrator.engines.interface import StoredFile
from orchestrator.engines.layout import RepositoryFile
from orchestrator.engines.replication import Replication, TargetResult
from orchestrator.engines.witness import Witness
from orchestrator.errors import DamageError
from tests.support.repository_files import digest_of, write_repository


def _heard(root: Path, files: list[RepositoryFile], proven: list[RepositoryFile]) -> TargetResult:
    replication = Replication(
        DirectoryPlace("disk", root),
        root,
        {"disk": Witness("disk", [StoredFile(file) for file in proven])},
        config_sha256=digest_of(root, files[0]),
        stop=threading.Event(),
    )
    replication.start()
    return replication.settle(files)["disk"]


def test_every_file_of_a_lone_primary_is_read_back_and_none_twice(tmp_path: Path) -> None:
    files = write_repository(tmp_path / "primary")
    result = _heard(tmp_path / "primary", files, files[:4])
    assert result.error is None
    assert {receipt.file for receipt in result.receipts} == set(files[4:])


def test_a_flipped_byte_is_found_while_the_backup_runs(tmp_path: Path) -> None:
    files = write_repository(tmp_path / "primary")
    bad = next(file for file in files if file.kind == "data")
    path = tmp_path / "primary" / bad.path
    path.chmod(0o600)
    with path.open("r+b") as stream:
        stream.seek(bad.size_bytes // 2)
        byte = stream.read(1)
        stream.seek(bad.size_bytes // 2)
        stream.write(bytes([byte[0] ^ 1]))
    result = _heard(tmp_path / "primary", files, [])
    assert isinstance(result.error, DamageError)
    assert result.refused == [bad]
    assert bad not in {receipt.file for receipt in result.receipts}
