"""Bringing back the entries of the ledger that a bucket has and this machine has lost.

A bucket that the ledger was anchored in holds all of it up to then, under lock. What lies there is
taken only if it is whole, signed by the ledger's key, and continues what is here.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.ledger import outside
from orchestrator.actions.site import Site
from orchestrator.errors import DamageError, EngineError, OrchestratorError, StoppedError

if TYPE_CHECKING:
    from orchestrator.engines.bucket.records import Records
    from orchestrator.engines.bucket.versions import VersionFact
    from orchestrator.ledger.checkpoint import Checkpoint

_PART = "ledger.fetched"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was brought back.

    Attributes:
        copy: The bucket's copy.
        before: Entries that were here.
        size: Entries that are here now.
    """

    copy: str
    before: int
    size: int


def fetch(site: Site) -> tuple[list[Fetched], dict[str, str]]:
    """Take in what any bucket has more than this machine.

    Returns:
        What was brought back, and why a bucket could not be asked or believed, by copy.

    Raises:
        RefusedError: There is no ledger, or it was lost.
        DamageError: The ledger here cannot be read.
        StoppedError: The work was told to stop.
    """
    done: list[Fetched] = []
    problems: dict[str, str] = {}
    for name in outside.targets(site):
        try:
            found = _from(site, name)
        except StoppedError:
            raise
        except OrchestratorError as error:
            _log.warning("copy %s: no entry was taken from it: %s", name, error.message)
            problems[name] = error.message
            continue
        if found is not None:
            done.append(found)
            # Whoever has opened the ledger before knows it as it was.
            site.__dict__.pop("ledger", None)
    return done, problems


def fetch_gently(site: Site, lost: list[str]) -> Fetched | None:
    """Do as `fetch`; what cannot be had is told in `lost`.

    Raises:
        StoppedError: The work was told to stop.
    """
    try:
        done, problems = fetch(site)
    except StoppedError:
        raise
    except OrchestratorError as error:
        _log.warning("no entry of the ledger was brought back: %s", error.message)
        return None
    lost += [
        f"copy {name} may have entries of the ledger that are not here: {why}; when it answers: "
        "orchestrator ledger fetch"
        for name, why in problems.items()
    ]
    return done[-1] if done else None


def _from(site: Site, name: str) -> Fetched | None:
    from orchestrator.ledger.catch_up import catch_up

    ledger = site.ledger
    before = ledger.reader().checkpoint.size
    with outside.impatient_bucket(site, name) as bucket:
        records = bucket.records(outside.FOLDER)
        found = outside.newest_outside(site, records)
        if found.newest is None or found.newest.size <= before:
            return None
        versions: dict[str, list[VersionFact]] = {}
        below = f"{ledger.origin}/"
        for version in records.versions(below):
            if not version.is_marker:
                versions.setdefault(version.path.removeprefix(below), []).append(version)
        # The oldest version is ours unless somebody came first; what is wrong does not verify.
        for oldest in (True, False):
            part = site.state_dir / _PART
            try:
                _download(site, records, found.newest, versions, part, oldest=oldest)
                size = catch_up(ledger.folder, part, ledger.verifier).size
                return Fetched(name, before, size)
            except DamageError:
                if not oldest:
                    raise
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return None


def _download(
    site: Site,
    records: Records,
    newest: Checkpoint,
    versions: dict[str, list[VersionFact]],
    part: Path,
    *,
    oldest: bool,
) -> None:
    """Write a whole log as of a checkpoint into a folder.

    Raises:
        DamageError: A file of it is not in the bucket.
        EngineError: The disk refuses.
        OrchestratorError: The bucket cannot be read.
    """
    from orchestrator.ledger import tiles
    from orchestrator.ledger.export import checkpoint_path
    from orchestrator.ledger.files import LARGEST_FILE
    from orchestrator.ledger.reader import CHECKPOINT, KEY

    shutil.rmtree(part, ignore_errors=True)
    _write(part / KEY, f"{site.ledger.verifier.vkey}\n".encode())
    for place in tiles.places(newest.size):
        site.check_stop()
        data = _here(site.ledger.folder, place.path) if place.width == tiles.WIDTH else None
        if data is None:
            version = _choose(versions.get(place.path, ()), place.path, oldest=oldest)
            data = records.read(version, limit=LARGEST_FILE)
        _write(part / place.path, data)
    _write(part / checkpoint_path(newest.size), newest.data)
    _write(part / CHECKPOINT, newest.data)


def _here(folder: Path, path: str) -> bytes | None:
    """Return a full file that is here already: it never changes, and is verified like the rest."""
    try:
        return (folder / path).read_bytes()
    except OSError:
        return None


def _choose(found: Sequence[VersionFact], path: str, *, oldest: bool) -> VersionFact:
    if not found:
        raise DamageError(f"ledger: {path} is not in the bucket")
    return found[-1] if oldest else found[0]


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise EngineError(
            f"the ledger cannot be fetched into {path.parent.name}: "
            f"{(error.strerror or type(error).__name__).lower()}"
        ) from None
