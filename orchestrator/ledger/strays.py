"""Looks at every tile and bundle in a log's folder that its newest size does not ask for.

Partial files of earlier sizes must be how the later ones begin; what lies beyond the newest size
was left by a killed append and counts nothing; whatever else is there is no part of a log.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.ledger import tiles
from orchestrator.ledger.files import Files
from orchestrator.ledger.tiles import ENTRIES, WIDTH, Place


def problems_of(files: Files, size: int, remarks: list[str]) -> Iterator[str]:
    """Yield what is wrong with them, in sentences.

    Args:
        files: The log's files; those of the newest size were verified before.
        size: The newest signed size.
        remarks: Takes what is no fault.

    Raises:
        OSError: A file cannot be read.
    """
    for path in files.below("tile"):
        place = tiles.parse_path(path)
        if place is None:
            yield f"{path} is not part of a log"
        elif place.end > size:
            remarks.append(f"{path} lies beyond the checkpoint and counts nothing")
        elif place.width < WIDTH:
            yield from _problems_of_partial(files, place, size)


def _problems_of_partial(files: Files, place: Place, size: int) -> Iterator[str]:
    count = size >> 8 * max(place.level, 0)
    whole = Place(place.level, place.index, min(WIDTH, count - place.index * WIDTH))
    if place == whole:
        return
    data, right = files.read(place.path), files.read(whole.path)
    if data is None or right is None:
        return
    try:
        if place.level == ENTRIES:
            tiles.decode_bundle(data, place.width)
        else:
            tiles.decode_tile(data, place.width)
    except ValueError as error:
        yield f"{place.path} {error}"
        return
    if not right.startswith(data):
        yield f"{place.path} is not how {whole.path} begins"
