"""Decoding one frame of each series of what a drill restored, in a child process.

An image that cannot be decoded although its bytes are exactly those of backup time was broken
before any backup saw it: that is told apart from what a copy or a restore has spoilt.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.drills.expected import Expectation, Expected
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    import threading

    from orchestrator.engines.decoder import Decoded

MOST_PREVIEWS = 60
"""So many pictures fit on a contact sheet that somebody looks at."""

BAD = ("corrupt", "crashed", "unreadable")


@dataclass(slots=True)
class Pixels:
    """What decoding came to.

    Attributes:
        counts: Series by the decoder's answer; those that were broken before the backup do not
            count as `corrupt`.
        broken_before: Pseudonyms of the studies of series whose image is corrupt with exactly the
            bytes of backup time; empty for a series of no study.
        reasons: Series by what is wrong with them, in the decoder's words.
        failed_studies: Pseudonyms of studies with a frame that cannot be shown.
        previews: What was decoded with the pseudonym of its study, if pictures were asked for.
        trouble: Why nothing could be decoded at all; None if something could.
    """

    counts: Counter[str] = field(default_factory=Counter)
    broken_before: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    failed_studies: set[str] = field(default_factory=set)
    previews: list[tuple[Decoded, str]] = field(default_factory=list)
    trouble: str | None = None


def decode(
    expectation: Expectation,
    folder: Path,
    *,
    previews: bool,
    stop: threading.Event,
    on_done: Callable[[int], None],
) -> Pixels:
    """Decode one frame of each series; a series whose file is missing is passed over.

    Args:
        expectation: What was to be restored.
        folder: What was restored.
        previews: Ask for pictures, too.
        stop: Ends the work when set.
        on_done: Called with the number of series done.

    Raises:
        StoppedError: `stop` was set.
    """
    from orchestrator.dicom.decode_child import program
    from orchestrator.engines.decoder import Decoder

    found = Pixels()
    root = os.fsencode(folder)
    try:
        with Decoder(program(), stop=stop) as decoder:
            for number, entry in enumerate(expectation.to_decode(), 1):
                path = os.path.join(root, entry.path)
                if not os.path.isfile(path):
                    continue
                wanted = previews and len(found.previews) < MOST_PREVIEWS
                answer = decoder.decode(path, preview=wanted)
                _count(found, answer, entry, path)
                if wanted and answer.state == "decoded":
                    found.previews.append((answer, entry.study or ""))
                on_done(number)
    except EngineError as error:
        found.trouble = error.message
    return found


def _count(found: Pixels, answer: Decoded, entry: Expected, path: bytes) -> None:
    if answer.state == "corrupt" and _is_as_backed_up(path, entry):
        found.broken_before.append(entry.study or "")
        return
    found.counts[answer.state] += 1
    if answer.state in BAD:
        found.reasons[answer.reason or answer.state] += 1
        if entry.study is not None:
            found.failed_studies.add(entry.study)


def _is_as_backed_up(path: bytes, entry: Expected) -> bool:
    """Read a file again that cannot be decoded: are these the bytes that were backed up?"""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest() == entry.content
    except OSError:
        return False
