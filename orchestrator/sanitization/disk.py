"""A block device, open for us alone and past the page cache: what is read comes from it."""

from __future__ import annotations

import fcntl
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from orchestrator.errors import EngineError, RefusedError

MIB = 1 << 20

_BLKFLSBUF = 0x1261  # linux/fs.h


@dataclass(slots=True)
class Disk:
    """An open block device, past the page cache.

    Attributes:
        descriptor: The open file.
        size_bytes: Its length.
    """

    descriptor: int
    size_bytes: int
    _buffer: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, MIB))

    def read(self, offset: int, length: int) -> bytes:
        """Read up to 1 MiB; shorter at the end.

        Raises:
            OSError: The device refuses.
        """
        # Whole blocks are asked for; a device's length is a multiple of them, a file's is not.
        room = -(-length // 512) * 512
        with memoryview(self._buffer) as view, view[:room] as part:
            got = os.preadv(self.descriptor, [part], offset)
        return self._buffer[: min(got, length)]

    def write(self, offset: int, data: bytes) -> None:
        """Write up to 1 MiB.

        Raises:
            EngineError: The device refuses, or takes only a part.
        """
        self._buffer[: len(data)] = data
        try:
            with memoryview(self._buffer) as view, view[: len(data)] as part:
                done = os.pwritev(self.descriptor, [part], offset)
        except OSError as error:
            raise EngineError(f"the device refuses to be written: {error.strerror}") from error
        if done != len(data):
            raise EngineError("the device took only a part of a write")

    def flush(self) -> None:
        """Make everything durable.

        Raises:
            EngineError: The device refuses.
        """
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            raise EngineError(f"the device refuses to be written: {error.strerror}") from error

    def close(self) -> None:
        """Close it."""
        self._buffer.close()
        os.close(self.descriptor)


@contextmanager
def opened(device: str, *, writing: bool = False) -> Iterator[Disk]:
    """Open a block device for ourselves alone, past the page cache.

    Raises:
        RefusedError: Somebody uses it: it is mounted, swapped to or part of a volume.
        EngineError: It cannot be opened.
    """
    flags = os.O_DIRECT | (os.O_RDWR if writing else os.O_RDONLY)
    if _is_block(device):
        flags |= os.O_EXCL  # without O_CREAT: the kernel refuses a block device that is in use
    disk = _disk(device, flags)
    try:
        yield disk
    finally:
        disk.close()


def _is_block(device: str) -> bool:
    try:
        return stat.S_ISBLK(os.lstat(device).st_mode)
    except OSError as error:
        raise EngineError(f"the device cannot be opened: {error.strerror}") from error


def _disk(device: str, flags: int) -> Disk:
    descriptor = _open(device, flags)
    try:
        if flags & os.O_EXCL:
            fcntl.ioctl(descriptor, _BLKFLSBUF)
        return Disk(descriptor, os.lseek(descriptor, 0, os.SEEK_END))
    except OSError as error:
        os.close(descriptor)
        raise EngineError(f"the device cannot be read: {error.strerror}") from error


def _open(device: str, flags: int) -> int:
    try:
        return os.open(device, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == 16:  # EBUSY
            raise RefusedError(
                "the device is in use: it is mounted, swapped to or part of a volume",
                hint="unmount it, or choose another device",
            ) from error
        raise EngineError(f"the device cannot be opened: {error.strerror}") from error
