"""What a disposal must look for in vain: the contents of its studies in every snapshot they had.

Kept sealed on this machine from before the snapshots are forgotten until it is proved that none is
left: whoever goes on after a crash could no longer read it from the manifests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.disposal.manifests import Found
from orchestrator.actions.site import Site
from orchestrator.catalog import files
from orchestrator.keys.sealed import SealedReader, SealedWriter

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow

ONE_BLOB_BYTES = 512 * 1024
"""restic cuts no file below this size: its blob's id is the SHA-256 of its content.

Source: restic's design document, "Backups and Deduplication"; its chunker's least size."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Sought:
    """The contents one disposal takes out of one repository.

    Args:
        site: The site.
        repository: The repository.
        disposal: Id of the disposal.
    """

    def __init__(self, site: Site, repository: RepositoryRow, disposal: str) -> None:
        self._site = site
        self._store = repository.store
        self._context = f"disposal|{disposal}|{repository.id}"
        self._path = _folder(site) / f"{disposal}.{repository.name}.sealed"

    def add(self, found: Iterable[Found]) -> None:
        """Keep the contents of small files that were found, beside those kept before."""
        hashes = {
            named.sha256
            for one in found
            for named in one.entries.values()
            if named.sha256 is not None and 0 < named.size_bytes < ONE_BLOB_BYTES
        }
        before = self._kept()
        if hashes <= before:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with SealedWriter(self._path, self._site.keyring.stream_key(), self._context) as out:
            for one in sorted(hashes | before):
                out.write(one.encode() + b"\n")

    def hashes(self, studies: Sequence[str]) -> frozenset[str]:
        """Return what was kept, and what the catalog still knows of the studies."""
        found = self._kept()
        with self._site.catalog.reading() as session:
            for study in studies:
                for row in files.entries_of_study(
                    session, self._store, study_key=study, keys=self._site.catalog.keys
                ):
                    if row.sha256 is not None and 0 < row.size_bytes < ONE_BLOB_BYTES:
                        found.add(row.sha256)
        return frozenset(found)

    def drop(self) -> None:
        """Forget it: the proof is made."""
        self._path.unlink(missing_ok=True)

    def _kept(self) -> set[str]:
        if not self._path.exists():
            return set()
        reader = SealedReader(self._path, self._site.keyring.stream_key(), self._context)
        lines = (line.decode().strip() for line in reader.lines())
        return {line for line in lines if _SHA256.fullmatch(line)}


def _folder(site: Site) -> Path:
    return site.state_dir / "disposals"
