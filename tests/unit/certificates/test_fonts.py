from __future__ import annotations

import struct
from pathlib import Path

import pytest

from orchestrator import fonts


def font_file(path: Path, ranges: list[tuple[int, int]], *, kind: int = 4) -> Path:
    """Write a font that holds nothing but a character map."""
    if kind == 4:
        segments = [*ranges, (0xFFFF, 0xFFFF)]
        count = len(segments)
        body = b"".join(
            [
                struct.pack(f">{count}H", *(last for _, last in segments)),
                b"\0\0",
                struct.pack(f">{count}H", *(first for first, _ in segments)),
                struct.pack(f">{count}H", *((1 - first) & 0xFFFF for first, _ in segments)),
                struct.pack(f">{count}H", *([0] * count)),
            ]
        )
        table = struct.pack(">7H", 4, 14 + len(body), 0, 2 * count, 0, 0, 0) + body
        heading = struct.pack(">HHHHI", 0, 1, 3, 1, 12)
    else:
        groups = b"".join(struct.pack(">III", first, last, 1) for first, last in ranges)
        table = struct.pack(">HHIII", 12, 0, 16 + len(groups), 0, len(ranges)) + groups
        heading = struct.pack(">HHHHI", 0, 1, 3, 10, 12)
    cmap = heading + table
    path.write_bytes(
        struct.pack(">IHHHH", 0x00010000, 1, 0, 0, 0)
        + struct.pack(">4sIII", b"cmap", 0, 28, len(cmap))
        + cmap
    )
    return path


def test_letters_of_the_own_font_need_no_other(tmp_path: Path) -> None:
    text = "José Łódź Ελλάδα Москва ירושלים – 100 % ≤"
    assert fonts.prepare({"a": [text]}, []) == ({"a": [text]}, [])


@pytest.mark.parametrize("kind", [4, 12])
def test_the_first_font_that_has_a_letter_is_used(tmp_path: Path, kind: int) -> None:
    first = font_file(tmp_path / "a.ttf", [(0x900, 0x97F)], kind=kind)
    second = font_file(tmp_path / "b.ttf", [(0x900, 0x97F), (0x4E00, 0x9FFF)], kind=kind)
    assert fonts.prepare("नम", [first, second]) == ("नम", [first])
    assert fonts.prepare("田न", [first, second]) == ("田न", [first, second])


def test_a_letter_that_no_font_has_is_shown_by_its_code_point(tmp_path: Path) -> None:
    only = font_file(tmp_path / "a.ttf", [(0x900, 0x97F)])
    assert fonts.prepare("न田", [only]) == ("न[U+7530]", [only])


@pytest.mark.parametrize(
    "char", ["\u202e", "\u2066", "\u200b", "\ufeff", "\t", "\x00", "\u2028", "\U000f0000", "\xad"]
)
def test_what_is_not_seen_or_turns_the_writing_is_shown(tmp_path: Path, char: str) -> None:
    every = font_file(tmp_path / "a.ttf", [(0, 0x10FFFF)], kind=12)
    assert fonts.prepare(f"a{char}b", [every])[0] == f"a[U+{ord(char):04X}]b"


def test_letters_are_composed_before_fonts_are_asked() -> None:
    assert fonts.prepare("e\u0301", []) == ("é", [])


@pytest.mark.parametrize(
    "content", [b"", b"OTTO", b"\0\1\0\0" + b"\xff" * 400, b"ttcf" + b"\0" * 30]
)
def test_a_broken_font_covers_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.ttf"
    path.write_bytes(content)
    assert fonts.covered_by(path) == frozenset()
    assert fonts.prepare("田", [path]) == ("[U+7530]", [])


def test_a_font_that_is_gone_covers_nothing(tmp_path: Path) -> None:
    assert fonts.covered_by(tmp_path / "none.ttf") == frozenset()


def test_numbers_and_nothing_stay_what_they_are() -> None:
    assert fonts.prepare({"a": 1, "b": None, "c": [True]}, []) == (
        {"a": 1, "b": None, "c": [True]},
        [],
    )
