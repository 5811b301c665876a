"""Our own eyes: markers written and read before, and what is read back afterwards.

Everything goes past the page cache (O_DIRECT): what is read comes from the device. A marker is
random bytes that must be there before the technique and must be gone after it; firmware that says
yes and does nothing is caught by that alone. Knows no technique and no tool.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.errors import EngineError
from orchestrator.sanitization.disk import MIB, Disk, opened

MARKER_BYTES = MIB
MARKERS = 16
SAMPLE_BYTES = 4096
SAMPLES = 4603
"""So many random samples see a residue of 0.1 % with 99 %: 1 - (1 - 0.001)^4603."""

_ZEROS = bytes(MIB)
_MOST_ERRORS = 100

Advance = Callable[[int, int], None]
"""Told how many bytes of how many are done."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Random bytes at a place: their hash is kept, not they.

    Attributes:
        offset: Where it begins.
        size_bytes: How long it is.
        sha256: Hash of what was written.
    """

    offset: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What reading the device afterwards has found.

    Attributes:
        full: Every byte was read; otherwise markers and a random sample.
        size_bytes: Length of the device.
        read_bytes: How many bytes were read.
        markers: How many markers had been written and read before.
        surviving: How many of them still read as they were written.
        not_zero: Blocks that do not read as zero; None where zeros are not expected.
        unreadable: Places that could not be read.
        samples: Random samples taken; 0 for a full reading.
        residue_per_mille: Share of the device for which `detection_percent` is stated.
        detection_percent: Probability, rounded down, that a residue of that share is seen.
    """

    full: bool
    size_bytes: int
    read_bytes: int
    markers: int
    surviving: int
    not_zero: int | None
    unreadable: int
    samples: int = 0
    residue_per_mille: int = 1
    detection_percent: int = 100

    @property
    def contrary(self) -> tuple[str, ...]:
        """What speaks against, in sentences."""
        found = []
        if self.surviving:
            found.append(f"{self.surviving} of {self.markers} markers are still there")
        if self.not_zero:
            found.append(f"{self.not_zero} blocks do not read as zero")
        if self.unreadable:
            found.append(f"{self.unreadable} places cannot be read")
        return tuple(found)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What is not known, in sentences."""
        found = []
        if not self.markers:
            found.append("no marker had been written")
        if self.full and self.read_bytes != self.size_bytes and not self.unreadable:
            found.append("not every byte was read")
        return tuple(found)


def write_markers(
    device: str, *, block_bytes: int = 512, chooser: random.Random | None = None
) -> list[Marker]:
    """Write random markers and read them back.

    They are spread over the device, with one at each end. A device of less than 32 MiB gets
    smaller ones, one too small for that fewer.

    Args:
        device: The block device.
        block_bytes: Its logical block.
        chooser: Chooses the places; None for a secure one.

    Raises:
        RefusedError: The device is in use.
        EngineError: It cannot be written, or reads other bytes than were written.
    """
    chooser = chooser or random.SystemRandom()
    with opened(device, writing=True) as disk:
        markers = []
        for offset, length in _places(disk.size_bytes, max(block_bytes, 4096), chooser):
            data = secrets.token_bytes(length)
            disk.write(offset, data)
            markers.append(Marker(offset, length, hashlib.sha256(data).hexdigest()))
        disk.flush()
    with opened(device) as disk:
        if len(_surviving(disk, markers)) != len(markers):
            raise EngineError(
                "the device does not give back what was written to it",
                hint="it is broken or a counterfeit: destroy it physically",
            )
    return markers


def read_back(
    device: str,
    markers: Sequence[Marker],
    *,
    zeros: bool,
    full: bool,
    advance: Advance | None = None,
    chooser: random.Random | None = None,
) -> ReadBack:
    """Read the device afterwards.

    Args:
        device: The block device.
        markers: What `write_markers` had written.
        zeros: Every byte must read as zero.
        full: Read everything; otherwise markers and random samples. A small device is read
            wholly in any case.
        advance: Told about progress.
        chooser: Chooses the samples; None for a secure one.

    Raises:
        RefusedError: The device is in use.
        EngineError: It cannot be opened.
    """
    chooser = chooser or random.SystemRandom()
    with opened(device) as disk:
        size = disk.size_bytes
        full = full or size <= SAMPLES * SAMPLE_BYTES
        seen = _Seen(zeros=zeros)
        surviving = _surviving(disk, markers, seen)
        if full:
            seen = _Seen(zeros=zeros)
            for offset in range(0, size, MIB):
                seen.look(disk, offset, min(MIB, size - offset))
                if advance is not None:
                    advance(min(offset + MIB, size), size)
                if seen.unreadable >= _MOST_ERRORS:
                    break
        else:
            for _ in range(SAMPLES):
                place = chooser.randrange(size // SAMPLE_BYTES) * SAMPLE_BYTES
                seen.look(disk, place, SAMPLE_BYTES)
                if seen.unreadable >= _MOST_ERRORS:
                    break
    samples = 0 if full else SAMPLES
    return ReadBack(
        full=full,
        size_bytes=size,
        read_bytes=seen.read_bytes,
        markers=len(markers),
        surviving=len(surviving),
        not_zero=seen.not_zero if zeros else None,
        unreadable=seen.unreadable,
        samples=samples,
        detection_percent=100 if full else int(100 * (1 - 0.999**samples)),
    )


@dataclass(slots=True)
class _Seen:
    zeros: bool
    read_bytes: int = 0
    not_zero: int = 0
    unreadable: int = 0

    def look(self, disk: Disk, offset: int, length: int) -> bytes | None:
        try:
            data = disk.read(offset, length)
        except OSError:
            self.unreadable += 1
            return None
        self.read_bytes += len(data)
        if len(data) < length:
            self.unreadable += 1
        if self.zeros and data != _ZEROS[: len(data)]:
            self.not_zero += 1
        return data


def _surviving(disk: Disk, markers: Sequence[Marker], seen: _Seen | None = None) -> list[Marker]:
    seen = seen or _Seen(zeros=False)
    found = []
    for marker in markers:
        data = seen.look(disk, marker.offset, marker.size_bytes)
        if data is not None and hashlib.sha256(data).hexdigest() == marker.sha256:
            found.append(marker)
    return found


def _places(size: int, block: int, chooser: random.Random) -> Iterator[tuple[int, int]]:
    """Choose where markers go: one in each of equal parts, the first and last at the ends."""
    length = MARKER_BYTES
    while length > block and size < 2 * MARKERS * length:
        length //= 2
    count = max(1, min(MARKERS, size // (2 * length)))
    if size < length:
        raise EngineError("the device is too small for a marker")
    part = size // count
    for number in range(count):
        first, room = number * part, part - length
        if number == 0:
            offset = 0
        elif number == count - 1:
            offset = (size - length) // 512 * 512
        else:
            offset = first // block * block + chooser.randrange(room // block) * block
        yield offset, length
