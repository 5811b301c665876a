"""The file by which an offline medium is recognised: what it says, how it is read and written.

It lies on the medium itself, below `FOLDER`, and is opened relative to an open folder only, so
that a medium that is swapped under its mount point is never taken for another.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

FORMAT = 1
FOLDER = "imaging-orchestrator"
"""The one folder of a medium that is ours."""

_NAME = "medium.json"
_LIMIT_BYTES = 64 * 1024
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Identity:
    """What a medium says of itself.

    Attributes:
        medium: Random id of the medium, 32 hex digits; never used again.
        copy: Name of the copy it is a medium of.
        site: Id of the site it belongs to.
        label: What people call it, as it is written on it.
        created_at: When it was added, aware UTC.
        fs_uuid: UUID of its file system when it was added; None if it has none.
    """

    medium: str
    copy: str
    site: str
    label: str
    created_at: datetime
    fs_uuid: str | None


def encode(identity: Identity) -> bytes:
    """Return the content of the identity file."""
    body = {
        "format": FORMAT,
        "medium": identity.medium,
        "copy": identity.copy,
        "site": identity.site,
        "label": identity.label,
        "created_at": identity.created_at.isoformat(),
        "fs_uuid": identity.fs_uuid,
    }
    return json.dumps(body, indent=2, ensure_ascii=False).encode() + b"\n"


def decode(content: bytes) -> Identity:
    """Read the content of an identity file.

    Raises:
        ValueError: It is none, or of a format that is not known.
    """
    try:
        body = json.loads(content)
        if body["format"] != FORMAT:
            raise ValueError(f"medium identity format {body['format']!r} is not known")
        created_at = datetime.fromisoformat(body["created_at"])
        identity = Identity(
            medium=body["medium"],
            copy=body["copy"],
            site=body["site"],
            label=body["label"],
            created_at=created_at,
            fs_uuid=body["fs_uuid"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError("not a medium identity file") from error
    texts = [identity.medium, identity.copy, identity.site, identity.label, identity.fs_uuid or ""]
    if not all(isinstance(text, str) for text in texts) or created_at.tzinfo is None:
        raise ValueError("not a medium identity file")
    return identity


def read(folder: int) -> bytes | None:
    """Return the content of the identity file below an open folder; None if there is none.

    Raises:
        OSError: The medium cannot be read.
    """
    try:
        ours = os.open(FOLDER, _OPEN_FOLDER, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(_NAME, flags, dir_fd=ours)
    except FileNotFoundError:
        return None
    finally:
        os.close(ours)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return os.read(descriptor, _LIMIT_BYTES)
    finally:
        os.close(descriptor)


def write(folder: int, identity: Identity) -> None:
    """Write the identity file below an open folder, durably; a reader sees all of it or none.

    Raises:
        OSError: The medium cannot be written.
    """
    with suppress(FileExistsError):
        os.mkdir(FOLDER, 0o700, dir_fd=folder)
    ours = os.open(FOLDER, _OPEN_FOLDER, dir_fd=folder)
    part = f"{_NAME}.part"
    try:
        with suppress(FileNotFoundError):
            os.unlink(part, dir_fd=ours)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(part, flags, 0o600, dir_fd=ours)
        try:
            rest = memoryview(encode(identity))
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(part, _NAME, src_dir_fd=ours, dst_dir_fd=ours)
        os.fsync(ours)
    finally:
        os.close(ours)
    os.fsync(folder)
