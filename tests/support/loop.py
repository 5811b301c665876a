"""Real file systems on loop devices, for tests of what happens to a medium.

Needs root and loop devices. Each one is taken down by its own mount point and its own loop
device, never by a sweep over all of them.
"""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


def _run(*argv: str | Path) -> str:
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass
class LoopFileSystem:
    """An ext4 image on a loop device.

    Attributes:
        image: The image file.
        device: The loop device, as ``/dev/loop7``.
        mount_point: Where it is mounted first.
        uuid: The file system's UUID.
    """

    image: Path
    device: str
    mount_point: Path
    uuid: str

    def mount(self, at: Path | None = None, *, read_only: bool = False) -> None:
        """Mount it."""
        options = ["-o", "ro"] if read_only else []
        _run("mount", "-t", "ext4", *options, self.device, at or self.mount_point)

    def remount(self, mode: str) -> None:
        """Remount it ``ro`` or ``rw``."""
        _run("mount", "-o", f"remount,{mode}", self.mount_point)

    def unmount(self, at: Path | None = None, *, lazily: bool = False) -> None:
        """Unmount it; lazily is what pulling it out comes to."""
        _run("umount", *(["-l"] if lazily else []), at or self.mount_point)


@contextmanager
def loop_file_system(
    folder: Path, *, size_mib: int = 16, mount_point: Path | None = None, mounted: bool = True
) -> Iterator[LoopFileSystem]:
    """Make an ext4 image in `folder`, attach it to a loop device and mount it.

    Args:
        folder: Where the image lies.
        size_mib: Size of the image in MiB, 4 or more.
        mount_point: Made if missing; a new folder beside the image by default.
        mounted: Mount it at once.
    """
    name = uuid.uuid4().hex[:8]
    image = folder / f"{name}.img"
    with open(image, "wb") as file:
        file.truncate(size_mib << 20)
    file_system = str(uuid.uuid4())
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-U", file_system, image)
    where = mount_point or folder / f"mnt-{name}"
    where.mkdir(parents=True, exist_ok=True)
    device = _run("losetup", "--find", "--show", image)
    loop = LoopFileSystem(image, device, where, file_system)
    try:
        if mounted:
            loop.mount()
        yield loop
    finally:
        _take_down(loop)


def _take_down(loop: LoopFileSystem) -> None:
    while mounts := [at for source, at in _mounts() if source == loop.device]:
        _run("umount", mounts[-1])
    _run("losetup", "--detach", loop.device)
    # A lazily unmounted file system goes when its last user closes it; the device with it.
    deadline = time.monotonic() + 60
    backing = Path("/sys/block") / Path(loop.device).name / "loop/backing_file"
    while backing.exists() and backing.read_text().strip().startswith(str(loop.image)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{loop.device} is still in use: somebody holds a file of it open")
        time.sleep(0.02)
    loop.image.unlink()


def _mounts() -> list[tuple[str, str]]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [(line.split()[0], line.split()[1].replace("\\040", " ")) for line in lines]


@pytest.fixture
def loop_medium(tmp_path: Path) -> Iterator[LoopFileSystem]:
    """Give one mounted 16 MiB file system."""
    with loop_file_system(tmp_path) as loop:
        yield loop


@pytest.fixture
def make_loop(tmp_path: Path) -> Iterator[Callable[..., LoopFileSystem]]:
    """Give a function that makes further file systems, all taken down at the end."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(loop_file_system(tmp_path, **options))
