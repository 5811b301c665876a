"""A log's files for elsewhere: bundles for auditors, anchors, the state beside the images.

Hands out a log as of one checkpoint while others append to it. Knows no archive format.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from orchestrator.errors import DamageError
from orchestrator.ledger import tiles
from orchestrator.ledger.disk import explained
from orchestrator.ledger.files import read_file
from orchestrator.ledger.note import Verifier
from orchestrator.ledger.reader import (
    CHECKPOINT,
    CHECKPOINTS,
    DAMAGED_HINT,
    KEY,
    Reader,
    read_checkpoint,
)


def log_files(
    folder: Path,
    verifier: Verifier,
    *,
    sizes: Collection[int] | None = None,
    reader: Reader | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Yield every file of a log with its path, the checkpoint last.

    Args:
        folder: The log's folder.
        verifier: Its key.
        sizes: Which earlier checkpoints to take along, besides the newest; None for all.
        reader: The log as of an earlier checkpoint; None for the newest.

    Raises:
        DamageError: A file is missing, or the checkpoint is not the log's.
        EngineError: The disk refuses.
    """
    if reader is None:
        reader = Reader(folder, read_checkpoint(folder, [verifier]))
    size = reader.checkpoint.size
    yield KEY, f"{verifier.vkey}\n".encode()
    for place in tiles.places(size):
        yield place.path, reader.file(place)
    for kept in kept_sizes(folder):
        if kept < size and (sizes is None or kept in sizes):
            yield checkpoint_path(kept), _kept(folder, kept)
    # The kept one may have a witness's line that the newest had not when it was read.
    newest = _kept(folder, size, reader.checkpoint.data)
    yield checkpoint_path(size), newest
    yield CHECKPOINT, newest


def checkpoint_path(size: int) -> str:
    """Return the path of the kept checkpoint of a size."""
    return f"{CHECKPOINTS}/{size}"


def kept_sizes(folder: Path) -> list[int]:
    """Return the sizes of all kept checkpoints, smallest first.

    Raises:
        EngineError: The disk refuses.
    """
    with explained("looking at the checkpoints"):
        names = [path.name for path in (folder / CHECKPOINTS).iterdir()]
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def _kept(folder: Path, size: int, otherwise: bytes | None = None) -> bytes:
    with explained("reading a checkpoint"):
        data = read_file(folder / CHECKPOINTS / str(size)) or otherwise
    if data is None:
        raise DamageError(f"ledger: the checkpoint of {size} entries is gone", hint=DAMAGED_HINT)
    return data
