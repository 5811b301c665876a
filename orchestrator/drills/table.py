"""A table from 8-byte keys to 16-byte values in 24 bytes a slot, for millions of files.

Pure. Keys are parts of digests, so they need no further hashing.
"""

from __future__ import annotations

import mmap

KEY_BYTES = 8
VALUE_BYTES = 16

_SLOT_BYTES = KEY_BYTES + VALUE_BYTES
_FEWEST = 1024
_MOST = 1 << 22
_EMPTY = bytes(KEY_BYTES)


class DigestTable:
    """An open-addressing table of fixed size; what does not fit is not kept.

    Args:
        expected: How many keys will come; room is made for twice as many, for at most three
            million.
    """

    def __init__(self, expected: int) -> None:
        slots = _FEWEST
        while slots < min(2 * expected, _MOST):
            slots *= 2
        self._mask = slots - 1
        self._free = slots * 3 // 4
        self._memory = mmap.mmap(-1, slots * _SLOT_BYTES)

    def put(self, key: bytes, value: bytes) -> bool:
        """Set a key's value.

        Args:
            key: 8 bytes of a digest.
            value: 16 bytes.

        Returns:
            True if the key was new; False if it was there, or there is no room.
        """
        at, found = self._find(key)
        if not found:
            if not self._free:
                return False
            self._free -= 1
        self._memory[at : at + _SLOT_BYTES] = key + value
        return not found

    def get(self, key: bytes) -> bytes | None:
        """Return a key's value; None if it was never kept."""
        at, found = self._find(key)
        return self._memory[at + KEY_BYTES : at + _SLOT_BYTES] if found else None

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()

    def _find(self, key: bytes) -> tuple[int, bool]:
        slot = int.from_bytes(key, "little") & self._mask
        while True:
            at = slot * _SLOT_BYTES
            there = self._memory[at : at + KEY_BYTES]
            if there == key:
                return at, True
            if there == _EMPTY:
                return at, False
            slot = (slot + 1) & self._mask
