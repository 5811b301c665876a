"""What the files of a restic repository are called, and in which order they may move.

Pure. Every file but ``config`` is named by the SHA-256 of its content (restic's repository
design document, "Repository Format"), so a replica can be verified without any key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["config", "keys", "data", "index", "snapshots"]

LIST_ORDER: tuple[Kind, ...] = ("config", "keys", "snapshots", "index", "data")
"""Read order on a source: whatever a listed snapshot needs is listed after it."""

WRITE_ORDER: tuple[Kind, ...] = ("config", "keys", "data", "index", "snapshots")
"""Write order on a replica: at every instant it is a valid repository."""

REMOVE_ORDER: tuple[Kind, ...] = ("snapshots", "index", "data", "keys")
"""Removal order on a replica, for the same reason."""

FileKey = tuple[str, str]
"""Kind and name of a repository file."""

_CONTENT_NAME = re.compile(r"[0-9a-f]{64}")
_TEMPORARY_NAME = re.compile(r"[0-9a-f]{64}-tmp-[0-9]+")


@dataclass(frozen=True, slots=True, order=True)
class RepositoryFile:
    """One file of a repository.

    Attributes:
        kind: Its folder in the repository (``config`` for the file of that name).
        name: 64 lower-case hex digits, the SHA-256 of the content; ``config`` for config.
        size_bytes: Length of the content, 0 or more.
    """

    kind: Kind
    name: str
    size_bytes: int

    @property
    def path(self) -> str:
        """Path below the repository's root, with forward slashes."""
        return file_path(self.kind, self.name)

    @property
    def key(self) -> FileKey:
        """Identity without the size."""
        return (self.kind, self.name)


def file_path(kind: str, name: str) -> str:
    """Return the path of a file below the repository's root."""
    if kind == "config":
        return "config"
    if kind == "data":
        return f"data/{name[:2]}/{name}"
    return f"{kind}/{name}"


def parse_path(path: str) -> tuple[Kind, str] | None:
    """Return kind and name of a repository path, or None if it is not part of a replica.

    Locks, temporary names and anything else restic does not address by content give None.
    """
    if path == "config":
        return ("config", "config")
    parts = path.split("/")
    name = parts[-1]
    if not is_content_name(name):
        return None
    if len(parts) == 3 and parts[0] == "data" and parts[1] == name[:2]:
        return ("data", name)
    if len(parts) == 2 and parts[0] in ("keys", "index", "snapshots"):
        return (parts[0], name)  # type: ignore[return-value]
    return None


def is_content_name(name: str) -> bool:
    """Say whether a file name is a SHA-256 in hex."""
    return _CONTENT_NAME.fullmatch(name) is not None


def is_temporary_name(name: str) -> bool:
    """Say whether a file name is one restic leaves behind when it is killed."""
    return _TEMPORARY_NAME.fullmatch(name) is not None
