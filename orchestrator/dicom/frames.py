"""Decoding the middle frame of one file: can this image be seen?

A decoder proves that an image can be viewed, never that it is the same image: only a hash does
that. So "no decoder for it here" and "damaged" are kept apart. Any bytes may come in, and
decoders are C code we did not write: call this in the child process (`dicom.decode_child`), which
bounds its memory and time. Reasons are sentences of this module and hold nothing of the file.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

if TYPE_CHECKING:
    from numpy import ndarray
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

FrameState = Literal["decoded", "no_pixels", "unsupported", "corrupt"]

_DEFER_BYTES = 1024 * 1024
_PIXEL_TAGS = (0x7FE00010, 0x7FE00008, 0x7FE00009)
_UNDEFINED = 0xFFFFFFFF
_FRAMES_LIMIT = 1_000_000
_CODE = re.compile(r"[A-Z0-9 _]{1,16}")
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
_DEFLATED = "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True, slots=True)
class Frame:
    """What became of one file.

    Attributes:
        state: How it ended.
        reason: Why, in a few words without anything from the file; empty for `decoded`.
        modality: The modality's code; empty if unknown.
        frames: Number of frames the file says it has; 0 without pixels.
        pixels: The middle frame; None unless `decoded`.
        dataset: The file's elements, for a preview; None unless `decoded`.
    """

    state: FrameState
    reason: str = ""
    modality: str = ""
    frames: int = 0
    pixels: ndarray[Any, Any] | None = None
    dataset: Dataset | None = None


class _NotDecodedError(Exception):
    """Ends the work on a file with a state and a reason."""

    def __init__(self, state: FrameState, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


def decode_middle(path: bytes) -> Frame:
    """Decode the middle frame of a file.

    Args:
        path: The file.

    Raises:
        OSError: The file cannot be read from its disk.
        MemoryError: It needs more memory than there is.
    """
    with open(path, "rb") as file:
        try:
            dataset = _parse(file)
        except _NotDecodedError as why:
            return Frame(why.state, why.reason)
        modality = _modality(dataset)
        try:
            frames = _frame_count(dataset)
            pixels = _decode(file, dataset, frames)
        except _NotDecodedError as why:
            return Frame(why.state, why.reason, modality)
    return Frame("decoded", "", modality, frames, pixels, dataset)


def _parse(file: BinaryIO) -> Dataset:
    from pydicom import dcmread

    deflated = _is_deflated(file)
    try:
        # Large values stay on the disk: a file of many frames need not fit the memory limit.
        return dcmread(file, defer_size=None if deflated else _DEFER_BYTES, force=True)
    except MemoryError:
        raise
    except OSError as error:
        if error.errno is not None:  # the disk's, not the parser's
            raise
        raise _NotDecodedError("corrupt", "the file ends too early") from None
    except Exception:  # noqa: BLE001  (a damaged file may fail in any way)
        raise _NotDecodedError("corrupt", "the file cannot be parsed") from None


def _is_deflated(file: BinaryIO) -> bool:
    head = file.read(4096)
    file.seek(0)
    return _DEFLATED.encode() in head


def _modality(dataset: Dataset) -> str:
    try:
        text = str(dataset.get("Modality", "") or "").strip()
    except Exception:  # noqa: BLE001
        return ""
    return text if _CODE.fullmatch(text) else ""


def _frame_count(dataset: Dataset) -> int:
    if not any(tag in dataset for tag in _PIXEL_TAGS):
        raise _why_no_pixels(dataset)
    try:
        frames = int(dataset.get("NumberOfFrames", 1) or 1)
    except Exception:  # noqa: BLE001
        raise _NotDecodedError("corrupt", "its number of frames is no number") from None
    if not 0 < frames <= _FRAMES_LIMIT:
        raise _NotDecodedError("corrupt", "its number of frames makes no sense")
    return frames


def _why_no_pixels(dataset: Dataset) -> _NotDecodedError:
    """Tell a file that was cut off before its pixels from one that never had any."""
    if _is_cut(dataset):
        return _NotDecodedError("corrupt", "the file ends too early")
    if "PixelDataProviderURL" in dataset:
        return _NotDecodedError("no_pixels", "its pixels are kept elsewhere")
    if _positive(dataset, "Rows") and _positive(dataset, "Columns"):
        return _NotDecodedError("no_pixels", "it describes an image but holds no pixels")
    return _NotDecodedError("no_pixels", "it holds no image")


def _is_cut(dataset: Dataset) -> bool:
    """Say whether the last value is shorter than the file says."""
    last = max(dataset.keys(), default=None)
    if last is None:
        return True  # an empty dataset after a readable start
    raw: Any = dataset.get_item(last, keep_deferred=True)
    value = getattr(raw, "value", None)
    return isinstance(value, bytes) and len(value) < getattr(raw, "length", 0) < _UNDEFINED


def _positive(dataset: Dataset, keyword: str) -> bool:
    try:
        return int(dataset.get(keyword, 0) or 0) > 0
    except Exception:  # noqa: BLE001
        return True  # something is there, and it is not what it must be


def _decode(file: BinaryIO, dataset: Dataset, frames: int) -> ndarray[Any, Any]:
    from pydicom.pixels.decoders.base import get_decoder

    syntax = _syntax(dataset)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise _NotDecodedError("unsupported", f"no decoder here for {_name(syntax)}") from None
    if not decoder.is_available:
        raise _NotDecodedError("unsupported", f"no decoder here for {_name(syntax)}")
    try:
        source, options = _source(file, dataset, syntax, frames)
        # index counts from the start of the pixel data, which is where the file stands
        pixels, _ = decoder.as_array(source, index=frames // 2, validate=True, **options)
    except (_NotDecodedError, MemoryError):
        raise
    except NotImplementedError:
        raise _NotDecodedError("unsupported", "no decoder here for its pixel format") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise _NotDecodedError("corrupt", "the decoder found it damaged") from None
    except Exception:  # noqa: BLE001
        if _is_beyond_decoders(dataset, syntax):
            raise _NotDecodedError(
                "unsupported", f"no decoder here for {_name(syntax)} of this bit depth"
            ) from None
        raise _NotDecodedError("corrupt", "the decoder found it damaged") from None
    return pixels


def _syntax(dataset: Dataset) -> UID:
    from pydicom.uid import (
        UID,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    )

    stated = dataset.file_meta.get("TransferSyntaxUID", None)
    if stated:
        return UID(str(stated))
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _name(syntax: UID) -> str:
    """Name a transfer syntax; a UID that no standard knows is not repeated."""
    return syntax.name if syntax.name != str(syntax) else "its transfer syntax"


def _source(
    file: BinaryIO, dataset: Dataset, syntax: UID, frames: int
) -> tuple[Any, dict[str, Any]]:
    """Return what to decode from: the file, standing at its pixels, or the bytes read already."""
    from pydicom.pixels.utils import as_pixel_options

    tag = next(tag for tag in _PIXEL_TAGS if tag in dataset)
    raw: Any = dataset.get_item(tag, keep_deferred=True)
    options = dict(as_pixel_options(dataset))
    options["number_of_frames"] = frames
    options["transfer_syntax_uid"] = syntax
    options["pixel_keyword"] = _KEYWORDS[tag]
    if raw.VR:
        options["pixel_vr"] = raw.VR
    value = raw.value
    if value is not None:
        if syntax.is_encapsulated:
            return bytes(value), options
        return memoryview(value), options
    if not syntax.is_encapsulated:
        _check_length(file, dataset, raw, frames)
    file.seek(raw.value_tell)
    return file, options


_KEYWORDS = {
    0x7FE00010: "PixelData",
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
}


def _check_length(file: BinaryIO, dataset: Dataset, raw: Any, frames: int) -> None:
    """Refuse pixels that are shorter than described, or than the file: one frame would not tell."""
    bits = int(dataset.BitsAllocated) if raw.tag == _PIXEL_TAGS[0] else 32
    pixels = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1) or 1)
    needed = (pixels * frames * bits + 7) // 8
    if str(dataset.get("PhotometricInterpretation", "")) == "YBR_FULL_422":
        needed = needed // 3 * 2
    there = os.fstat(file.fileno()).st_size - raw.value_tell
    if min(raw.length, there) < needed or there < raw.length:
        raise _NotDecodedError("corrupt", "it holds fewer pixels than it describes")


def _is_beyond_decoders(dataset: Dataset, syntax: UID) -> bool:
    """Say whether the known decoders refuse this bit depth, however sound the file is."""
    bits = int(dataset.get("BitsStored", 0) or 0)
    if syntax == _JPEG_EXTENDED:
        return bits != 8
    if syntax in _JPEG_LS:
        return bits in (6, 7) or (bits < 8 and dataset.get("PixelRepresentation", 0) == 1)
    return False
