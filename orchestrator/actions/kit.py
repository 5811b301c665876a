"""Writing the recovery kit from what the site knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.actions.disposal import suppression
from orchestrator.actions.site import Site
from orchestrator.catalog import facts, media, repositories
from orchestrator.config.site import Copy, ImmutableCopy, LocalCopy
from orchestrator.errors import OrchestratorError
from orchestrator.keys.kit import KitFiles, write_kit
from orchestrator.keys.kit_contents import KitContents, KitCopy, KitRepository, checksum

if TYPE_CHECKING:
    from pathlib import Path

    from sqlmodel import Session

    from orchestrator.catalog.tables import Repository as RepositoryRow

MADE = "kit:made"
CHECKSUM = "kit:checksum"
"""The fact that tells the newest kit from older ones."""
ROTATED = "key:rotated"
"""The fact that the site key was changed, and when; its value is the new one's public id."""


def refresh_kit(site: Site, directory: Path | None = None) -> KitFiles:
    """Write the kit anew and note what it covers.

    Args:
        site: The site.
        directory: Where; None for the state folder's own.
    """
    now = site.clock.now()
    with site.catalog.reading() as session:
        rows = covered(site, session)
    contents = KitContents(
        site=site.config.name,
        made_at=now,
        version=__version__,
        keyring_id=site.keyring.id,
        site_key=site.keyring.site_key(),
        repositories=tuple(
            KitRepository(
                row.name, row.store, row.id, site.keyring.password(row.name), row.config_sha256
            )
            for row in rows
        ),
        copies=tuple(_copy(site, copy, rows) for copy in site.config.copies.values()),
        ledger_key=_ledger_key(site),
    )
    folder = directory or site.state_dir / "recovery-kit"
    files = write_kit(folder, contents)
    suppression.write_list(site, folder)
    with site.catalog.transaction() as session:
        facts.put(session, MADE, value=fingerprint(site, rows), now=now)
        facts.put(session, CHECKSUM, value=checksum(contents), now=now)
    return files


def covered(site: Site, session: Session) -> list[RepositoryRow]:
    """Return the repositories that a kit opens: all but those whose key was destroyed."""
    gone = {one.name for one in site.keyring.entries() if one.destroyed_at is not None}
    return [row for row in repositories.of_store(session) if row.name not in gone]


def _ledger_key(site: Site) -> str | None:
    """Return the ledger's public key; a ledger that is lost keeps nobody from a kit."""
    try:
        return site.ledger.verifier.vkey
    except OrchestratorError:
        return None


def fingerprint(site: Site, rows: list[RepositoryRow]) -> str:
    """Return what a kit must cover, so that one that no longer does can be told."""
    parts = sorted([*(row.id for row in rows), *site.config.copies])
    return "|".join([*parts, site.keyring.key_file])


def _copy(site: Site, copy: Copy, rows: list[RepositoryRow]) -> KitCopy:
    if isinstance(copy, LocalCopy):
        return KitCopy(
            copy.name,
            copy.role,
            f"folder {copy.path}",
            {row.name: str(copy.path / row.name) for row in rows},
        )
    if isinstance(copy, ImmutableCopy):
        base = "/".join(part for part in (copy.bucket, copy.prefix) if part)
        certificate = copy.ca_file.read_text() if copy.ca_file and copy.ca_file.exists() else None
        return KitCopy(
            copy.name,
            copy.role,
            f"bucket {copy.bucket} at {copy.endpoint}",
            {row.name: f"s3:{copy.endpoint}/{base}/{row.name}" for row in rows},
            region=copy.region,
            ca_certificate=certificate,
        )
    with site.catalog.reading() as session:
        labels = ", ".join(medium.label for medium in media.of_copy(session, copy.name))
    return KitCopy(
        copy.name,
        copy.role,
        f"offline media{f': {labels}' if labels else ''}; mount one, for example at /mnt",
        {row.name: f"/mnt/imaging-orchestrator/{row.name}" for row in rows},
    )
