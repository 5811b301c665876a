from __future__ import annotations

import os
import stat
from contextlib import suppress

import pytest

from orchestrator.errors import EngineError, LockedError
from orchestrator.keys.private_file import PrivateFile


def test_a_file_is_private_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        with PrivateFile(tmp_path / "a") as out:
            out.write(b"secret")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with suppress(KeyboardInterrupt), PrivateFile(tmp_path / "a") as out:
        out.write(b"new" * 100_000)
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_nothing_is_seen_before_the_end(tmp_path):
    with PrivateFile(tmp_path / "a") as out:
        out.write(b"new" * 100_000)
        assert not (tmp_path / "a").exists()


def test_a_second_writer_is_turned_away_and_harms_nothing(tmp_path):
    with PrivateFile(tmp_path / "a") as out:
        out.write(b"first")
        with pytest.raises(LockedError), PrivateFile(tmp_path / "a"):
            pass
    assert (tmp_path / "a").read_bytes() == b"first"


def test_what_a_killed_writer_left_is_taken_over(tmp_path):
    (tmp_path / ".a.partial").write_bytes(b"x" * 1000)
    with PrivateFile(tmp_path / "a") as out:
        out.write(b"short")
    assert (tmp_path / "a").read_bytes() == b"short"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_planted_for_the_partial_file_is_not_followed(tmp_path):
    (tmp_path / "victim").write_bytes(b"kept")
    (tmp_path / ".a.partial").symlink_to("victim")
    with pytest.raises(EngineError), PrivateFile(tmp_path / "a"):
        pass
    assert (tmp_path / "victim").read_bytes() == b"kept"


def test_a_missing_folder_and_a_full_disk_are_said(tmp_path):
    with pytest.raises(EngineError, match="no such file or directory"):
        PrivateFile(tmp_path / "no" / "a").__enter__()

    def fill(size):
        with PrivateFile(tmp_path / "a") as out, open("/dev/full", "wb", buffering=0) as full:
            os.dup2(full.fileno(), out._stream.fileno())
            out.write(b"x" * size)

    for size in (10, 1_000_000):  # noticed when flushed, or at once
        with pytest.raises(EngineError, match="no space left"):
            fill(size)
    assert list(tmp_path.iterdir()) == []
