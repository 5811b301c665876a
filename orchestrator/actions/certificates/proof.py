"""Reading the proof in a certificate, and finding the log that it speaks of.

Source: C2SP tlog-proof, tlog-checkpoint.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.actions.ledger.opening import closed_path
from orchestrator.actions.site import Site
from orchestrator.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.catalog.ledger_tables import Ledger
    from orchestrator.ledger.note import Verifier
    from orchestrator.ledger.reader import Reader

_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Proof:
    """A ``.tlog-proof``, taken apart.

    Attributes:
        index: Of the entry.
        hashes: From its sibling up.
        checkpoint: The signed note.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


def parse(data: bytes) -> Proof:
    """Return what a ``.tlog-proof`` says; not checked.

    Raises:
        ValueError: It is none.
    """
    from orchestrator.ledger.reader import PROOF_HEADER

    if len(data) > _LONGEST:
        raise ValueError("is too long")
    head, parted, checkpoint = data.partition(b"\n\n")
    lines = head.decode("ascii").split("\n") if head.isascii() else [""]
    if not parted or lines[0] != PROOF_HEADER or len(lines) < 2:
        raise ValueError("is no proof of an entry")
    word, _, number = lines[1].partition(" ")
    if word != "index" or not number.isdigit() or str(int(number)) != number:
        raise ValueError("names no entry")
    return Proof(int(number), tuple(b64decode(one, validate=True) for one in lines[2:]), checkpoint)


def check(proof: Proof, entry: bytes, known: Verifier, origin: str) -> int:
    """Check that an entry stands under a signed checkpoint; returns the checkpoint's size.

    Args:
        proof: The proof.
        entry: The entry's bytes.
        known: The log's key.
        origin: The log's name.

    Raises:
        ValueError: It does not hold.
    """
    from orchestrator.ledger import checkpoint, tree

    found = checkpoint.verify(proof.checkpoint, [known])
    if found.origin != origin:
        raise ValueError("is about another log")
    if not tree.proves_inclusion(
        tree.leaf_hash(entry),
        index=proof.index,
        size=found.size,
        root=found.root,
        proof=proof.hashes,
    ):
        raise ValueError("does not lead to the checkpoint's root")
    return found.size


def log_of(site: Site, origin: str) -> tuple[Reader, Verifier]:
    """Return one of the site's logs by name, the one that is written or a closed one, and its key.

    Raises:
        NotFoundError: The site has no log of this name.
        DamageError: Its checkpoint is missing, or not signed by its key.
    """
    from orchestrator.catalog import ledger as rows

    if site.ledger.origin == origin:
        return site.ledger.reader(), site.ledger.verifier
    with site.catalog.reading() as session:
        known = {row.origin: row for row in rows.every(session)}
    if origin not in known:
        raise NotFoundError("the certificate was not issued by this site: its ledger is another")
    return _closed(site, known[origin])


def logs_after(site: Site, origin: str) -> Iterator[Reader]:
    """Yield the site's logs that were opened after one, up to the one that is written.

    Raises:
        DamageError: One cannot be read, or was not signed by its key.
    """
    from orchestrator.catalog import ledger as rows

    if site.ledger.origin == origin:
        return
    with site.catalog.reading() as session:
        known = rows.every(session)
    first = next((row.number for row in known if row.origin == origin), 0)
    for row in known:
        if first < row.number < site.ledger.number:
            yield _closed(site, row)[0]
    yield site.ledger.reader()


def _closed(site: Site, row: Ledger) -> tuple[Reader, Verifier]:
    from orchestrator.ledger.note import parse_vkey
    from orchestrator.ledger.reader import Reader, read_checkpoint

    verifier = parse_vkey(row.vkey)
    folder = closed_path(site.state_dir, row.number)
    return Reader(folder, read_checkpoint(folder, [verifier])), verifier
