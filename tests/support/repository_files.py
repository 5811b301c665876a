"""Files laid out as in a restic repository, named by their content, without restic."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from orchestrator.engines.layout import WRITE_ORDER, Kind, RepositoryFile


def write_file(root: Path, kind: Kind, content: bytes) -> RepositoryFile:
    """Write one file under its own name and return what it is."""
    name = "config" if kind == "config" else hashlib.sha256(content).hexdigest()
    file = RepositoryFile(kind, name, len(content))
    path = root / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o400)
    return file


def write_repository(
    root: Path, *, data_files: int = 5, size: int = 70_000
) -> list[RepositoryFile]:
    """Write a small repository and return its files in write order."""
    source = random.Random(1)
    root.mkdir(parents=True, exist_ok=True)
    counts = {"config": 1, "keys": 2, "data": data_files, "index": 2, "snapshots": 2}
    return [
        write_file(root, kind, source.randbytes(size if kind == "data" else 300))
        for kind in WRITE_ORDER
        for _ in range(counts[kind])
    ]


def digest_of(root: Path, file: RepositoryFile) -> str:
    """Return the SHA-256 of a file as it lies there."""
    return hashlib.sha256((root / file.path).read_bytes()).hexdigest()
