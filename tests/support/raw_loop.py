"""A raw loop device, to be sanitized: taken down by its own name, never by a sweep."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

MakeRaw = Callable[..., str]


@contextmanager
def raw_loop(folder: Path, *, size_bytes: int) -> Iterator[str]:
    """Attach a file of random bytes to a loop device and yield the device's path.

    Args:
        folder: Where the file lies.
        size_bytes: Its length, 512 or more.
    """
    image = folder / f"{uuid.uuid4().hex[:8]}.img"
    image.write_bytes(os.urandom(size_bytes))
    done = subprocess.run(
        ["losetup", "--find", "--show", image], capture_output=True, text=True, check=True
    )
    device = done.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
        image.unlink()


@pytest.fixture
def make_raw(tmp_path: Path) -> Iterator[MakeRaw]:
    """Give a function that makes raw loop devices, all taken down at the end."""
    with ExitStack() as stack:
        yield lambda size_bytes=40 << 20: stack.enter_context(
            raw_loop(tmp_path, size_bytes=size_bytes)
        )
