"""What of a LUKS erase can be seen: that the area of the key slots holds other bytes than before.

Knows the layout of both versions of the header, and no key.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from orchestrator.errors import EngineError
from orchestrator.sanitization.readback import ReadBack

_MAGIC = (b"LUKS\xba\xbe", b"SKUL\xba\xbe")
_AREA_BYTES = 16 << 20
_PART_BYTES = 4096


@dataclass(frozen=True, slots=True)
class KeyArea:
    """What stood in the area of the key slots.

    Attributes:
        size_bytes: Length of the device.
        parts: By offset the hash of each part of 4 KiB that was not all one byte.
    """

    size_bytes: int
    parts: dict[int, str]


def key_area(device: str) -> KeyArea:
    """Read the header and the key slots' area of a LUKS device or file.

    Raises:
        EngineError: It cannot be read, or is none.
    """
    try:
        with open(device, "rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            data = file.read(min(_AREA_BYTES, size))
    except OSError as error:
        raise EngineError(f"the device cannot be read: {error.strerror}") from error
    if not data.startswith(_MAGIC):
        raise EngineError("the device has no LUKS header at its beginning")
    # The metadata in front changes with any act; only what lies behind it can be key material.
    first = 4096 if data[6:8] == b"\x00\x01" else 2 * int.from_bytes(data[8:16], "big")
    parts = {}
    for offset in range(first, len(data), _PART_BYTES):
        part = data[offset : offset + _PART_BYTES]
        if part.count(part[0]) != len(part):
            parts[offset] = hashlib.sha256(part).hexdigest()
    return KeyArea(size, parts)


def compare(before: KeyArea, after: KeyArea) -> ReadBack:
    """Say which parts of the key slots' area are still what they were."""
    same = [offset for offset, digest in before.parts.items() if after.parts.get(offset) == digest]
    return ReadBack(
        full=False,
        size_bytes=after.size_bytes,
        read_bytes=len(before.parts) * _PART_BYTES,
        markers=len(before.parts),
        surviving=len(same),
        not_zero=None,
        unreadable=0,
        samples=0,
        residue_per_mille=0,
        detection_percent=0,
    )
