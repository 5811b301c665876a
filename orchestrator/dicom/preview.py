"""Small pictures of decoded frames, for the contact sheet of a drill.

A preview is PHI: a face can be seen in a CT, and many ultrasound machines write the name into the
picture. So a picture that says it bears such text is never made, nor one of a modality that
usually does, unless the file says that it does not. Called in the child process only.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from orchestrator.dicom.frames import Frame

if TYPE_CHECKING:
    from numpy import ndarray
    from pydicom.dataset import Dataset

EDGE_PX = 256
"""Longest edge of a preview."""

_WORKING_PX = 1024
_PERCENTILES = (0.5, 99.5)
_OFTEN_WRITTEN_ON = frozenset(
    {"US", "IVUS", "EC", "ECG", "ES", "GM", "SM", "XC", "OT", "SC", "DOC", "OP", "OPT", "HC", "DG"}
)


def thumbnail(frame: Frame) -> bytes | None:
    """Return a frame as a small PNG of 8 bits.

    Args:
        frame: A decoded frame.

    Returns:
        The picture, or None if it may bear burned-in text or is no picture.

    Raises:
        MemoryError: It needs more memory than there is.
    """
    if frame.pixels is None or frame.dataset is None or may_bear_text(frame.dataset):
        return None
    from PIL import Image

    try:
        pixels = _as_eight_bits(frame.pixels, frame.dataset)
        image = Image.fromarray(pixels)
        image.thumbnail((EDGE_PX, EDGE_PX), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        image.save(out, "PNG", optimize=True)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (odd windows and tables: no picture rather than no drill)
        return None
    return out.getvalue()


def may_bear_text(dataset: Dataset) -> bool:
    """Say whether a patient's name may be part of the picture itself."""
    stated = str(dataset.get("BurnedInAnnotation", "") or "").strip().upper()
    if stated in ("YES", "NO"):
        return stated == "YES"
    return str(dataset.get("Modality", "") or "").strip() in _OFTEN_WRITTEN_ON


def _as_eight_bits(pixels: ndarray[Any, Any], dataset: Dataset) -> ndarray[Any, Any]:
    import numpy as np

    step = max(1, -(-max(pixels.shape[:2]) // _WORKING_PX))
    small = pixels[::step, ::step]
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        small = apply_color_lut(small, dataset)
    if small.ndim == 3:
        if small.dtype == np.uint8:
            return np.ascontiguousarray(small)
        return np.asarray(small >> (8 * (small.dtype.itemsize - 1)), dtype=np.uint8)
    return _grey(small, dataset)


def _grey(small: ndarray[Any, Any], dataset: Dataset) -> ndarray[Any, Any]:
    import numpy as np
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    values = apply_modality_lut(small, dataset)
    if "WindowCenter" in dataset or "VOILUTSequence" in dataset:
        values = np.asarray(apply_voi_lut(values, dataset), dtype=np.float64)
        low, high = float(values.min()), float(values.max())
    else:
        values = np.asarray(values, dtype=np.float64)
        low, high = (float(edge) for edge in np.percentile(values, _PERCENTILES))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    scaled = np.clip((values - low) / ((high - low) or 1.0), 0.0, 1.0)
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        scaled = 1.0 - scaled
    return np.asarray(scaled * 255.0 + 0.5, dtype=np.uint8)
