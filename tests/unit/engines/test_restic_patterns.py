"""Include files mean what they name."""

from __future__ import annotations

import pytest

from orchestrator.engines.restic.patterns import include_file, literal
from orchestrator.errors import UsageError


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        (b"2024/a.dcm", b"2024/a.dcm"),
        (b"a*b?c[d]e", rb"a\*b\?c\[d\]e"),
        (rb"back\slash", rb"back\\slash"),
        (b"$HOME/$x", b"$$HOME/$$x"),
        (b"end ", b"end[ ]"),
        (b"end\r", b"end[\r]"),
        (b"end\xc2\xa0", b"end[\xc2\xa0]"),
        (b"\xff\xfe", b"\xff\xfe"),
        (b" two  blanks", b" two  blanks"),
    ],
)
def test_special_characters_are_taken_literally(path: bytes, pattern: bytes) -> None:
    assert literal(path) == pattern


def test_a_line_feed_never_ends_the_line() -> None:
    assert b"\n" not in literal(b"a\nb\n")


def test_paths_are_anchored_at_the_root_one_per_line() -> None:
    assert include_file([b"a", b"/b/", b"!c", b"#d"]) == b"/a\n/b\n/!c\n/#d\n"


@pytest.mark.parametrize("path", [b"", b"/", b"//"])
def test_the_root_itself_is_refused(path: bytes) -> None:
    with pytest.raises(UsageError):
        include_file([b"a", path])
