"""Reading the header of one DICOM file: identity, dates and character set, no pixels.

Two ways lead to the same fields. `fast.find_elements` reads plain files (explicit or implicit
VR little endian, sorted tags) in tens of microseconds; pydicom reads everything else. Both
only *find* elements: decoding is done here, once, so that they cannot disagree about it. Any
bytes may come in; memory and time stay bounded (ADR 3). This room knows nothing of stores,
snapshots or the catalog.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from orchestrator.dicom import fast
from orchestrator.dicom.bounded import BoundedFile
from orchestrator.dicom.fast import FIELDS, LAST_TAG, NotPlainError, Pread

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_VALUE_CHARS = 256
"""No conformant value of these attributes is longer (PN: 3 x 64 characters and two signs)."""

_SAME_IN_EVERY_FILE = ("sop_class_uid", "sop_instance_uid", "study_instance_uid")
_TEXT_TAGS = {
    tag
    for tag, name in FIELDS.items()
    if name
    in (
        "accession_number",
        "institution_name",
        "issuer_of_patient_id",
        "patient_id",
        "patient_name",
    )
}
_PATIENT_NAME = 0x00100010
_CHARACTER_SET = 0x00080005
_SOP_CLASS = 0x00080016
_MEDIA_SOP_CLASS = 0x00020002
_DICOMDIR_CLASS = b"1.2.840.10008.1.3.10"
_IDENTITY_TAGS = (_SOP_CLASS, 0x00080018, 0x0020000D, 0x0020000E)
_UID = re.compile(r"[0-9][0-9.]{0,63}")
_PADDING = b" \0"
_ESCAPE = 0x1B
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
_PREAMBLE_BYTES = 132

_pydicom_lock = threading.Lock()


def read_header(head: bytes, pread: Pread) -> dict[str, str] | None:
    """Read the header fields of one file, by DICOM keyword in snake case.

    Absent, empty and overlong values (`MAX_VALUE_CHARS`) are left out; values are cleaned of
    padding and hold no control characters. ``media_storage_sop_class_uid`` is given only where
    ``sop_class_uid`` is missing: it tells a DICOMDIR. Dates are the raw text as stored.

    Args:
        head: The first bytes of the file; 8 KiB and more spare further reads.
        pread: Reads more of the file: `(length, offset) -> bytes`, as `os.pread` does; asked
            only for what lies beyond `head`.

    Returns:
        The fields, or None if the file is not readable DICOM.

    Raises:
        OSError: `pread` failed.
    """
    has_prefix = head[128:_PREAMBLE_BYTES] == b"DICM"
    if not has_prefix and head[:2] not in _FIRST_GROUPS:
        return None
    found: dict[int, bytes] = {}
    if has_prefix:
        try:
            found = fast.find_elements(head, pread)
        except NotPlainError as stop:
            found = stop.found
            whole = False
        else:
            whole = is_complete(found)
    else:
        whole = False
    if not whole:
        found = {**found, **_find_by_pydicom(head, pread)}
    fields = _decode(found)
    if not has_prefix and not any(_UID.fullmatch(fields.get(n, "")) for n in _SAME_IN_EVERY_FILE):
        return None
    return fields or None


def is_complete(found: Mapping[int, bytes]) -> bool:
    """Say whether what the fast reader found needs no second look.

    A missing UID may mean unsorted tags; a DICOMDIR has none of them by definition.
    """
    if found.get(_MEDIA_SOP_CLASS, b"").rstrip(_PADDING) == _DICOMDIR_CLASS:
        return True
    return all(found.get(tag) for tag in _IDENTITY_TAGS)


def _decode(found: Mapping[int, bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    character_set = found.get(_CHARACTER_SET, b"").strip(_PADDING)
    for tag, name in FIELDS.items():
        raw = found.get(tag)
        if not raw:
            continue
        raw = raw.strip(_PADDING)
        if raw.isascii() and _ESCAPE not in raw:
            text = raw.decode("ascii")
        elif tag in _TEXT_TAGS:
            text = _decode_text(raw, character_set, is_name=tag == _PATIENT_NAME).strip(" \0")
        else:
            text = raw.decode("latin-1")
        if tag == _PATIENT_NAME:
            text = text.rstrip("=")  # empty component groups at the end say nothing
        if not text.isprintable():
            text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
        if 0 < len(text) <= MAX_VALUE_CHARS:
            fields[name] = text
    if "sop_class_uid" in fields:
        fields.pop("media_storage_sop_class_uid", None)
    return fields


def _decode_text(raw: bytes, character_set: bytes, *, is_name: bool) -> str:
    """Decode by the file's character set (PS3.5 section 6.1); damage gives U+FFFD, never raises."""
    with _quiet_pydicom():
        from pydicom import charset
        from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

        terms = [t.strip() for t in character_set.decode("latin-1").split("\\")]
        try:
            encodings = charset.convert_encodings(terms)
            delimiters = TEXT_VR_DELIMS | PN_DELIMS if is_name else TEXT_VR_DELIMS
            return charset.decode_bytes(raw, encodings, delimiters)
        except Exception:  # noqa: BLE001 - any codec may fail in any way on hostile bytes
            return raw.decode("latin-1")


def _find_by_pydicom(head: bytes, pread: Pread) -> dict[int, bytes]:
    """Find the elements with pydicom; whatever it cannot read is left out."""
    with _quiet_pydicom():
        found: dict[int, bytes] = {}
        for stop_at in (LAST_TAG, None):  # unsorted files need a second, whole scan
            try:
                found |= _scan(head, pread, stop_at)
            except OSError as error:
                if error.errno is not None:  # the disk's, not pydicom's
                    raise
            except Exception:  # noqa: BLE001 - a damaged file may fail in any way
                logging.getLogger(__name__).debug("a header could not be parsed to its end")
            if is_complete(found):
                break
        return found


def _scan(head: bytes, pread: Pread, stop_at: int | None) -> dict[int, bytes]:
    from pydicom.filereader import dcmread, read_dataset, read_partial

    wanted = list(FIELDS)

    def is_past(tag: int, _vr: str | None, _length: int) -> bool:
        return stop_at is not None and tag > stop_at

    inflated = fast.inflate_dataset(head, pread)
    if inflated is not None:
        meta, body = inflated
        dataset = read_dataset(
            cast(BinaryIO, BoundedFile(body, _nothing_more)),
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=is_past,
            specific_tags=wanted,
        )
        return meta | _raw_values(dataset)
    file = cast(BinaryIO, BoundedFile(head, pread))
    if stop_at is not None:
        dataset = read_partial(file, stop_when=is_past, force=True, specific_tags=wanted)
    else:
        dataset = dcmread(file, stop_before_pixels=True, force=True, specific_tags=wanted)
    return _raw_values(dataset.file_meta) | _raw_values(dataset)


def _nothing_more(_length: int, _offset: int) -> bytes:
    return b""


def _raw_values(dataset: Dataset) -> dict[int, bytes]:
    """Take the values as stored; a value cut off by the end of the file is no value."""
    found = {}
    for tag in FIELDS:
        if tag not in dataset:
            continue
        element = dataset.get_item(tag)
        value = element.value
        if isinstance(value, bytes) and len(value) == getattr(element, "length", len(value)):
            found[tag] = value
        elif isinstance(value, str):  # file meta comes converted
            found[tag] = value.encode("latin-1", "replace")
    return found


@contextmanager
def _quiet_pydicom() -> Iterator[None]:
    """Silence pydicom's remarks about odd files, here only.

    The lock keeps two of our threads from restoring each other's filters.
    """
    logger = logging.getLogger("pydicom")
    with _pydicom_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        was_disabled, logger.disabled = logger.disabled, True
        try:
            yield
        finally:
            logger.disabled = was_disabled
