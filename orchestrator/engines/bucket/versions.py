"""Every version and delete marker below a prefix, as the bucket lists them.

Reads listings only; knows nothing of retention and chooses no version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from itertools import groupby
from typing import Any

from orchestrator.engines.bucket.door import Door
from orchestrator.engines.layout import Kind, parse_path


@dataclass(frozen=True, slots=True)
class VersionFact:
    """One version, or one delete marker, of one key.

    Attributes:
        key: Whole key in the bucket.
        path: What follows the repository's prefix.
        version_id: Its version id.
        is_marker: It is a delete marker: no bytes, and it hides the versions before it.
        is_latest: It is what a plain request for the key meets.
        size_bytes: Length of the content; 0 for a delete marker.
        etag: The server's entity tag without quotes; empty for a delete marker.
        modified: When the server stored it, aware UTC, in whole seconds: never rely on it for
            the order of two versions.
    """

    key: str
    path: str
    version_id: str
    is_marker: bool
    is_latest: bool
    size_bytes: int
    etag: str
    modified: datetime

    @property
    def parsed(self) -> tuple[Kind, str] | None:
        """Kind and name if it is a repository file; None for locks and foreign names."""
        return parse_path(self.path)


def list_versions(door: Door, base: str, *, below: str = "") -> Iterator[VersionFact]:
    """Yield every version and delete marker, by key in byte order, the latest of a key first.

    One request per thousand; memory holds one page.

    Args:
        door: How to ask.
        base: Key prefix of the repository, with its slash.
        below: What further the paths begin with.

    Raises:
        OrchestratorError: As `Door.call`.
    """
    arguments: dict[str, Any] = {"Prefix": base + below}
    while True:
        page = door.call("list_object_versions", "listing of the versions", **arguments)
        # the two lists of a page are each in order; the order between them is not told
        yield from merge(
            (_fact(one, base, is_marker=False) for one in page.get("Versions", ())),
            (_fact(one, base, is_marker=True) for one in page.get("DeleteMarkers", ())),
            key=_order,
        )
        if not page.get("IsTruncated"):
            return
        arguments["KeyMarker"] = page["NextKeyMarker"]
        arguments["VersionIdMarker"] = page.get("NextVersionIdMarker", "")


def by_key(facts: Iterator[VersionFact]) -> Iterator[list[VersionFact]]:
    """Group a listing by key, the latest first; a key's versions may lie on two pages."""
    for _, group in groupby(facts, key=lambda fact: fact.key):
        yield list(group)


def _fact(listed: dict[str, Any], base: str, *, is_marker: bool) -> VersionFact:
    key = str(listed["Key"])
    return VersionFact(
        key=key,
        path=key.removeprefix(base),
        version_id=str(listed["VersionId"]),
        is_marker=is_marker,
        is_latest=bool(listed["IsLatest"]),
        size_bytes=int(listed.get("Size", 0)),
        etag=str(listed.get("ETag", "")).strip('"'),
        modified=listed["LastModified"].astimezone(UTC),
    )


def _order(fact: VersionFact) -> tuple[bytes, bool]:
    return (fact.key.encode("utf-8", "surrogatepass"), not fact.is_latest)
