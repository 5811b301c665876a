"""Certificates and evidence in the state beside the images, and how they come back from there."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator

from orchestrator.actions.certificates import files as places
from orchestrator.actions.site import Site

_NAME = re.compile(
    r"certificates/(\d{4}-\d{4,6}\.(json|pdf)|signer\.pem)|evidence/sha256/[0-9a-f]{2}/[0-9a-f]{62}"
)
_LARGEST = 64 * 1024 * 1024


def certificate_members(site: Site) -> Iterator[tuple[str, bytes]]:
    """Yield the files of certificates and evidence with their names in the state."""
    for top in ("certificates", "evidence"):
        for path in sorted((site.state_dir / top).rglob("*")):
            name = str(path.relative_to(site.state_dir))
            if path.is_file() and not path.is_symlink() and _NAME.fullmatch(name):
                yield name, path.read_bytes()


def restore_certificates(site: Site, archive: tarfile.TarFile) -> None:
    """Put the certificates and evidence of a stored state in their places, where none is.

    Raises:
        EngineError, LockedError: The disk refuses.
    """
    for member in archive.getmembers():
        stream = archive.extractfile(member) if member.isfile() else None
        if stream is None or not _NAME.fullmatch(member.name) or member.size > _LARGEST:
            continue
        path = site.state_dir / member.name
        if not path.exists():
            places.make_folders(site, path.parent)
            places.write(path, stream.read())
