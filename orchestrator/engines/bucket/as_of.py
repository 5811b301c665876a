"""What a bucket held at an instant: which versions of which names may be the right ones.

Pure. Every name but ``config`` is the SHA-256 of its content, so the right version is the one with
that hash, whatever clocks, delete markers and later versions say; the instant only decides what is
shown at all:

- ``config`` and ``data``: always. They mean nothing without an index and a snapshot that name them.
- ``snapshots`` and ``index``: with a right version that was written at or before the instant.
- ``keys``: likewise, and those we have put ourselves at any time; all of them if none would be
  left. A forged key file makes restic give up, so what came later is not shown.

An index that a later prune has superseded is still shown. As long as its packs are there that is
harmless: they hold the same content as the packs the prune made. When their lock has ended and the
sweeper has taken them, restic looks a blob up in another index, which it finds if the newer index
was written by then, too. So an instant shows what the primary had then, as long as no lock of that
time has run out; and for an old snapshot the instant to ask for is not its own, but the last one
before the attack.

The server's clock says when a version was written, in whole seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.engines.bucket.versions import VersionFact
from orchestrator.engines.interface import StoredFile
from orchestrator.engines.layout import FileKey, RepositoryFile

_DATED = ("snapshots", "index", "keys")


@dataclass(slots=True)
class Recall:
    """What a bucket held, before a byte was read.

    Attributes:
        candidates: The versions of each name that may be the right one, in the order in which
            they are to be tried; never empty. By kind in the order of the listing.
        suspicious: Names with more than one version, or hidden, at any time.
        late: Names that had no version at all at the instant.
    """

    candidates: dict[FileKey, tuple[StoredFile, ...]] = field(default_factory=dict)
    suspicious: int = 0
    late: set[FileKey] = field(default_factory=set)

    @property
    def files(self) -> list[StoredFile]:
        """What there is, each with the version that is tried first."""
        return [versions[0] for versions in self.candidates.values()]

    @property
    def doubtful(self) -> dict[FileKey, tuple[StoredFile, ...]]:
        """The names of which versions must be compared."""
        return {key: found for key, found in self.candidates.items() if len(found) > 1}


def recall(
    groups: Iterable[Sequence[VersionFact]], *, known: Mapping[str, str], at: datetime | None
) -> Recall:
    """Choose from a listing of versions.

    Args:
        groups: All versions and delete markers of one key each, the latest first; foreign names
            are passed over.
        known: Version id by path, as recorded when the files were put; may be empty.
        at: The instant, aware; None for whatever is there now.
    """
    found = Recall()
    later_keys: dict[FileKey, tuple[StoredFile, ...]] = {}
    for facts in groups:
        versions = [fact for fact in facts if not fact.is_marker]
        parsed = facts[0].parsed
        if parsed is None or not versions:
            continue
        hidden = facts[0].is_marker and facts[0].is_latest
        found.suspicious += hidden or len(versions) > 1
        wanted = known.get(facts[0].path)
        then = [fact for fact in versions if at is None or fact.modified <= at]
        if not then:
            found.late.add(parsed)
        if parsed[0] not in _DATED or (parsed[0] == "keys" and wanted is not None):
            then = versions
        # the recorded one, then the oldest: what an attacker puts comes after what we put
        oldest_first = (then or versions)[::-1]
        ordered = sorted(oldest_first, key=lambda fact: fact.version_id != wanted)
        choice = tuple(
            StoredFile(
                RepositoryFile(*parsed, fact.size_bytes),
                version_id=fact.version_id,
                versions=len(versions),
                hidden=hidden,
            )
            for fact in ordered
        )
        if then:
            found.candidates[parsed] = choice
        elif parsed[0] == "keys":
            later_keys[parsed] = choice
    if not any(kind == "keys" for kind, _ in found.candidates):
        found.candidates.update(later_keys)
    return found
