"""A file that ends early rather than be read without bound, for parsers we did not write."""

from __future__ import annotations

import io

from orchestrator.dicom.fast import Pread

_MAX_READS = 50_000
_MAX_BYTES = 8 * 1024 * 1024
_WINDOW_BYTES = 8192


class BoundedFile(io.RawIOBase):
    """A file for pydicom that ends early rather than be read without bound.

    Hostile files can make a parser build millions of objects; after a set number of reads or
    bytes this one reports the end of the file.

    Args:
        head: The first bytes of the file.
        pread: Reads what lies beyond: `(length, offset) -> bytes`.
    """

    def __init__(self, head: bytes, pread: Pread) -> None:
        super().__init__()
        self._head = head
        self._pread = pread
        self._at = 0
        self._window = b""
        self._window_at = 0
        self._reads_left = _MAX_READS
        self._bytes_left = _MAX_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes; fewer at the end of the file or of the allowance."""
        wanted = self._bytes_left if size is None or size < 0 else min(size, self._bytes_left)
        self._reads_left -= 1
        if self._reads_left < 0 or wanted == 0:
            return b""
        piece = self._piece(wanted)
        self._at += len(piece)
        self._bytes_left -= len(piece)
        return piece

    def _piece(self, wanted: int) -> bytes:
        end = self._at + wanted
        if end <= len(self._head):
            return self._head[self._at : end]
        start = self._at - self._window_at
        if start < 0 or start + wanted > len(self._window):
            self._window = self._pread(max(wanted, _WINDOW_BYTES), self._at)
            self._window_at, start = self._at, 0
        return self._window[start : start + wanted]

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to `offset` from the start or the current position."""
        if whence not in (io.SEEK_SET, io.SEEK_CUR):
            raise io.UnsupportedOperation("seek from the end")
        self._at = max(0, offset + (self._at if whence == io.SEEK_CUR else 0))
        return self._at

    def tell(self) -> int:
        """Return the current position."""
        return self._at

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def seekable(self) -> bool:
        """Say that this can seek."""
        return True
