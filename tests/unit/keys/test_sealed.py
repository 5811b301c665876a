from __future__ import annotations

import os
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import DamageError, NotFoundError
from orchestrator.keys import sealed
from orchestrator.keys.sealed import FRAME_BYTES, SealedReader, SealedWriter

KEY = bytes(range(32))
HEADER = 47
FRAME = FRAME_BYTES + 16
SIZES = [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES, 3 * FRAME_BYTES + 7]


def write(path, content, context="test", key=KEY):
    with SealedWriter(path, key, context) as out:
        out.write(content)
    return path


def read(path, context="test", key=KEY):
    return b"".join(SealedReader(path, key, context).chunks())


@pytest.fixture
def three(tmp_path):
    """A file of three frames and the content it holds."""
    content = os.urandom(2 * FRAME_BYTES + 1000)
    return write(tmp_path / "three", content), content


@pytest.mark.parametrize("size", SIZES)
def test_content_of_any_size_comes_back(tmp_path, size):
    content = os.urandom(size)
    path = write(tmp_path / "a", content)
    assert read(path) == content
    frames = max(1, -(-size // FRAME_BYTES))
    assert path.stat().st_size == HEADER + size + 16 * frames


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sizes=st.lists(st.integers(0, FRAME_BYTES + 5), max_size=6))
def test_how_it_was_written_does_not_matter(tmp_path, sizes):
    pieces = [bytes([n % 256]) * size for n, size in enumerate(sizes)]
    with SealedWriter(tmp_path / "a", KEY, "test") as out:
        for piece in pieces:
            out.write(piece)
    assert read(tmp_path / "a") == b"".join(pieces)


def test_equal_contents_give_different_files_that_show_nothing(tmp_path):
    content = b"patient=Mustermann " * 1000
    first, second = write(tmp_path / "a", content), write(tmp_path / "b", content)
    assert first.read_bytes() != second.read_bytes()
    assert b"Mustermann" not in first.read_bytes()


@pytest.mark.parametrize("length", [0, 7, HEADER - 1, HEADER, HEADER + 1, HEADER + FRAME - 1,
                                    HEADER + FRAME, HEADER + 2 * FRAME, -17, -1])  # fmt: skip
def test_a_file_cut_short_anywhere_is_refused(three, length):
    path, _ = three
    os.truncate(path, length if length >= 0 else path.stat().st_size + length)
    with pytest.raises(DamageError):
        read(path)


def test_a_flipped_byte_anywhere_is_refused(tmp_path):
    path = write(tmp_path / "small", b"some lines\n" * 3)
    whole = path.read_bytes()
    for position in range(len(whole)):
        spoiled = bytearray(whole)
        spoiled[position] ^= 0x01
        path.write_bytes(spoiled)
        with pytest.raises(DamageError):
            read(path)


@pytest.mark.parametrize("position", [HEADER, HEADER + FRAME - 1, HEADER + FRAME, -1])
def test_a_flipped_byte_in_any_frame_is_refused(three, position):
    path, _ = three
    spoiled = bytearray(path.read_bytes())
    spoiled[position] ^= 0x80
    path.write_bytes(spoiled)
    with pytest.raises(DamageError):
        read(path)


def test_frames_cannot_be_moved_dropped_doubled_or_added(three):
    path, _ = three
    whole = path.read_bytes()
    head, one, two, last = (
        whole[:HEADER],
        whole[HEADER : HEADER + FRAME],
        whole[HEADER + FRAME : HEADER + 2 * FRAME],
        whole[HEADER + 2 * FRAME :],
    )
    for body in (
        two + one + last,
        one + last,
        two + last,
        one + two + two + last,
        one + two,
        one,
        one + two + last + last,
        one + two + last + b"x",
        last,
    ):
        path.write_bytes(head + body)
        with pytest.raises(DamageError):
            read(path)


def test_frames_of_another_file_do_not_fit(three, tmp_path):
    path, content = three
    other = write(tmp_path / "other", content).read_bytes()
    whole = path.read_bytes()
    path.write_bytes(whole[: HEADER + FRAME] + other[HEADER + FRAME :])
    with pytest.raises(DamageError):
        read(path)
    path.write_bytes(other[:HEADER] + whole[HEADER:])
    with pytest.raises(DamageError):
        read(path)


def test_another_context_or_key_is_refused(tmp_path):
    path = write(tmp_path / "a", b"content", context="manifest|xrays|1")
    assert read(path, context="manifest|xrays|1") == b"content"
    with pytest.raises(DamageError):
        read(path, context="manifest|xrays|2")
    with pytest.raises(DamageError):
        read(path, context="manifest|xrays|1", key=os.urandom(32))


def test_only_authentic_pieces_are_handed_out_before_damage_shows(three):
    path, content = three
    spoiled = bytearray(path.read_bytes())
    spoiled[-1] ^= 1
    path.write_bytes(spoiled)
    chunks = SealedReader(path, KEY, "test").chunks()
    seen = next(chunks) + next(chunks)
    assert content.startswith(seen)
    with pytest.raises(DamageError):
        next(chunks)


def test_lines_come_back_across_frames(tmp_path):
    lines = [os.urandom(n % 700).hex().encode() + b"\n" for n in range(3000)]
    lines[1500] = b"x" * (3 * FRAME_BYTES) + b"\n"  # a line longer than frames
    lines[1501] = b"a\rb\x0b\x0c\n"  # only a newline ends a line
    path = write(tmp_path / "a", b"".join(lines))
    assert list(SealedReader(path, KEY, "test").lines()) == lines
    path = write(tmp_path / "b", b"".join(lines) + b"no newline")
    assert list(SealedReader(path, KEY, "test").lines()) == [*lines, b"no newline"]


def test_a_reader_can_be_used_again_and_left_half_way(three):
    path, content = three
    reader = SealedReader(path, KEY, "test")
    next(reader.chunks())
    assert b"".join(reader.chunks()) == content
    assert b"".join(reader.chunks()) == content


def test_memory_does_not_grow_with_the_file(tmp_path):
    line = b"y" * 199 + b"\n"
    path = tmp_path / "a"
    tracemalloc.start()
    with SealedWriter(path, KEY, "test") as out:
        for _ in range(100_000):
            out.write(line)
    assert sum(len(one) for one in SealedReader(path, KEY, "test").lines()) == 20_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_an_abandoned_file_never_appears(tmp_path):
    write(tmp_path / "a", b"old")
    with suppress(RuntimeError), SealedWriter(tmp_path / "a", KEY, "test") as out:
        out.write(b"new" * FRAME_BYTES)
        raise RuntimeError
    assert read(tmp_path / "a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_no_sealed_file_is_said(tmp_path):
    with pytest.raises(NotFoundError):
        read(tmp_path / "missing")
    (tmp_path / "a").write_bytes(b"plain text, long enough to be a header of some sort\n" * 9)
    with pytest.raises(DamageError, match="is not a sealed file"):
        read(tmp_path / "a")


def test_a_wrong_key_length_is_a_bug(tmp_path):
    with pytest.raises(ValueError, match="32 bytes"):
        SealedWriter(tmp_path / "a", b"short", "test")


def test_counters_never_wrap_round(tmp_path, monkeypatch):
    monkeypatch.setattr(sealed, "_LAST_COUNTER", 1)
    with (
        pytest.raises(ValueError, match="never larger"),
        SealedWriter(tmp_path / "a", KEY, "test") as out,
    ):
        out.write(b"x" * (FRAME_BYTES * 4))
    assert list(tmp_path.iterdir()) == []
