"""Whether the ledger may be signed: compared with the newest checkpoint that lies outside.

A ledger that was put back to an older state and then went on would be a fork: two histories, both
signed. So before a process signs for the first time its ledger is compared with what the anchors
hold, with what they said lately, and with what the catalog has seen. What cannot be asked is
unknown: work goes on then, unless the ledger was restored.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.actions.site import Site
from orchestrator.catalog import anchors, facts
from orchestrator.catalog import ledger as rows
from orchestrator.catalog.ledger_tables import LedgerOutside
from orchestrator.config.site import ImmutableCopy
from orchestrator.errors import OrchestratorError, RefusedError, StoppedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.engines.bucket.bucket import Bucket
    from orchestrator.engines.bucket.records import Records
    from orchestrator.engines.bucket.versions import VersionFact
    from orchestrator.ledger.checkpoint import Checkpoint
    from orchestrator.ledger.reader import Reader

FOLDER = "_ledger"
"""Key prefix of the ledgers in a bucket; no repository has such a name."""

FRESH_FOR = timedelta(hours=12)
"""How long an anchor's answer is good enough to sign."""

ASK_AGAIN_AFTER = timedelta(hours=1)
"""How long an anchor that could not be reached is left alone."""

RESTORED = "ledger:restored"
"""The fact that the ledger came from a copy and was not compared since."""

CONSISTENT, EMPTY, UNREACHABLE = "consistent", "empty", "unreachable"
BEHIND, FORKED, SUPERSEDED = "behind", "forked", "superseded"

CONTRADICTIONS = frozenset({BEHIND, FORKED, SUPERSEDED})

_CHECKPOINTS = "checkpoints/"
_LARGEST = 1 << 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one anchor says of the ledger.

    Attributes:
        target: The copy.
        state: `consistent`, `empty`, `unreachable`, `behind`, `forked` or `superseded`.
        size: Size of the newest checkpoint there; None if there is none, or nobody answered.
        detail: Why, in words.
    """

    target: str
    state: str
    size: int | None = None
    detail: str | None = None


def demand_signable(site: Site) -> None:
    """Refuse to sign a ledger that anything outside contradicts; asks once per process.

    Raises:
        RefusedError: The ledger is shorter than, or differs from, what is known outside; or it was
            restored and nobody outside could be asked; or there is none.
        DamageError: The ledger on the disk is not what was signed.
        OrchestratorError: The catalog fails.
    """
    ledger = site.ledger
    if ledger.is_compared:
        return
    reader = ledger.reader()
    with site.catalog.reading() as session:
        _demand_known(session, reader, ledger.number)
        restored = facts.get(session, RESTORED) is not None
        heard = anchors.outside(session)
    now = site.clock.now()
    answers = []
    for name in targets(site):
        row = heard.get(name)
        if restored or row is None or row.ledger != ledger.number or not _is_fresh(row, now):
            answers.append(ask(site, name, reader))
    for answer in answers:
        if answer.state in CONTRADICTIONS:
            raise contradiction(answer)
    if restored:
        if not any(answer.state == CONSISTENT for answer in answers):
            raise RefusedError(
                "the ledger was restored from a copy, and no checkpoint outside could be compared "
                "with it, so it is not continued",
                hint="orchestrator ledger anchor, when a bucket can be reached; else a compliance "
                "officer: orchestrator --as ACTOR ledger anchor --note TEXT --unanchored",
            )
        with site.catalog.transaction() as session:
            facts.drop(session, RESTORED)
    ledger.is_compared = True


def demand_uncontradicted(site: Site, reader: Reader) -> None:
    """Refuse a ledger that contradicts what the catalog saw or an anchor said; asks nobody anew.

    Raises:
        RefusedError: It is shorter, another one, or a later one exists.
        DamageError: A tile is missing or malformed.
        OrchestratorError: The catalog fails.
    """
    number = site.ledger.number
    with site.catalog.reading() as session:
        _demand_known(session, reader, number)
        heard = anchors.outside(session).values()
    for row in heard:
        if row.ledger == number and row.state == SUPERSEDED:
            raise contradiction(Answer(row.target, row.state, detail=row.detail))


def targets(site: Site) -> list[str]:
    """Return the names of the copies that hold the ledger's files."""
    return [copy.name for copy in site.config.copies.values() if isinstance(copy, ImmutableCopy)]


def ask(site: Site, name: str, reader: Reader) -> Answer:
    """Ask one anchor, and keep what it said; what cannot be asked is `unreachable`.

    Args:
        site: The site.
        name: The copy.
        reader: The ledger as it is here.
    """
    try:
        with impatient_bucket(site, name) as bucket:
            found = newest_outside(site, bucket.records(FOLDER))
        answer, root = _compare(name, reader, found)
    except StoppedError:
        raise
    except OrchestratorError as error:
        answer, root = Answer(name, UNREACHABLE, detail=error.message), None
        _log.warning("the ledger's anchor cannot be asked: %s", error.message)
    keep(site, answer, root)
    return answer


def keep(site: Site, answer: Answer, root: str | None) -> None:
    """Keep what an anchor said."""
    row = LedgerOutside(
        target=answer.target,
        ledger=site.ledger.number,
        asked_at=site.clock.now(),
        state=answer.state,
        size=answer.size,
        root=root,
        detail=answer.detail,
    )
    with site.catalog.transaction() as session:
        anchors.put_outside(session, row)


@dataclass(frozen=True, slots=True)
class Outside:
    """What a bucket holds.

    Attributes:
        newest: The largest checkpoint of this ledger that its key signed; None for none.
        successor: Name of a later ledger of the site; None for none.
    """

    newest: Checkpoint | None
    successor: str | None


def newest_outside(site: Site, records: Records) -> Outside:
    """Look what a bucket holds of the site's ledger.

    What somebody else put there is passed over: only what the ledger's key signed counts.

    Raises:
        OrchestratorError: The bucket cannot be read.
    """
    from orchestrator.ledger import checkpoint as checkpoints

    ledger = site.ledger
    successor = next_origin(ledger.origin)
    is_there = any(True for _ in records.versions(f"{successor}/{_CHECKPOINTS}"))
    start = f"{ledger.origin}/{_CHECKPOINTS}"
    sizes: dict[int, list[VersionFact]] = {}
    for version in records.versions(start):
        name = version.path.removeprefix(start)
        if not version.is_marker and name.isascii() and name.isdigit() and len(name) < 17:
            sizes.setdefault(int(name), []).append(version)
    for size in sorted(sizes, reverse=True):
        for version in sizes[size]:
            if version.size_bytes > _LARGEST:
                continue
            try:
                data = records.read(version, limit=_LARGEST)
                found = checkpoints.verify(data, [ledger.verifier])
            except ValueError:
                continue
            if found.origin == ledger.origin:
                return Outside(found, successor if is_there else None)
    return Outside(None, successor if is_there else None)


def next_origin(origin: str) -> str:
    """Return the name of the ledger that would follow one."""
    base, _, serial = origin.rpartition("/")
    return f"{base}/{int(serial) + 1}"


def impatient_bucket(site: Site, name: str) -> Bucket:
    """Return a copy's bucket that gives up soon: recording must not wait for a dead server."""
    from orchestrator.engines.bucket.bucket import Bucket

    settings = site.bucket(name).settings
    quick = dataclasses.replace(settings, attempts=1, connect_timeout_s=5.0, read_timeout_s=15.0)
    return Bucket(quick, site.clock)


def contradiction(answer: Answer) -> RefusedError:
    """Return the refusal to sign."""
    return RefusedError(
        f"the ledger is not continued: {answer.detail}",
        hint="what a bucket has more: orchestrator ledger fetch; if none has it: "
        "orchestrator --as ACTOR ledger reopen --note TEXT",
    )


def _compare(name: str, reader: Reader, found: Outside) -> tuple[Answer, str | None]:
    if found.successor is not None:
        detail = f"copy {name} holds a later ledger of this site, {found.successor}"
        return Answer(name, SUPERSEDED, detail=detail), None
    newest, here = found.newest, reader.checkpoint
    if newest is None:
        return Answer(name, EMPTY), None
    root = newest.root.hex()
    if newest.size > here.size:
        detail = (
            f"it has {here.size} entries here, but copy {name} holds a checkpoint of {newest.size}"
        )
        return Answer(name, BEHIND, newest.size, detail), root
    if not reader.is_continuation_of(newest):
        detail = f"it differs from the checkpoint of {newest.size} entries that copy {name} holds"
        return Answer(name, FORKED, newest.size, detail), root
    return Answer(name, CONSISTENT, newest.size), root


def _demand_known(session: Session, reader: Reader, number: int) -> None:
    """Compare the ledger with what the catalog saw of it.

    Raises:
        RefusedError: The catalog saw more, or something else.
    """
    here = reader.checkpoint
    row = rows.current(session)
    if row is not None and row.number > number:
        raise contradiction(
            Answer("catalog", SUPERSEDED, detail=f"the catalog knows a later one, {row.origin}")
        )
    if row is not None and row.number == number and row.mirrored > here.size:
        detail = f"it has {here.size} entries, but the catalog has seen {row.mirrored}"
        raise contradiction(Answer("catalog", BEHIND, row.mirrored, detail))
    for target, size, root in _seen_outside(session, number):
        if size > here.size:
            detail = f"it has {here.size} entries, but {size} were anchored with {target}"
            raise contradiction(Answer(target, BEHIND, size, detail))
        if not began_as(reader, size, root):
            detail = f"it differs from what was anchored with {target} at {size} entries"
            raise contradiction(Answer(target, FORKED, size, detail))


def _seen_outside(session: Session, number: int) -> list[tuple[str, int, str]]:
    found = {
        (row.target, row.size, row.root)
        for row in anchors.outside(session).values()
        if row.ledger == number and row.size is not None and row.root is not None
    }
    found |= {(row.target, row.size, row.root) for row in anchors.newest(session, number)}
    return sorted(found)


def began_as(reader: Reader, size: int, root: str) -> bool:
    """Say whether a ledger once had this size and root.

    Raises:
        DamageError: A tile is missing or malformed.
    """
    from orchestrator.ledger.checkpoint import Checkpoint

    return reader.is_continuation_of(
        Checkpoint(reader.checkpoint.origin, size, bytes.fromhex(root), b"")
    )


def _is_fresh(row: LedgerOutside, now: datetime) -> bool:
    if row.state in CONTRADICTIONS:
        return False
    limit = ASK_AGAIN_AFTER if row.state == UNREACHABLE else FRESH_FOR
    # A time in the future says that a clock is or was wrong: ask again.
    return timedelta() <= now - row.asked_at <= limit
