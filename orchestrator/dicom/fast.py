"""Finding a few header elements in plain DICOM files without building a data set.

Reads explicit and implicit VR little endian (and the inflated body of deflated files) with
sorted tags, skips nested sequences, and stops after the Series Instance UID. Anything unusual
raises `NotPlainError`, and pydicom decides. ADR 3 says why this exists.

Source: DICOM PS3.5 sections 7.1-7.5 (data elements, sequences), A.5 (deflate); PS3.10 7.1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final

Pread = Callable[[int, int], bytes]

FIELDS: Final[dict[int, str]] = {
    0x00020002: "media_storage_sop_class_uid",
    0x00020010: "transfer_syntax_uid",
    0x00080005: "specific_character_set",
    0x00080012: "instance_creation_date",
    0x00080016: "sop_class_uid",
    0x00080018: "sop_instance_uid",
    0x00080020: "study_date",
    0x00080021: "series_date",
    0x00080022: "acquisition_date",
    0x00080023: "content_date",
    0x00080050: "accession_number",
    0x00080060: "modality",
    0x00080080: "institution_name",
    0x00100010: "patient_name",
    0x00100020: "patient_id",
    0x00100021: "issuer_of_patient_id",
    0x00100030: "patient_birth_date",
    0x00100200: "quality_control_subject",
    0x00120062: "patient_identity_removed",
    0x00180015: "body_part_examined",
    0x0020000D: "study_instance_uid",
    0x0020000E: "series_instance_uid",
}
"""The elements that are recorded, by tag."""

LAST_TAG: Final = 0x0020000E
MAX_VALUE_BYTES: Final = 1024

_LAST_META_TAG = 0x0002FFFF
_META_START = 132
_TRANSFER_SYNTAX = 0x00020010
_STANDARD_SYNTAXES = "1.2.840.10008.1.2."
_IMPLICIT_LITTLE = "1.2.840.10008.1.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_ODD = -1

_WINDOW_BYTES = 8192
_MAX_ELEMENTS = 20_000
_MAX_DEFLATED_BYTES = 256 * 1024
_MAX_INFLATED_BYTES = 1024 * 1024

_SHORT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)  # fmt: skip
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())

_read_explicit = struct.Struct("<HH2sH").unpack_from
_read_implicit = struct.Struct("<HHL").unpack_from
_read_length = struct.Struct("<L").unpack_from


class NotPlainError(Exception):
    """The file needs pydicom.

    Args:
        found: What was found before the reader gave up.
    """

    def __init__(self, found: dict[int, bytes]) -> None:
        super().__init__("not a plain DICOM file")
        self.found = found


class _OddError(Exception):
    """Something unusual in the data set."""


class _Window:
    """The part of a file that is in memory, and where it lies in the file."""

    __slots__ = ("_pread", "base", "data")

    def __init__(self, head: bytes, pread: Pread) -> None:
        self.data = head
        self.base = 0
        self._pread = pread

    def move(self, position: int) -> tuple[bytes, int]:
        """Read on from `position` (relative to the window); return data and its new position."""
        self.base += position
        self.data = self._pread(_WINDOW_BYTES, self.base)
        return self.data, 0


def find_elements(head: bytes, pread: Pread) -> dict[int, bytes]:
    """Find the elements of `FIELDS` in a file with preamble and file meta information.

    Values are as stored, with padding; those above `MAX_VALUE_BYTES` are left out.

    Args:
        head: The first bytes of the file, at least 132.
        pread: Reads more: `(length, offset) -> bytes`.

    Raises:
        NotPlainError: pydicom is needed.
        OSError: `pread` failed.
    """
    found: dict[int, bytes] = {}
    try:
        window = _Window(head, pread)
        position = _walk(window, _META_START, explicit=True, last_tag=_LAST_META_TAG, found=found)
        syntax = _syntax(found)
        if syntax == _DEFLATED:
            window = _Window(_inflate(pread, window.base + position), lambda _n, _at: b"")
            position = 0
        elif syntax == _BIG_ENDIAN or not (
            syntax == _IMPLICIT_LITTLE or syntax.startswith(_STANDARD_SYNTAXES)
        ):
            raise NotPlainError(found)
        explicit = syntax != _IMPLICIT_LITTLE
        if position + 8 > len(window.data):
            _, position = window.move(position)
        if not explicit and _looks_explicit(window.data, position):
            raise NotPlainError(found)
        _walk(window, position, explicit=explicit, last_tag=LAST_TAG, found=found)
    except (struct.error, _OddError):
        raise NotPlainError(found) from None
    return found


def inflate_dataset(head: bytes, pread: Pread) -> tuple[dict[int, bytes], bytes] | None:
    """Return file meta elements and the beginning of the inflated data set of a deflated file.

    At most 1 MiB is inflated, whatever the file claims. None if the file is not deflated.

    Raises:
        OSError: `pread` failed.
    """
    if head[128:_META_START] != b"DICM":
        return None
    meta: dict[int, bytes] = {}
    try:
        window = _Window(head, pread)
        position = _walk(window, _META_START, explicit=True, last_tag=_LAST_META_TAG, found=meta)
        if _syntax(meta) != _DEFLATED:
            return None
        return meta, _inflate(pread, window.base + position)
    except (struct.error, _OddError):
        return None


def _syntax(found: dict[int, bytes]) -> str:
    return found.get(_TRANSFER_SYNTAX, b"").rstrip(b" \0").decode("latin-1")


def _inflate(pread: Pread, offset: int) -> bytes:
    packed = pread(_MAX_DEFLATED_BYTES, offset)
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, _MAX_INFLATED_BYTES)
    except zlib.error:
        raise _OddError from None


def _looks_explicit(data: bytes, position: int) -> bool:
    vr = data[position + 4 : position + 6]
    return len(vr) == 2 and vr.isalpha() and vr.isupper()


def _walk(
    window: _Window, position: int, *, explicit: bool, last_tag: int, found: dict[int, bytes]
) -> int:
    """Collect elements up to `last_tag`; return the position of the first one beyond it."""
    element_at = _explicit_element if explicit else _implicit_element
    data = window.data
    limit = len(data)
    previous = 0
    for _ in range(_MAX_ELEMENTS):
        if position + 12 > limit:
            data, position = window.move(position)
            limit = len(data)
            if limit < 8:
                return position  # the end of the file
        tag, length, start = element_at(data, position)
        if tag > last_tag:
            return position
        if tag <= previous or length == _ODD:
            raise _OddError  # unsorted, or an unknown encoding
        previous = tag
        if length == _UNDEFINED:
            position = _skip_sequence(window, start, explicit=explicit)
            data = window.data
            limit = len(data)
            continue
        position = start + length
        if tag in FIELDS and length <= MAX_VALUE_BYTES:
            if position > limit:
                data, start = window.move(start)
                limit = len(data)
                position = length
                if length > limit:
                    raise _OddError  # cut off
            found[tag] = data[start:position]
    raise _OddError


def _explicit_element(data: bytes, position: int) -> tuple[int, int, int]:
    """Return tag, length (`_ODD` if only pydicom may judge it) and the position of the value."""
    group, element, vr, length = _read_explicit(data, position)
    if vr in _SHORT_VRS:
        return group << 16 | element, length, position + 8
    if vr not in _LONG_VRS:
        return group << 16 | element, _ODD, position
    length = _read_length(data, position + 8)[0]
    if length == _UNDEFINED and vr == b"UN":
        length = _ODD  # implicit VR inside, PS3.5 section 6.2.2
    return group << 16 | element, length, position + 12


def _implicit_element(data: bytes, position: int) -> tuple[int, int, int]:
    group, element, length = _read_implicit(data, position)
    return group << 16 | element, length, position + 8


def _skip_sequence(window: _Window, position: int, *, explicit: bool) -> int:
    """Return the position after a sequence of undefined length, nested ones included."""
    element_at = _explicit_element if explicit else _implicit_element
    depth = 1
    for _ in range(_MAX_ELEMENTS):
        if position + 12 > len(window.data):
            _, position = window.move(position)
        tag, length, start = _implicit_element(window.data, position)
        if tag in (_ITEM_END, _SEQUENCE_END):
            depth -= 1
            if depth == 0:
                return start
            position = start
            continue
        if tag != _ITEM:
            _, length, start = element_at(window.data, position)
            if length == _ODD:
                raise _OddError
        if length == _UNDEFINED:
            depth += 1
            position = start
        else:
            position = start + length
    raise _OddError
