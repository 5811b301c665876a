"""Our own overwrite: one pass of zeros over every addressable byte, past the page cache.

One pass is enough: NIST SP 800-88 asks for no more. Whether it arrived is read back by
`readback`; a write that fails ends it, and nothing is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError
from orchestrator.sanitization.disk import MIB, opened
from orchestrator.sanitization.readback import Advance

if TYPE_CHECKING:
    from collections.abc import Callable

_ZEROS = bytes(MIB)


@dataclass(frozen=True, slots=True)
class Overwritten:
    """How our own overwrite ended.

    Attributes:
        size_bytes: Length of the device.
        written_bytes: How much was written, from its beginning.
        problem: Why it is not everything; None if it is.
    """

    size_bytes: int
    written_bytes: int
    problem: str | None = None

    @property
    def is_whole(self) -> bool:
        """Every byte was written and the device says that it is durable."""
        return self.problem is None and self.written_bytes == self.size_bytes > 0


def overwrite(
    device: str, *, advance: Advance | None = None, check_stop: Callable[[], None] | None = None
) -> Overwritten:
    """Write zeros over a whole device.

    Args:
        device: The block device.
        advance: Told about progress.
        check_stop: Called between writes; what it raises ends the work.

    Raises:
        RefusedError: The device is in use.
        EngineError: It cannot be opened.
    """
    with opened(device, writing=True) as disk:
        written, problem = 0, None
        try:
            while written < disk.size_bytes:
                if check_stop is not None:
                    check_stop()
                part = min(MIB, disk.size_bytes - written)
                disk.write(written, _ZEROS[:part])
                written += part
                if advance is not None:
                    advance(written, disk.size_bytes)
            disk.flush()
        except EngineError as error:
            problem = error.message
        return Overwritten(disk.size_bytes, written, problem)
