"""Removes files that no longer belong to a log: left over by a killed append, or outgrown.

Knows which files a size consists of, and touches no other. A left-over file lies beyond the signed
size; it must be gone before the log grows past it, where it would look like a forgery. An
outgrown one is a partial file whose full one is there and holds all that it did.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from orchestrator.ledger import disk, tiles
from orchestrator.ledger.tiles import ENTRIES, WIDTH, Place


def left_over(folder: Path, size: int) -> Iterator[str]:
    """Yield the paths of tiles and bundles that a log of a size does not consist of.

    Args:
        folder: The log's folder.
        size: Its signed number of entries.

    Raises:
        OSError: The folder cannot be read.
    """
    for path in disk.files_below(folder / "tile", "tile/"):
        place = tiles.parse_path(path)
        if place is not None and (place.end > size or is_outgrown(place, size)):
            yield path


def remove_left_over(folder: Path, size: int) -> None:
    """Remove whatever tiles and bundles a log of a size does not consist of; durable.

    Args:
        folder: The log's folder.
        size: Its signed number of entries.

    Raises:
        OSError: The disk refuses.
    """
    touched = set()
    for path in list(left_over(folder, size)):
        (folder / path).unlink()
        touched.add((folder / path).parent)
    for parent in touched:
        disk.sync_folder(parent)


def remove_outgrown(folder: Path, before: int, size: int) -> None:
    """Remove the partial files that growing made superfluous; failing to do so harms nobody.

    Args:
        folder: The log's folder.
        before: Its size before it grew.
        size: Its signed size now.
    """
    places = tiles.right_edge(before)
    if before % WIDTH:
        places.append(Place(ENTRIES, before // WIDTH, before % WIDTH))
    for place in places:
        if is_outgrown(place, size):
            full = folder / Place(place.level, place.index).path
            shutil.rmtree(f"{os.fspath(full)}.p", ignore_errors=True)


def is_outgrown(place: Place, size: int) -> bool:
    """Say whether a partial file has a full one in a log of a size."""
    return place.width < WIDTH and Place(place.level, place.index).end <= size
