"""The site's own state as a tar stream, stored beside the images in every repository.

With it and the recovery kit the site can be rebuilt from any copy. It holds the site file, the
jobs, the wrapped keyring, the suppression list, the ledger, certificates with their evidence, and
the catalog's rows except those of files, which the manifests hold; never a key that opens anything
by itself.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator
from typing import IO, cast

from orchestrator.actions.certificates.state import certificate_members
from orchestrator.actions.disposal.suppression import list_file
from orchestrator.actions.ledger.restore import ledger_members
from orchestrator.actions.site import Site, keyring_path
from orchestrator.catalog import transfer
from orchestrator.errors import DamageError
from orchestrator.retention.suppression import FILE_NAME

PIECE_BYTES = 256 * 1024

SITE_FILE = "site.toml"
KEYRING = "keyring.json"
CATALOG = "catalog.jsonl"
SUPPRESSED = FILE_NAME


def state_chunks(site: Site) -> Iterator[bytes]:
    """Yield the state as one tar archive; equal states give equal bytes.

    Args:
        site: The site.
    """
    with tempfile.TemporaryFile(dir=site.state_dir) as spool:
        with tarfile.open(fileobj=spool, mode="w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, SITE_FILE, site.config.path.read_bytes())
            if site.config.jobs_dir.is_dir():
                for job in sorted(site.config.jobs_dir.glob("*.toml")):
                    _add(archive, f"jobs/{job.name}", job.read_bytes())
            _add(archive, KEYRING, keyring_path(site.state_dir).read_bytes())
            with tempfile.TemporaryFile(dir=site.state_dir) as rows:
                with site.catalog.reading() as session:
                    # Before the rows: a drill from the kit reads no further than this.
                    _add(archive, SUPPRESSED, list_file(site, session))
                    for line in transfer.export_rows(session):
                        rows.write(line)
                size = rows.tell()
                rows.seek(0)
                archive.addfile(_info(CATALOG, size), rows)
            # After the rows: a ledger with fewer entries than the catalog saw was put back.
            for name, content in ledger_members(site):
                _add(archive, name, content)
            for name, content in certificate_members(site):
                _add(archive, name, content)
        spool.seek(0)
        while piece := spool.read(PIECE_BYTES):
            yield piece


def members(chunks: Iterator[bytes], names: tuple[str, ...]) -> dict[str, bytes]:
    """Return files of a stored state by name, and take no more of the stream than that needs.

    Args:
        chunks: The archive; closed at the end if it can be.
        names: Of the files that are wanted.

    Raises:
        DamageError: It is no archive.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", _Chunks(chunks)), mode="r|") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.name in names else None
                if stream is not None:
                    found[member.name] = stream.read()
                if len(found) == len(names):
                    break
    except tarfile.TarError:
        raise DamageError("the stored state of the site is no archive, or is cut short") from None
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    return found


class _Chunks:
    """The reading end of a stream of pieces."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (chunk := next(self._chunks, None)) is not None:
            self._rest += chunk
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_info(name, len(content)), io.BytesIO(content))


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o600
    return info
