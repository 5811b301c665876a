"""Which kinds of compressed images can be decoded on this machine. Decodes nothing."""

from __future__ import annotations

KINDS = {
    "JPEG": "1.2.840.10008.1.2.4.50",
    "JPEG Lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "RLE": "1.2.840.10008.1.2.5",
}
"""What X-ray and other imaging devices commonly write, with one transfer syntax for each.

Source: DICOM PS3.5, section 8.2 and annex A.4.
"""


def missing() -> list[str]:
    """Return the kinds for which no decoder is installed, in the order of `KINDS`."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    return [name for name, syntax in KINDS.items() if not get_decoder(UID(syntax)).is_available]
