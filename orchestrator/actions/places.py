"""Opening the place where a copy's bytes are, whatever its role.

A copy that is not there is a fact (`AbsentCopyError`), not a failure: media are away by design.
A place is only opened if it is provably the right one; an unmounted mount point never is.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.actions.site import Site
from orchestrator.config.site import Copy, ImmutableCopy, LocalCopy, OfflineCopy
from orchestrator.engines.interface import Place
from orchestrator.errors import AbsentCopyError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow

MARKER = ".imaging-orchestrator-copy.json"
"""At the root of every local copy: without it the folder is not the copy but a bare mount point."""


@dataclass(frozen=True, slots=True)
class OpenCopy:
    """A copy that is there.

    Attributes:
        copy: Its configuration.
        place: The repository's bytes in it.
        medium: Medium id; empty for copies that are not kept on media.
        label: The medium's label; None for none.
        domain: What fails together with it.
        separate: Whether it is a medium of its own.
        folder: The repository's folder, for programs that only read; None for a bucket.
        detail: What else a person should know.
    """

    copy: Copy
    place: Place
    medium: str
    label: str | None
    domain: str
    separate: bool
    folder: Path | None = None
    detail: str | None = None

    @property
    def name(self) -> str:
        """The copy's name."""
        return self.copy.name


@contextmanager
def open_copy(
    site: Site,
    name: str,
    repository: RepositoryRow,
    *,
    versions: Mapping[str, str] | None = None,
) -> Iterator[OpenCopy]:
    """Open a copy's place for one repository, and close it again.

    Args:
        site: The site.
        name: Copy name.
        repository: The repository.
        versions: Recorded version id by repository path, for a bucket.

    Raises:
        AbsentCopyError: It is not there.
        OrchestratorError: It is there, but wrong or out of reach.
    """
    copy = site.copy_config(name)
    if isinstance(copy, LocalCopy):
        yield _open_local(site, copy, repository.name)
    elif isinstance(copy, ImmutableCopy):
        with site.bucket(copy.name) as bucket:
            place = bucket.place(
                repository.name, versions or {}, config_digest=repository.config_sha256
            )
            yield OpenCopy(copy, place, "", None, f"bucket:{copy.endpoint}", separate=True)
    else:
        with _open_offline(site, copy, repository.name) as opened:
            yield opened


def _open_local(site: Site, copy: LocalCopy, repository: str) -> OpenCopy:
    from orchestrator.engines.directory import DirectoryPlace

    identity = read_marker(copy.path)
    if identity is None:
        raise AbsentCopyError(
            f"copy {copy.name}: its folder is not there, or its disk is not mounted",
            hint=f"mount its disk; for a new copy: orchestrator init {site.config.path.parent}",
        )
    if identity.get("copy") != copy.name or identity.get("site") != site.keyring.id:
        raise AbsentCopyError(
            f"copy {copy.name}: the folder belongs to another copy or site",
            hint="put the right path into the site file",
        )

    def guard() -> None:
        if read_marker(copy.path) != identity:
            raise AbsentCopyError(f"copy {copy.name}: its disk went away")

    folder = copy.path / repository
    domain = f"disk:{os.stat(copy.path).st_dev}"
    place = DirectoryPlace(copy.name, folder, guard=guard)
    return OpenCopy(copy, place, "", None, domain, separate=True, folder=folder)


@contextmanager
def _open_offline(site: Site, copy: OfflineCopy, repository: str) -> Iterator[OpenCopy]:
    from orchestrator.actions.attach import attached

    with attached(site, copy) as handle:
        mounted = handle.mounted
        yield OpenCopy(
            copy,
            handle.place(repository),
            mounted.identity.medium,
            mounted.identity.label,
            f"medium:{mounted.fs_uuid or mounted.mount_point}",
            separate=mounted.separate,
            folder=handle.path / repository,
            detail=mounted.reason and f"it {mounted.reason}",
        )


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Return what a local copy's marker says; None if there is none."""
    try:
        body = json.loads((folder / MARKER).read_bytes())
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def write_marker(folder: Path, *, copy: str, site_id: str) -> None:
    """Mark a folder as a local copy, durably, with an id that no other folder has."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{MARKER}.tmp"
    with temporary.open("w") as stream:
        json.dump({"copy": copy, "site": site_id, "id": secrets.token_hex(8)}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(folder / MARKER)
