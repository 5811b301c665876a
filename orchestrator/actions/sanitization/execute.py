"""Doing an approved sanitization, and computing what it adds up to.

Intent in the ledger → markers → the tool → the device's status → read-back → identity again →
outcome in the ledger. Whatever ends it early, nothing is claimed: only the judgement at the very
end can name a method.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator import __version__
from orchestrator.actions.holds import guard
from orchestrator.actions.ledger.record import Event, announced
from orchestrator.actions.person import are_one_person, demand_person
from orchestrator.actions.run import Run, run
from orchestrator.actions.sanitization.evidence import Timed, keep_json, keep_transcripts, runner
from orchestrator.actions.sanitization.rows import RUN, body_of, conclude, settle
from orchestrator.actions.sanitization.sanitize import (
    APPROVAL_LASTS,
    demand_free,
    demand_possible,
    guarded,
    registered,
    show,
)
from orchestrator.actions.site import Site
from orchestrator.catalog import sanitizations
from orchestrator.catalog.sanitization_tables import Sanitization
from orchestrator.catalog.sanitizations import APPROVED, EXECUTING, INTERRUPTED
from orchestrator.errors import OrchestratorError, RefusedError, StoppedError
from orchestrator.sanitization import luks
from orchestrator.sanitization.commands import PROCEDURES, VERSION_WORDS, Step
from orchestrator.sanitization.facts import MAGNETIC, Facts
from orchestrator.sanitization.judgement import Evidence, Judgement, judge, reject_conditions
from orchestrator.sanitization.overwrite import Overwritten, overwrite
from orchestrator.sanitization.probe import probe
from orchestrator.sanitization.readback import Marker, ReadBack, read_back, write_markers
from orchestrator.sanitization.techniques import Technique, technique
from orchestrator.sanitization.transcripts import Expected, Reading

POLL_S = 10.0
"""How often a drive that works in the background is asked, in seconds."""

_VERSION_TIMEOUT_S = 30.0


def execute(site: Site, name: str) -> Sanitization:
    """Do what was approved.

    Raises:
        NotFoundError: There is no such sanitization, or the device is gone.
        RefusedError: It is not approved, the approval is out of date, the device is in use, it is
            not the one that was approved, or it is a medium with something on hold.
        EngineError: The device or the ledger fails.
    """
    demand_person(site)
    with run(site, "sanitize") as current:
        settle(site)
        row = _demand_approved(site, name)
        with _held(row.device or ""):
            facts = guarded(site, probe(Path(row.device or ""), runner(site)))
            if facts.identity != row.identity:
                raise RefusedError(
                    f"sanitization {row.id}: the device is not the one that was approved",
                    hint="connect the right one, or propose it again",
                )
            demand_possible(row.technique, facts)
            return _Execution(site, current, row, facts).do()


@contextmanager
def _held(device: str) -> Iterator[None]:
    """Hold a device open, so that its name goes to no other one from its identity to its end."""
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        descriptor = None  # the probe says what is wrong with it
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _demand_approved(site: Site, name: str) -> Sanitization:
    row = show(site, name)
    if row.state != APPROVED or row.decided_at is None:
        raise RefusedError(
            f"sanitization {row.id} is {row.state}, not {APPROVED}",
            hint=f"orchestrator sanitize show {row.id}",
        )
    if row.decided_by is None or are_one_person(site, row.decided_by, row.proposed_by):
        raise RefusedError(f"sanitization {row.id}: proposed and approved by one person")
    if site.clock.now() - row.decided_at > APPROVAL_LASTS:
        raise RefusedError(
            f"sanitization {row.id}: the approval is out of date",
            hint="propose it again: orchestrator --as ACTOR sanitize run DEVICE --technique NAME",
        )
    return row


@dataclass
class _Execution:
    """One execution; what is seen is gathered in `timed` and `found`."""

    site: Site
    current: Run
    row: Sanitization
    facts: Facts
    timed: list[Timed] = field(default_factory=list)
    found: Evidence = field(default_factory=Evidence)
    version: str | None = None

    def do(self) -> Sanitization:
        name = self.row.id
        try:
            with announced(self.site, Event(RUN, body_of(self.row))) as outcome:
                self._begin()
                how = technique(self.row.technique)
                self._work(how)
                judged = judge(how, self.facts, self.found)
                self.row = self._judged(how, judged)
                # Before the outcome is in the ledger: a kill after that loses nothing.
                with self.site.catalog.transaction() as session:
                    sanitizations.save(session, self.row)
                outcome.update(_outcome(self.row))
        except BaseException as error:
            self._give_up(error)
            raise
        conclude(self.site, name)
        if self.row.verification != "verified":
            self.current.fell_short(f"sanitization {name}: {self.row.verification}")
        return show(self.site, name)

    def _begin(self) -> None:
        medium = registered(self.site, self.facts)
        with guard.guarded(self.site) as session:
            demand_free(self.site, session, self.row.medium or (medium.id if medium else None))
            row = sanitizations.move(session, self.row.id, before=APPROVED, after=EXECUTING)
            row.run_id = self.current.id
            row.performed_by, row.started_at = self.site.actor, self.site.clock.now()
            session.add(row)
        self.row = show(self.site, self.row.id)

    def _give_up(self, error: BaseException) -> None:
        row = show(self.site, self.row.id)
        if row.state != EXECUTING:
            return
        why = error.message if isinstance(error, OrchestratorError) else type(error).__name__
        row.state, row.verification, row.method = INTERRUPTED, "unverified", None
        row.reasons, row.ended_at = [f"it did not end: {why}"], self.site.clock.now()
        with self.site.catalog.transaction() as session:
            sanitizations.save(session, row)

    def _work(self, how: Technique) -> None:
        device = self.facts.device
        self.found = Evidence(conditions=frozenset(self.row.conditions))
        keys = luks.key_area(device) if how.name == "luks-erase" else None
        markers: list[Marker] = []
        if keys is None:
            with self.current.step("markers"):
                markers = write_markers(device, block_bytes=self.facts.block_bytes)
        with self.current.step("technique"):
            self._technique(how)
        with self.current.step("read-back"):
            seen = luks.compare(device, keys) if keys is not None else self._read_back(how, markers)
        with self.current.step("identity"):
            again = probe(Path(device), runner(self.site))
        same = None if again.identity is None else again.identity == self.facts.identity
        self.found = dataclasses.replace(self.found, read_back=seen, identity_same=same)

    def _technique(self, how: Technique) -> None:
        if how.name == "overwrite":
            done = overwrite(
                self.facts.device,
                advance=self._advance("bytes written"),
                check_stop=self.site.check_stop,
            )
            self.found = dataclasses.replace(self.found, **_own(done))
            return
        procedure = PROCEDURES[how.name]
        reading = Reading("unverified", ("no command was run",))
        for step in procedure.steps:
            reading = self._step(step)
            self.version = reading.version or self.version
            if reading.verdict != "done":
                break
        self.found = dataclasses.replace(
            self.found, tool=reading.verdict, tool_reasons=reading.reasons
        )
        if procedure.status is not None:
            status = self._status(procedure.status, procedure.limit_s)
            self.found = dataclasses.replace(
                self.found, status=status.verdict, status_reasons=status.reasons
            )

    def _tool(self, how: Technique) -> tuple[str, str | None]:
        """Return which program did it and which version it calls itself."""
        if how.name not in PROCEDURES:
            return "imaging-orchestrator", __version__
        name = PROCEDURES[how.name].steps[-1].words[0]
        said = runner(self.site)([name, *VERSION_WORDS[name]], _VERSION_TIMEOUT_S)
        lines = (said.text or said.errors).split("\n")
        return name, self.version or lines[0].strip()[:80] or None

    def _step(self, step: Step) -> Reading:
        clock = self.site.clock
        started = clock.now()
        said = runner(self.site)(step.argv(self.facts.device), step.timeout_s)
        self.timed.append(Timed(said, started, clock.now()))
        return step.read(said, self._expected())

    def _expected(self) -> Expected:
        last = self.timed[-1]
        return Expected(
            device=self.facts.device,
            size_bytes=self.facts.size_bytes or 0,
            serial=self.facts.serial,
            started_at=last.started_at,
            ended_at=last.ended_at,
        )

    def _status(self, step: Step, limit_s: float) -> Reading:
        """Ask until the drive has ended what it does in the background."""
        until = self.site.clock.monotonic() + limit_s
        while (reading := self._step(step)).verdict == "running":
            if self.site.clock.monotonic() > until:
                return Reading("unverified", ("the drive did not end in the time allowed",))
            if self.site.stop.wait(POLL_S):
                raise StoppedError("stopped while the drive goes on sanitizing itself")
        return reading

    def _read_back(self, how: Technique, markers: list[Marker]) -> ReadBack:
        return read_back(
            self.facts.device,
            markers,
            zeros=how.leaves_zeros,
            full=self.facts.kind in MAGNETIC or self.facts.kind in ("loop", "virtual"),
            advance=self._advance("bytes read back"),
        )

    def _advance(self, what: str) -> Any:
        return lambda done, total: self.site.progress.advance(what, done, total)

    def _judged(self, how: Technique, judged: Judgement) -> Sanitization:
        row = self.row
        required = row.required if row.required in ("clear", "purge", "destroy") else None
        rejects = reject_conditions(how, self.facts, self.found, required, judged.method)  # type: ignore[arg-type]
        row.verification, row.method = judged.verification, judged.method
        row.reasons, row.flags = list(judged.reasons), [*judged.flags]
        row.tool, row.tool_version = self._tool(how)
        row.ended_at = self.site.clock.now()
        row.measured = {
            "read_back": dataclasses.asdict(self.found.read_back) if self.found.read_back else None,
            "tool": self.found.tool,
            "status": self.found.status,
            "identity_same": self.found.identity_same,
            "reject_conditions": rejects,
        }
        began = row.started_at or row.ended_at
        before = [Timed(one, self.current.started_at, began) for one in self.facts.transcripts]
        row.evidence = {
            "probe": keep_transcripts(self.site, before),
            "transcript": keep_transcripts(self.site, self.timed),
            "measured": keep_json(self.site, row.measured),
        }
        return row


def _own(done: Overwritten) -> dict[str, Any]:
    if done.is_whole:
        return {"tool": "done", "tool_reasons": ()}
    why = done.problem or "not every byte was written"
    return {"tool": "failed", "tool_reasons": (why,)}


def _outcome(row: Sanitization) -> dict[str, Any]:
    return {
        **body_of(row),
        "verification": row.verification,
        "method": row.method,
        "reasons": json.loads(json.dumps(row.reasons)),
        "flags": json.loads(json.dumps(row.flags)),
        "tool": row.tool,
        "tool_version": row.tool_version,
        "evidence": dict(row.evidence),
    }
