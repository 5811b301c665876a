"""Probing, marking, overwriting and reading back real loop devices."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.errors import EngineError, NotFoundError, RefusedError
from orchestrator.sanitization.disk import MIB, Disk
from orchestrator.sanitization.facts import Transcript
from orchestrator.sanitization.overwrite import overwrite
from orchestrator.sanitization.probe import probe
from orchestrator.sanitization.readback import SAMPLES, read_back, write_markers
from tests.support.loop import LoopFileSystem, loop_medium
from tests.support.raw_loop import MakeRaw, make_raw, raw_loop

__all__ = ["loop_medium", "make_raw"]

SMALLEST = 64 << 10


def run(argv: Sequence[str], timeout_s: float) -> Transcript:
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(argv, capture_output=True, env=env, timeout=timeout_s, check=False)
    except FileNotFoundError:
        return Transcript(tuple(argv), None, missing=True)
    return Transcript(tuple(argv), done.returncode, done.stdout, done.stderr)


def missing(argv: Sequence[str], _timeout_s: float) -> Transcript:
    return Transcript(tuple(argv), None, missing=True)


@pytest.mark.parametrize("size", [SMALLEST, 1 << 20, (33 << 20) + 512, 40_000_000])
def test_overwriting_leaves_no_marker_and_no_byte(make_raw: MakeRaw, size: int) -> None:
    device = make_raw(size_bytes=size)
    whole = size // 512 * 512
    markers = write_markers(device)
    assert len(markers) == 16 or size == SMALLEST
    assert markers[0].offset == 0
    ends = {marker.offset + marker.size_bytes for marker in markers}
    assert (whole in ends) == (len(markers) > 1)
    before = read_back(device, markers, zeros=True, full=True)
    assert before.surviving == len(markers)
    assert before.contrary
    done = overwrite(device)
    assert done.is_whole
    assert done.size_bytes == whole
    after = read_back(device, markers, zeros=True, full=True)
    assert (after.read_bytes, after.surviving, after.not_zero) == (whole, 0, 0)
    assert not after.contrary
    assert not after.unknown
    assert not Path(device).read_bytes().strip(b"\0")


def test_one_byte_left_is_seen_by_a_full_reading(make_raw: MakeRaw) -> None:
    device = make_raw()
    markers = write_markers(device)
    overwrite(device)
    with open(device, "r+b") as file:
        file.seek(23_456_789)
        file.write(b"\x01")
    seen = read_back(device, markers, zeros=True, full=True)
    assert (seen.surviving, seen.not_zero) == (0, 1)


def test_a_sampled_reading_states_what_it_would_see(make_raw: MakeRaw) -> None:
    device = make_raw()
    markers = write_markers(device)
    seen = read_back(device, markers, zeros=False, full=False)
    assert (seen.full, seen.samples, seen.residue_per_mille) == (False, SAMPLES, 1)
    assert seen.detection_percent == 99 == int(100 * (1 - 0.999**SAMPLES))
    assert seen.surviving == len(markers) == 16


def test_errors_in_the_middle_of_a_reading_are_not_skipped(
    make_raw: MakeRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = make_raw()
    markers = write_markers(device)
    overwrite(device)
    read = Disk.read

    def fail(disk: Disk, offset: int, length: int) -> bytes:
        if offset == 20 * MIB:
            raise OSError(5, "Input/output error")
        return read(disk, offset, length)

    monkeypatch.setattr(Disk, "read", fail)
    seen = read_back(device, markers, zeros=True, full=True)
    assert seen.unreadable == 1
    assert any("cannot be read" in one for one in seen.contrary)


def test_a_device_that_refuses_writes_is_not_overwritten(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", small], check=True)
    try:
        image = small / "image"
        with open(image, "wb") as file:
            file.truncate(16 << 20)
        attach = ["losetup", "--find", "--show", image]
        done = subprocess.run(attach, capture_output=True, text=True, check=True)
        device = done.stdout.strip()
        try:
            written = overwrite(device)
            assert not written.is_whole
            assert written.problem is not None
            with pytest.raises(EngineError):
                write_markers(device)
        finally:
            subprocess.run(["losetup", "--detach", device], check=True)
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_mounted_device_is_neither_marked_nor_overwritten(loop_medium: LoopFileSystem) -> None:
    for act in (write_markers, overwrite):
        with pytest.raises(RefusedError, match="in use"):
            act(loop_medium.device)
    found = probe(Path(loop_medium.device), run)
    assert any("mounted" in one for one in found.in_use)
    loop_medium.unmount()
    found = probe(Path(loop_medium.device), run)
    assert found.in_use == ()
    assert found.file_systems == (loop_medium.uuid,)


def test_the_disk_under_the_root_file_system_is_in_use() -> None:
    source = subprocess.run(
        ["findmnt", "-n", "-o", "SOURCE", "/"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if source.startswith("/dev/"):
        assert probe(Path(source), run).in_use
    else:  # a container's root is no device
        with pytest.raises((NotFoundError, RefusedError)):
            probe(Path("/dev/root-of-nothing"), run)


def test_each_attachment_of_a_loop_device_is_another_identity(tmp_path: Path) -> None:
    with raw_loop(tmp_path, size_bytes=1 << 20) as device:
        first = probe(Path(device), run)
        again = probe(Path(device), run)
    with raw_loop(tmp_path, size_bytes=1 << 20) as device:
        second = probe(Path(device), run)
    assert first.identity == again.identity
    assert first.identity != second.identity
    assert first.kind == "loop"
    assert first.serial is None


def test_missing_programs_leave_everything_unknown(make_raw: MakeRaw) -> None:
    found = probe(Path(make_raw(size_bytes=1 << 20)), missing)
    assert {"lsblk", "smartctl", "cryptsetup"} <= set(found.missing_tools)
    assert found.capabilities["luks"] is None
    assert any("may be in use" in one for one in found.in_use)


def test_what_is_no_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        probe(tmp_path / "nothing", run)
    with pytest.raises(RefusedError):
        probe(tmp_path, run)
