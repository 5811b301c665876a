"""Taking into a log the entries that it lacks, from a longer one of the same key and beginning.

Knows two folders. Nothing is believed for where it came from: the longer log is derived anew from
its bytes, and must continue the shorter one. The checkpoint comes last: killed anywhere, the log
verifies at its old size or its new one.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import DamageError
from orchestrator.ledger import disk, remains, tiles
from orchestrator.ledger.checkpoint import Checkpoint
from orchestrator.ledger.export import checkpoint_path
from orchestrator.ledger.files import read_file
from orchestrator.ledger.log import LOCK, WAIT_S
from orchestrator.ledger.note import Verifier
from orchestrator.ledger.reader import CHECKPOINT, Reader, read_checkpoint
from orchestrator.ledger.verify import verify


def catch_up(folder: Path, longer: Path, known: Verifier) -> Checkpoint:
    """Bring a log up to a longer one, which may be longer by then already.

    Args:
        folder: The log that lacks entries.
        longer: The whole longer log.
        known: The key of both.

    Returns:
        The checkpoint of the log as it is then.

    Raises:
        DamageError: The longer log is not whole, or does not continue the shorter one.
        LockedError: Another process is writing and does not end.
        EngineError: The disk refuses.
    """
    found = verify(longer, [known], workers=0)
    wanted = read_checkpoint(longer, [known])
    if not found.is_whole or (found.size, found.root) != (wanted.size, wanted.root):
        raise DamageError(
            f"ledger: what lies outside is not whole: {'; '.join(found.problems[:3])}"
        )
    with (
        disk.explained("taking in entries"),
        disk.writing(folder / LOCK, wait_s=WAIT_S),
    ):
        before = read_checkpoint(folder, [known])
        if wanted.size <= before.size:
            return before
        source = Reader(longer, wanted)
        if not source.is_continuation_of(before):
            raise DamageError(
                f"ledger: what lies outside does not continue the {before.size} entries here: "
                "it is another history",
                hint="orchestrator --as ACTOR ledger reopen --note TEXT",
            )
        writes = disk.Writes(folder)
        for place in tiles.places(wanted.size):
            data = source.file(place)
            if read_file(folder / place.path) != data:
                writes.write(folder / place.path, data)
        writes.write(folder / checkpoint_path(wanted.size), wanted.data)
        writes.sync()
        disk.replace(folder / CHECKPOINT, wanted.data)
        remains.remove_outgrown(folder, before.size, wanted.size)
    return wanted
