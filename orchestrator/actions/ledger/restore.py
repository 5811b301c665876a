"""The ledgers in the state beside the images, and how they come back from there.

A ledger that came back may be older than the one that was lost: it is marked, and not signed
before somebody outside was asked.
"""

from __future__ import annotations

import logging
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.ledger.opening import (
    CHECKPOINT,
    CLOSED,
    FOLDER,
    closed_path,
    ledger_path,
    newest_number,
)
from orchestrator.actions.ledger.outside import RESTORED
from orchestrator.actions.site import Site
from orchestrator.catalog import anchors, facts
from orchestrator.catalog import ledger as rows
from orchestrator.errors import EngineError, OrchestratorError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.ledger_tables import Ledger

_PART = "ledger.restored"
_LOCK = ".lock"
_LARGEST = 1 << 25

_log = logging.getLogger(__name__)


def ledger_members(site: Site) -> Iterator[tuple[str, bytes]]:
    """Yield the files of every ledger with their names in the state; none if there is none.

    A ledger that cannot be read is left out and said so: the images' backup must not fail for it.
    """
    if newest_number(site.keyring) == 0:
        return
    with site.catalog.reading() as session:
        known = rows.every(session)
        sizes = {row.number: {a.size for a in anchors.every(session, row.number)} for row in known}
    for row in known:
        try:
            yield from _members(site, row, sizes[row.number])
        except OrchestratorError as error:
            _log.error("ledger %d is not stored with the state: %s", row.number, error.message)


def restore_ledgers(site: Site, archive: tarfile.TarFile) -> bool:
    """Put the ledgers of a stored state in their places, where none is.

    Args:
        site: The site; its keyring is that of the state, or a newer one.
        archive: The state.

    Returns:
        Whether the ledger that is written came back.

    Raises:
        EngineError: The disk refuses.
    """
    part = site.state_dir / _PART
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        for member in archive.getmembers():
            if member.isfile() and _is_ledgers(member.name) and member.size <= _LARGEST:
                _extract(archive, member, part)
        came_back = _put(part / FOLDER, ledger_path(site.state_dir))
        closed = part / CLOSED
        for folder in sorted(closed.iterdir()) if closed.is_dir() else ():
            target = closed_path(site.state_dir, int(folder.name))
            target.parent.mkdir(mode=0o700, exist_ok=True)
            _put(folder, target)
    except OSError as error:
        raise EngineError(
            f"the ledger cannot be restored into {site.state_dir}: "
            f"{(error.strerror or type(error).__name__).lower()}"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return came_back


def mark_restored(site: Site, session: Session) -> None:
    """Note in a rebuilt catalog that the ledger must be compared before it is signed.

    A ledger that was never opened in its folder came from a copy, whoever put it there.
    """
    anchors.forget_outside(session)
    folder = ledger_path(site.state_dir)
    if folder.is_dir() and not (folder / _LOCK).exists():
        facts.put(session, RESTORED, value="from a copy", now=site.clock.now())


def _members(site: Site, row: Ledger, sizes: set[int]) -> Iterator[tuple[str, bytes]]:
    from orchestrator.ledger.export import log_files
    from orchestrator.ledger.note import parse_vkey

    is_current = row.number == newest_number(site.keyring)
    folder = ledger_path(site.state_dir) if is_current else closed_path(site.state_dir, row.number)
    base = FOLDER if is_current else f"{CLOSED}/{row.number}"
    # Of the checkpoints of every append only those that somebody outside may ask for.
    for path, data in log_files(folder, parse_vkey(row.vkey), sizes=sizes):
        yield f"{base}/{path}", data


def _is_ledgers(name: str) -> bool:
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return False
    if parts[0] == CLOSED:
        return len(parts) > 2 and parts[1].isascii() and parts[1].isdigit()
    return parts[0] == FOLDER and len(parts) > 1


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, part: Path) -> None:
    stream = archive.extractfile(member)
    if stream is None:
        return
    path = part / member.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(stream.read())
    path.chmod(0o600)


def _put(source: Path, target: Path) -> bool:
    if target.exists() or not (source / CHECKPOINT).is_file():
        return False
    source.rename(target)
    return True
