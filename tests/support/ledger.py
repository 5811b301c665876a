"""Logs in memory and on disk, for tests of the ledger."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.ledger import checkpoint
from orchestrator.ledger.edge import Edge
from orchestrator.ledger.log import Log
from orchestrator.ledger.note import SeedSigner, Verifier, verifier_of

ORIGIN = "elm-street-dental.invalid/disposal/1"
NOW = datetime(2026, 11, 22, 15, 35, tzinfo=UTC)


def signer(number: int = 1, origin: str = ORIGIN) -> SeedSigner:
    """Return a signer whose key depends on the number only."""
    return SeedSigner(origin, hashlib.sha256(b"seed %d" % number).digest())


SIGNER = signer()
VERIFIER: Verifier = verifier_of(SIGNER)


def log_in(folder: Path, entries: Iterable[bytes] = ()) -> Log:
    """Make a log in a new folder, with these entries behind its first."""
    log = Log.create(folder, SIGNER, now=NOW)
    more = list(entries)
    if more:
        log.append(more)
    return log


def sign(edge: Edge, by: SeedSigner = SIGNER) -> bytes:
    """Return a signed checkpoint of a tree."""
    return checkpoint.sign(by, edge.size, edge.root()).data


def log_files(batches: Iterable[Iterable[bytes]], by: SeedSigner = SIGNER) -> dict[str, bytes]:
    """Return the files of a log to which batches of entries were appended."""
    edge, files = Edge(), {"keys/log.vkey": f"{verifier_of(by).vkey}\n".encode()}
    for batch in batches:
        files |= {place.path: data for place, data in edge.grow(batch)}
        files |= {place.path: data for place, data in edge.partial()}
        files["checkpoint"] = files[f"checkpoints/{edge.size}"] = sign(edge, by)
    return files


class MemoryFiles:
    """Files in memory; both verifiers read them."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def sha256(self, path: str) -> str | None:
        data = self.files.get(path)
        return None if data is None else hashlib.sha256(data).hexdigest()

    def below(self, folder: str) -> Iterator[str]:
        start = folder and f"{folder}/"
        return (path for path in list(self.files) if path.startswith(start))

    def names(self) -> Iterator[str]:
        return iter(list(self.files))

    def open(self, name: str) -> io.BytesIO | None:
        data = self.files.get(name)
        return None if data is None else io.BytesIO(data)
