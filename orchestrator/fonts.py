"""Which fonts a text needs, so that no letter of a name becomes an empty box.

The typesetter's own fonts cover Latin, Greek, Cyrillic and Hebrew. For other scripts a few font
files at known places are looked at, in a fixed order, and only those that are needed are used: the
same text gives the same pages wherever the same files are. What none of them covers is shown by its
code points. Knows no typesetter.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_ROOTS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))

KNOWN = (
    "opentype/fonts-hosny-amiri/Amiri-Regular.ttf",
    "truetype/lohit-devanagari/Lohit-Devanagari.ttf",
    "truetype/dejavu/DejaVuSans.ttf",
    "truetype/wqy/wqy-microhei.ttc",
    "truetype/nanum/NanumGothic.ttf",
    "truetype/droid/DroidSansFallbackFull.ttf",
    "truetype/droid/DroidSansFallback.ttf",
    "truetype/freefont/FreeSerif.ttf",
    "truetype/freefont/FreeSans.ttf",
    "opentype/noto/NotoSansCJK-Regular.ttc",
    *(
        f"truetype/noto/NotoSans{script}-Regular.ttf"
        for script in (
            "",
            "Arabic",
            "Armenian",
            "Bengali",
            "Devanagari",
            "Ethiopic",
            "Georgian",
            "Gujarati",
            "Gurmukhi",
            "Hebrew",
            "Kannada",
            "Khmer",
            "Lao",
            "Malayalam",
            "Myanmar",
            "Oriya",
            "Sinhala",
            "Tamil",
            "Telugu",
            "Thai",
            "Symbols",
        )
    ),
)
"""Files below a folder of fonts, the first that covers a letter is taken."""

# What Libertinus Serif, which typst 0.15 carries, was found to cover; measured letter by letter.
_BUILT_IN = (
    (0x20, 0x7E), (0xA0, 0xAC), (0xAE, 0x2E4), (0x2EA, 0x36F), (0x374, 0x375), (0x37A, 0x37E),
    (0x384, 0x38A), (0x38C, 0x38C), (0x38E, 0x3A1), (0x3A3, 0x3CE), (0x3D0, 0x3E1), (0x3F0, 0x3F6),
    (0x3F8, 0x3F9), (0x3FB, 0x3FD), (0x400, 0x477), (0x47C, 0x47F), (0x48C, 0x4C4), (0x4C7, 0x4CC),
    (0x4D0, 0x4F9), (0x5D0, 0x5EA), (0x5F0, 0x5F4), (0x1E00, 0x1F15), (0x2000, 0x200A),
    (0x2010, 0x2027), (0x202F, 0x2037), (0x2039, 0x203E), (0x2044, 0x2044), (0x20AC, 0x20AC),
    (0x2116, 0x2116), (0x2122, 0x2122), (0x2190, 0x219B), (0x2212, 0x2212), (0x2264, 0x2265),
)  # fmt: skip

_JOINERS = "\u200c\u200d"
"""They shape the letters beside them and have no form of their own."""

_CMAP_LIMIT = 4 * 1024 * 1024


def prepare(value: Any, files: Sequence[Path] | None = None) -> tuple[Any, list[Path]]:
    """Make every text of JSON values one that can be set.

    Args:
        value: JSON values.
        files: The fonts that may be used; None for those found here.

    Returns:
        The values, with code points in place of what cannot be shown, and the fonts they need, in
        the order of `KNOWN`.
    """
    usable = available() if files is None else list(files)
    needed: set[Path] = set()
    done = _prepared(value, usable, needed)
    return done, [path for path in usable if path in needed]


def available() -> list[Path]:
    """Return the known fonts that are here, in their order."""
    return [path for name in KNOWN for root in _ROOTS for path in (root / name,) if path.is_file()]


def covered_by(path: Path) -> frozenset[int]:
    """Return the code points that a font file has glyphs for; none if it cannot be read."""
    try:
        facts = path.stat()
    except OSError:
        return frozenset()
    return _covered(path, facts.st_mtime_ns, facts.st_size)


def _prepared(value: Any, files: Sequence[Path], needed: set[Path]) -> Any:
    if isinstance(value, str):
        return "".join(_shown(char, files, needed) for char in unicodedata.normalize("NFC", value))
    if isinstance(value, Mapping):
        return {key: _prepared(one, files, needed) for key, one in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [_prepared(one, files, needed) for one in value]
    return value


def _shown(char: str, files: Sequence[Path], needed: set[Path]) -> str:
    code = ord(char)
    if char == "\n" or char in _JOINERS or _is_built_in(code):
        return char
    # Controls, marks that turn the direction of writing, and what has no meaning agreed upon
    # could make a page say something else than its record: they are shown, not obeyed.
    if unicodedata.category(char)[0] not in "CZ":
        for path in files:
            if code in covered_by(path):
                needed.add(path)
                return char
    return f"[U+{code:04X}]"


def _is_built_in(code: int) -> bool:
    return any(first <= code <= last for first, last in _BUILT_IN)


@cache
def _covered(path: Path, _changed_ns: int, _size: int) -> frozenset[int]:
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
            # Of a collection, the first font.
            at = struct.unpack(">I", head[12:16])[0] if head[:4] == b"ttcf" else 0
            stream.seek(at)
            tables = struct.unpack(">IHHHH", stream.read(12))[1]
            for _ in range(tables):
                tag, _sum, offset, length = struct.unpack(">4sIII", stream.read(16))
                if tag == b"cmap":
                    stream.seek(offset)
                    return frozenset(_read_cmap(stream.read(min(length, _CMAP_LIMIT))))
    except (OSError, struct.error, IndexError):
        pass
    return frozenset()


def _read_cmap(table: bytes) -> set[int]:
    """Return what the Unicode subtables of a ``cmap`` map to a glyph other than the empty one.

    Source: OpenType specification, "cmap", formats 4 and 12.
    """
    found: set[int] = set()
    for number in range(struct.unpack_from(">H", table, 2)[0]):
        platform, encoding, offset = struct.unpack_from(">HHI", table, 4 + 8 * number)
        if platform == 0 or (platform == 3 and encoding in (1, 10)):
            kind = struct.unpack_from(">H", table, offset)[0]
            if kind == 4:
                found |= _format_4(table, offset)
            elif kind == 12:
                found |= _format_12(table, offset)
    return found


def _format_4(table: bytes, at: int) -> set[int]:
    count = struct.unpack_from(">H", table, at + 6)[0] // 2

    def column(place: int) -> tuple[int, ...]:
        return struct.unpack_from(f">{count}H", table, place)

    ends, starts = column(at + 14), column(at + 16 + 2 * count)
    deltas, offsets_at = column(at + 16 + 4 * count), at + 16 + 6 * count
    offsets = column(offsets_at)
    found: set[int] = set()
    for segment in range(count):
        for code in range(starts[segment], ends[segment] + 1):
            glyph = code
            if offsets[segment]:
                place = offsets_at + 2 * segment + offsets[segment] + 2 * (code - starts[segment])
                glyph = struct.unpack_from(">H", table, place)[0]
                if glyph == 0:
                    continue
            if (glyph + deltas[segment]) & 0xFFFF and code != 0xFFFF:
                found.add(code)
    return found


def _format_12(table: bytes, at: int) -> set[int]:
    found: set[int] = set()
    for group in range(struct.unpack_from(">I", table, at + 12)[0]):
        first, last, glyph = struct.unpack_from(">III", table, at + 16 + 12 * group)
        if last > 0x10FFFF or last < first:
            break
        found.update(range(first if glyph else first + 1, last + 1))
    return found
