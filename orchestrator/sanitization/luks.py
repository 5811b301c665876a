"""What of a LUKS erase can be seen: that the areas of the key slots hold other bytes than before.

Knows where both versions of the header keep their key slots, and no key.

Source: LUKS1 On-Disk Format Specification 1.2.3, table "PHDR layout"; LUKS2 On-Disk Format
Specification 1.1.1, sections on the binary header and the JSON area.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import dataclass

from orchestrator.errors import EngineError
from orchestrator.sanitization.readback import ReadBack

_MAGIC = b"LUKS\xba\xbe"
_HEADER_BYTES = 4 << 20
_PART_BYTES = 4096
_SLOTS_1, _SLOT_1 = 8, struct.Struct(">II32sII")
_SLOT_1_OFFSET, _KEY_BYTES_OFFSET, _JSON_OFFSET = 208, 108, 4096


@dataclass(frozen=True, slots=True)
class KeyArea:
    """What stood in the areas of the key slots.

    Attributes:
        size_bytes: Length of the device.
        parts: By offset and length the hash of each part.
    """

    size_bytes: int
    parts: dict[tuple[int, int], str]


def key_area(device: str) -> KeyArea:
    """Read the areas of every key slot of a LUKS device or file.

    Raises:
        EngineError: It cannot be read, has no LUKS header or no key slot.
    """
    with _Reader(device) as reader:
        header = reader.read(0, _HEADER_BYTES)
        try:
            areas = _areas(header)
        except (ValueError, KeyError, TypeError, AttributeError, struct.error):
            areas = []
        if not areas:
            raise EngineError("the device has no LUKS header, or no key slot in it")
        places = [
            (offset, min(_PART_BYTES, first + length - offset))
            for first, length in areas
            for offset in range(first, first + length, _PART_BYTES)
        ]
        return KeyArea(reader.size_bytes, {place: reader.digest(*place) for place in places})


def compare(device: str, before: KeyArea) -> ReadBack:
    """Say which parts of the key slots are still what they were.

    Raises:
        EngineError: It cannot be read.
    """
    with _Reader(device) as reader:
        same = [place for place, digest in before.parts.items() if reader.digest(*place) == digest]
        return ReadBack(
            full=False,
            size_bytes=reader.size_bytes,
            read_bytes=sum(length for _, length in before.parts),
            markers=len(before.parts),
            surviving=len(same),
            not_zero=None,
            unreadable=0,
            residue_per_mille=0,
            detection_percent=0,
        )


def _areas(header: bytes) -> list[tuple[int, int]]:
    """Return offset and length of the area of each key slot that is in use."""
    if not header.startswith(_MAGIC):
        return []
    (version,) = struct.unpack_from(">H", header, len(_MAGIC))
    if version == 1:
        (key_bytes,) = struct.unpack_from(">I", header, _KEY_BYTES_OFFSET)
        slots = (
            _SLOT_1.unpack_from(header, _SLOT_1_OFFSET + number * _SLOT_1.size)
            for number in range(_SLOTS_1)
        )
        return [
            (sector * 512, key_bytes * stripes)
            for active, _, _, sector, stripes in slots
            if active == 0x00AC71F3
        ]
    (size,) = struct.unpack_from(">Q", header, 8)
    metadata = json.loads(header[_JSON_OFFSET:size].partition(b"\0")[0])
    areas = [slot["area"] for slot in metadata["keyslots"].values()]
    return [(int(area["offset"]), int(area["size"])) for area in areas]


class _Reader:
    def __init__(self, device: str) -> None:
        try:
            self._file = open(device, "rb", buffering=0)  # noqa: SIM115 - closed by the context
            self.size_bytes = self._file.seek(0, os.SEEK_END)
            # What is read must come from the device, not from what was read before.
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            raise EngineError(f"the device cannot be read: {error.strerror}") from error

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), length, offset)
        except OSError as error:
            raise EngineError(f"the device cannot be read: {error.strerror}") from error

    def digest(self, offset: int, length: int) -> str:
        return hashlib.sha256(self.read(offset, length)).hexdigest()
