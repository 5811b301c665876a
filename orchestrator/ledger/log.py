"""The log: one writer appends entries, and signs what then stands on the disk.

Knows its folder and its signer; what the entries mean is not known here. The order of an append is
entries, tiles, their names on the disk, signature, checkpoint: killed anywhere, the log verifies
at its old size or its new one. Files that no checkpoint covers are left-overs of a killed append;
nobody trusts them, and the next append removes them.

Never signs what it cannot account for: before the first append of a process, and whenever another
process wrote, the right edge is read from the disk and must lead to the signed root. What lies to
the left of the edge is for `verify`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import DamageError, RefusedError
from orchestrator.ledger import checkpoint as checkpoints
from orchestrator.ledger import disk, entry, remains
from orchestrator.ledger.checkpoint import Checkpoint
from orchestrator.ledger.edge import Edge
from orchestrator.ledger.files import read_file
from orchestrator.ledger.note import Signature, Signer, verifier_of
from orchestrator.ledger.reader import (
    CHECKPOINT,
    CHECKPOINTS,
    DAMAGED_HINT,
    KEY,
    Reader,
    read_checkpoint,
)

LOCK = ".lock"
"""The lock file; its first byte says whether an append was begun and not finished."""

WAIT_S = 30.0
"""How long another writer is waited for, in seconds."""

_BEGUN, _FINISHED = b"1", b"0"


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did.

    Attributes:
        first: Index of the first entry.
        size: Entries in the log now.
        checkpoint: What was signed.
    """

    first: int
    size: int
    checkpoint: Checkpoint


class Log:
    """A log that can be appended to. Several may be open on one folder; one writes at a time.

    Args:
        folder: The log's folder.
        signer: Signs as this log.
        wait_s: How long to wait for another writer, in seconds.
    """

    def __init__(self, folder: Path, signer: Signer, *, wait_s: float = WAIT_S) -> None:
        self._folder = folder
        self._signer = signer
        self._wait_s = wait_s
        self._writes = disk.Writes(folder)
        self._known: tuple[Checkpoint, Edge] | None = None

    @classmethod
    def create(
        cls,
        folder: Path,
        signer: Signer,
        *,
        now: datetime,
        actor: str = "system",
        opening: Mapping[str, Any] | None = None,
    ) -> Log:
        """Make a log whose first entry is ``ledger.opened``, with its name and public key.

        The folder appears whole, or not at all.

        Args:
            folder: Where; its parent must exist, it must not, or be empty.
            signer: Signs as this log.
            now: The time of the first entry.
            actor: Who opens it.
            opening: Further fields of the first entry, such as how the log before ended.

        Raises:
            RefusedError: There is something at this place.
            EngineError: The disk refuses.
        """
        with disk.explained("making it"), _only_maker(folder.parent):
            partial = folder.with_name(f".{folder.name}.partial")
            if partial.exists():
                shutil.rmtree(partial)
            (partial / CHECKPOINTS).mkdir(mode=0o700, parents=True)
            os.chmod(partial, 0o700)
            log = cls(partial, signer)
            vkey = verifier_of(signer).vkey
            first = entry.Entry(
                type="ledger.opened",
                id=entry.new_id(now),
                at=now,
                actor=actor,
                body={"origin": signer.name, "vkey": vkey, **(opening or {})},
            )
            log._writes.write(partial / KEY, f"{vkey}\n".encode())
            log._sign_onto(Edge(), [entry.build(first)])
            try:
                partial.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
                shutil.rmtree(partial)
                raise RefusedError(
                    "ledger: there is one already, or something else in its place",
                    hint="orchestrator ledger verify",
                ) from None
            disk.sync_folder(folder.parent)
        return cls(folder, signer)

    @classmethod
    def open(cls, folder: Path, signer: Signer, *, wait_s: float = WAIT_S) -> Log:
        """Open a log and make sure that it may be appended to.

        Args:
            folder: The log's folder.
            signer: Signs as this log.
            wait_s: How long to wait for another writer, in seconds.

        Raises:
            RefusedError: The folder is not there. A lost log is never made anew in silence.
            DamageError: Its newest files are not what was signed, by this key.
            LockedError: Another process is writing and does not end.
            EngineError: The disk refuses.
        """
        log = cls(folder, signer, wait_s=wait_s)
        if not folder.is_dir():
            raise RefusedError(
                "ledger: its folder is gone, although its key is there",
                hint="restore the state folder from a copy; if none has it: "
                "orchestrator --as ACTOR ledger reopen --note TEXT",
            )
        with log._writing() as lock:
            log._current(lock)
        return log

    @property
    def folder(self) -> Path:
        """The log's folder."""
        return self._folder

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._signer.name

    @property
    def vkey(self) -> str:
        """The log's public key as text."""
        return verifier_of(self._signer).vkey

    def checkpoint(self) -> Checkpoint:
        """Return the newest checkpoint on the disk.

        Raises:
            DamageError: It is missing, or not signed by this log.
            EngineError: The disk refuses.
        """
        return read_checkpoint(self._folder, [verifier_of(self._signer)])

    def reader(self) -> Reader:
        """Return the log as of its newest checkpoint.

        Raises:
            DamageError: The checkpoint is missing, or not signed by this log.
            EngineError: The disk refuses.
        """
        return Reader(self._folder, self.checkpoint())

    def append(self, entries: Iterable[bytes]) -> Appended:
        """Append entries, all under one checkpoint; they are on the disk on return.

        After an error the log stands at its old size, or at its new one if all but the last step
        was done; `checkpoint` says which.

        Args:
            entries: 1 to 65,535 bytes each; any number, also from a generator.

        Raises:
            ValueError: An entry is empty or too large; nothing was appended.
            LockedError: Another process is writing and does not end.
            DamageError: What is on the disk is not what was signed; nothing was appended.
            EngineError: The disk refuses.
        """
        with self._writing() as lock:
            before, edge = self._current(lock)
            edge = edge.copy()
            self._known = None
            _mark(lock, _BEGUN)
            checkpoint = self._sign_onto(edge, entries)
            self._known = checkpoint, edge
            remains.remove_outgrown(self._folder, before.size, checkpoint.size)
            _mark(lock, _FINISHED)
        return Appended(before.size, checkpoint.size, checkpoint)

    def attach(self, size: int, signatures: Sequence[Signature]) -> None:
        """Add verified signature lines, such as witnesses', to the kept checkpoint of a size.

        Raises:
            RefusedError: There is no checkpoint of this size.
            LockedError: Another process is writing and does not end.
            EngineError: The disk refuses.
        """
        with self._writing():
            for path in (self._folder / CHECKPOINTS / str(size), self._folder / CHECKPOINT):
                data = path.read_bytes() if path.exists() else b""
                is_it = bool(data) and checkpoints.unverified(data).size == size
                if not is_it and path.name != CHECKPOINT:
                    raise RefusedError(f"ledger: there is no checkpoint of {size} entries")
                lines = [one.line for one in signatures if one.line not in data]
                if is_it and lines:
                    disk.replace(path, data + b"".join(lines))

    @contextmanager
    def _writing(self) -> Iterator[int]:
        with (
            disk.explained("writing to it"),
            disk.writing(self._folder / LOCK, wait_s=self._wait_s) as lock,
        ):
            try:
                yield lock
            except BaseException:
                self._writes.drop()
                raise

    def _current(self, lock: int) -> tuple[Checkpoint, Edge]:
        known, is_clean = self._known, os.pread(lock, 1, 0) == _FINISHED
        if known and is_clean and read_file(self._folder / CHECKPOINT) == known[0].data:
            return known
        found = self.checkpoint()
        self._demand_newest(found)
        edge = Reader(self._folder, found).edge()
        remains.remove_left_over(self._folder, found.size)
        if found.size:
            disk.keep(self._folder / CHECKPOINTS / str(found.size), self._folder / CHECKPOINT)
        self._known = found, edge
        return self._known

    def _sign_onto(self, edge: Edge, entries: Iterable[bytes]) -> Checkpoint:
        before = edge.size
        for place, data in edge.grow(entries):
            self._writes.write(self._folder / place.path, data)
        if edge.size == before:
            raise ValueError("there is nothing to append")
        for place, data in edge.partial():
            self._writes.write(self._folder / place.path, data)
        self._writes.sync()
        # Only what is on the disk is signed.
        checkpoint = checkpoints.sign(self._signer, edge.size, edge.root())
        disk.replace(self._folder / CHECKPOINT, checkpoint.data)
        disk.keep(self._folder / CHECKPOINTS / str(edge.size), self._folder / CHECKPOINT)
        return checkpoint

    def _demand_newest(self, found: Checkpoint) -> None:
        with os.scandir(self._folder / CHECKPOINTS) as kept:
            largest = max((int(one.name) for one in kept if one.name.isdecimal()), default=0)
        if largest > found.size:
            raise DamageError(
                f"ledger: its checkpoint says {found.size} entries, but {largest} were signed: "
                "it was put back to an older state",
                hint=DAMAGED_HINT,
            )


def _mark(lock: int, state: bytes) -> None:
    os.pwrite(lock, state, 0)


@contextmanager
def _only_maker(parent: Path) -> Iterator[None]:
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
