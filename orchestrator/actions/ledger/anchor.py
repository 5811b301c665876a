"""Anchoring: the ledger's files and checkpoints where this machine cannot take them back.

Full tiles lie in each bucket once; the partial ones of a checkpoint come with it. Nothing there is
trusted for its name or its place: only what hashes to a signed checkpoint counts. A lock is
lengthened while the file is needed; partial files that were outgrown may go when theirs ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.ledger import outside, vouchers
from orchestrator.actions.ledger.anchored import BUCKET, Anchored, keep_anchor
from orchestrator.actions.ledger.events import record_happenings
from orchestrator.actions.ledger.outside import CONSISTENT, CONTRADICTIONS, FOLDER, RESTORED
from orchestrator.actions.ledger.record import Event, record, settle
from orchestrator.actions.person import demand_person
from orchestrator.actions.run import BY_HAND, Occasion, Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import anchors, facts
from orchestrator.catalog.ledger_tables import LedgerObject
from orchestrator.errors import OrchestratorError, StoppedError

if TYPE_CHECKING:
    from orchestrator.engines.bucket.records import Records
    from orchestrator.ledger.reader import Reader

_AT_ONCE = 200


@dataclass(slots=True)
class Anchoring:
    """What anchoring came to.

    Attributes:
        run: Run id.
        size: Entries of the checkpoint.
        root: Its root in hex.
        checkpoint: The file of the checkpoint.
        targets: One for each anchor; empty if the site has none.
    """

    run: str
    size: int
    root: str
    checkpoint: Path
    targets: list[Anchored] = field(default_factory=list)


def anchor(site: Site, *, occasion: Occasion = BY_HAND) -> Anchoring:
    """Record what is still to be recorded, and anchor the newest checkpoint everywhere.

    Raises:
        RefusedError: The ledger contradicts what lies outside; nothing was put there.
        OrchestratorError: The ledger cannot be read.
    """
    with run(site, "anchor", occasion=occasion) as current:
        reader = site.ledger.reader()
        _refuse_contradiction(site, reader)
        outside.demand_signable(site)
        settle(site)
        record_happenings(site)
        reader = site.ledger.reader()
        size = reader.checkpoint.size
        done = Anchoring(
            current.id,
            size,
            reader.checkpoint.root.hex(),
            site.ledger.folder / "checkpoints" / str(size),
        )
        for name in outside.targets(site):
            done.targets.append(_publish(current, name, reader))
        stamp = vouchers.stamp(site, reader)
        if stamp is not None:
            done.targets.append(stamp)
        for one in done.targets:
            if one.state != "anchored":
                current.fell_short(f"{one.kind} {one.target}: {one.detail or one.state}")
        current.metrics.update(size=size, anchors=len(done.targets))
    return done


def accept_unanchored(site: Site, *, note: str) -> None:
    """Go on with a restored ledger that nobody outside could be compared with.

    A person answers for it, by name and in the ledger.

    Args:
        site: The site; its actor must have the role `compliance`.
        note: Why it is right, at most 200 characters.

    Raises:
        RefusedError: Nobody is named, the role is missing, or an anchor contradicts.
        OrchestratorError: As `record.record`.
    """
    demand_person(site, "compliance")
    with run(site, "ledger-unanchored"):
        _refuse_contradiction(site, site.ledger.reader())
        with site.catalog.transaction() as session:
            facts.drop(session, RESTORED)
        record(site, [Event("ledger.incident", {"what": "restored_unanchored"}, note=note)])


def _refuse_contradiction(site: Site, reader: Reader) -> None:
    """Ask every anchor anew; what contradicts the ledger must not be added to.

    Raises:
        RefusedError: One does.
    """
    answers = [outside.ask(site, name, reader) for name in outside.targets(site)]
    for answer in answers:
        if answer.state in CONTRADICTIONS:
            raise outside.contradiction(answer)


def _publish(current: Run, name: str, reader: Reader) -> Anchored:
    result = Anchored(BUCKET, name)
    site = current.site
    try:
        with current.step("anchor", copy=name), site.bucket(name) as bucket:
            _Publishing(site, name, reader, bucket.records(FOLDER), result).perform()
    except StoppedError:
        raise
    except OrchestratorError as error:
        result.detail = error.message
        return result
    result.state = "anchored"
    answer = outside.Answer(name, CONSISTENT, reader.checkpoint.size)
    outside.keep(site, answer, reader.checkpoint.root.hex())
    keep_anchor(site, reader, BUCKET, name, detail={"files": result.files})
    return result


class _Publishing:
    """Putting a ledger's files into one bucket.

    Args:
        site: The site.
        copy: The bucket's copy.
        reader: The ledger as of the checkpoint to be published.
        records: The folder in the bucket.
        result: Filled in.
    """

    def __init__(
        self, site: Site, copy: str, reader: Reader, records: Records, result: Anchored
    ) -> None:
        self._site = site
        self._copy = copy
        self._reader = reader
        self._records = records
        self._result = result
        self._base = f"{site.ledger.origin}/"
        self._fresh: list[LedgerObject] = []
        config = site.bucket_config(copy)
        self._enough = site.clock.now() + config.lock_period * site.config.targets.extend_below
        self._until = site.clock.now() + config.lock_period

    def perform(self) -> None:
        """Put what is missing, the checkpoint last, and lengthen what ends too soon."""
        with self._site.catalog.reading() as session:
            known = anchors.objects(session, self._copy, self._base)
        ends: list[datetime | None] = []
        try:
            for path, data in self._files():
                self._site.check_stop()
                row = known.get(self._base + path)
                if row is None or row.sha256 != hashlib.sha256(data).hexdigest():
                    row = self._put(path, data)
                elif row.retain_until is None or row.retain_until < self._enough:
                    row = self._extend(row)
                ends.append(row.retain_until)
        finally:
            self._keep(at_least=1)
        if ends and None not in ends:
            self._result.protected_until = min(end for end in ends if end is not None)

    def _files(self) -> Iterator[tuple[str, bytes]]:
        from orchestrator.ledger.export import log_files

        ledger = self._site.ledger
        for path, data in log_files(ledger.folder, ledger.verifier, sizes=(), reader=self._reader):
            if path != "checkpoint":  # the one file that would change
                yield path, self._reader.checkpoint.data if "checkpoints/" in path else data

    def _put(self, path: str, data: bytes) -> LedgerObject:
        kept = self._records.put(self._base + path, data)
        self._result.files += 1
        row = LedgerObject(
            copy_=self._copy,
            path=self._base + path,
            version_id=kept.version_id,
            sha256=hashlib.sha256(data).hexdigest(),
            retain_until=kept.retain_until,
        )
        self._note(row)
        return row

    def _extend(self, row: LedgerObject) -> LedgerObject:
        row.retain_until = self._records.extend(row.path, row.version_id, self._until)
        self._result.extended += 1
        self._note(row)
        return row

    def _note(self, row: LedgerObject) -> None:
        self._fresh.append(row)
        self._keep(at_least=_AT_ONCE)

    def _keep(self, *, at_least: int) -> None:
        if len(self._fresh) < at_least:
            return
        with self._site.catalog.transaction() as session:
            anchors.put_objects(session, self._fresh)
        self._fresh = []
