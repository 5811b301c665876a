"""Verifying the ledger from its stored bytes, and holding it against what others saw of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.actions.ledger import agreement, vouchers
from orchestrator.actions.ledger.opening import closed_path
from orchestrator.actions.site import Site
from orchestrator.catalog import anchors
from orchestrator.catalog import ledger as rows
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.ledger.note import Verifier

Verdict = Literal["verified", "damaged"]

_LARGEST = 1 << 16


@dataclass(slots=True)
class LedgerCheck:
    """What a verification found.

    Attributes:
        verdict: `verified` or `damaged`.
        origin: The ledger's name; None if its checkpoint cannot be believed.
        size: Entries that are signed for; None likewise.
        root: The signed root in hex; None likewise.
        vkey: Its public key.
        problems: What is wrong, in sentences.
        remarks: What to know, and what is no fault.
        anchors: What vouches for it outside: kind, target, size, time.
    """

    verdict: Verdict
    origin: str | None
    size: int | None
    root: str | None
    vkey: str
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    anchors: list[dict[str, object]] = field(default_factory=list)


def verify(site: Site, *, against: Path | None = None) -> LedgerCheck:
    """Derive everything anew from the stored bytes, of earlier ledgers too.

    Args:
        site: The site.
        against: A checkpoint that somebody kept: the ledger must still contain it.

    Raises:
        UsageError: The file cannot be read.
        RefusedError: The site has no ledger, or it was lost.
    """
    from orchestrator.ledger.verify import verify as derive

    ledger = site.ledger
    known = [ledger.verifier, *_witness(site)]
    remembered = [] if against is None else [_read(against)]
    found = derive(ledger.folder, known, remembered=remembered)
    result = LedgerCheck(
        "verified" if found.is_whole else "damaged",
        found.origin,
        found.size,
        None if found.root is None else found.root.hex(),
        ledger.verifier.vkey,
        list(found.problems),
        list(found.remarks),
    )
    if found.size is not None:
        _compare_with_catalog(site, result)
        _compare_rows(site, result)
        _look_at_stamps(site, result)
    _verify_closed(site, result)
    if result.problems:
        result.verdict = "damaged"
    return result


def _compare_with_catalog(site: Site, result: LedgerCheck) -> None:
    """Hold the ledger against what the catalog saw: a difference is somebody's doing."""
    from orchestrator.actions.ledger.outside import began_as

    number = site.ledger.number
    with site.catalog.reading() as session:
        row = rows.current(session)
        newest = anchors.newest(session, number)
    size = result.size or 0
    if row is not None and row.number == number and row.mirrored > size:
        result.problems.append(
            f"the catalog has seen {row.mirrored} entries, the ledger has {size}: it was put back"
        )
    reader = site.ledger.reader()
    for anchor in newest:
        words = f"{anchor.kind} {anchor.target} at {anchor.size} entries"
        try:
            is_it = anchor.size <= size and began_as(reader, anchor.size, anchor.root)
        except OrchestratorError as error:
            result.problems.append(error.message)
            continue
        if not is_it:
            result.problems.append(f"the ledger is not the one that was anchored: {words}")
        result.anchors.append(
            {
                "kind": anchor.kind,
                "target": anchor.target,
                "size": anchor.size,
                "at": anchor.at,
                "holds": is_it,
            }
        )
    if not newest:
        result.remarks.append(
            "nothing outside vouches for this ledger: whoever has its key could have rewritten it"
        )


def _compare_rows(site: Site, result: LedgerCheck) -> None:
    if result.problems:
        return  # what was damaged or put back differs, of course
    found = agreement.compare(site, site.ledger.reader())
    result.problems += found.unfounded
    result.remarks += found.unknown


def _look_at_stamps(site: Site, result: LedgerCheck) -> None:
    from orchestrator.ledger import checkpoint as checkpoints
    from orchestrator.ledger.export import checkpoint_path, kept_sizes

    ledger = site.ledger
    for size in kept_sizes(ledger.folder):
        if not vouchers.stamp_path(site, ledger.number, size).is_file():
            continue
        try:
            data = (ledger.folder / checkpoint_path(size)).read_bytes()
            checkpoint = checkpoints.verify(data, [ledger.verifier])
            vouchers.stamped_at(site, ledger.number, checkpoint)
        except ValueError:
            continue  # the checkpoint itself is among the problems already
        except (OSError, OrchestratorError) as error:
            result.problems.append(f"the timestamp at {size} entries: {error}")


def _verify_closed(site: Site, result: LedgerCheck) -> None:
    """Say how earlier ledgers stand; one that was given up may be what it is."""
    from orchestrator.ledger.note import parse_vkey
    from orchestrator.ledger.verify import verify as derive

    with site.catalog.reading() as session:
        known = [row for row in rows.every(session) if row.number != site.ledger.number]
    for row in known:
        folder = closed_path(site.state_dir, row.number)
        if not folder.is_dir():
            result.problems.append(f"the earlier ledger {row.origin} is gone")
            continue
        found = derive(folder, [parse_vkey(row.vkey)])
        state = "whole" if found.is_whole else f"not whole: {found.problems[:3]}"
        result.remarks.append(f"the earlier ledger {row.origin}: {found.size} entries, {state}")


def _witness(site: Site) -> list[Verifier]:
    from orchestrator.ledger.note import parse_vkey

    if site.config.ledger.witness is None:
        return []
    try:
        return [parse_vkey(site.config.ledger.witness)]
    except ValueError as error:
        raise UsageError(f"ledger.witness in the site file {error}") from None


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_LARGEST)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
