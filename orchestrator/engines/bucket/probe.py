"""The tamper probe: does the bucket hold against the credentials that the nightly run has?

Puts a canary under a short COMPLIANCE lock and tries to destroy it as a thief of the production
credential would, and as the sweeper. Only a refusal by a server that knows the caller counts as
held; a network failure proves nothing. Knows nothing of repositories: it touches its own folder
and two settings of the bucket, which it puts back should the server let them be changed.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from orchestrator.engines.bucket.door import Door
from orchestrator.engines.bucket.faults import REFUSALS, code_of
from orchestrator.engines.bucket.lock import (
    MODE,
    bucket_facts,
    read_retention,
    remove_version,
    retain_until,
)
from orchestrator.engines.bucket.versions import VersionFact, list_versions
from orchestrator.errors import NotFoundError, OrchestratorError, RefusedError

PROBE_FOLDER = ".probe"
CANARY_LOCK = timedelta(minutes=2)
SWEPT_AT_ONCE = 50

Verdict = Literal["held", "breached", "inconclusive"]

# a server may also say that a bucket with Object Lock cannot be in the state asked for
_STATE_REFUSALS = REFUSALS | {"InvalidBucketState"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProbeAttempt:
    """One thing tried.

    Attributes:
        action: What was tried, and as whom.
        expected: What a safe bucket answers.
        observed: What this one answered.
        ok: True: refused as it must be. False: it worked. None: cannot be told.
    """

    action: str
    expected: str
    observed: str
    ok: bool | None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the probe found.

    Attributes:
        verdict: ``held`` only if every attempt was refused and the canary stands unchanged.
        attempts: Everything tried, in order.
        canary: Key of the canary; None if none could be put.
        version_id: Its version; None likewise.
        retain_until: Until when it was locked before the attempts, as read back.
        swept: How many earlier canaries were removed after their lock had ended.
        remaining: How many versions the probe's folder still holds, this canary included.
    """

    verdict: Verdict
    attempts: list[ProbeAttempt]
    canary: str | None
    version_id: str | None
    retain_until: datetime | None
    swept: int
    remaining: int | None


@dataclass(frozen=True, slots=True)
class _Canary:
    """The object that the attempts are made on."""

    key: str
    version_id: str
    body: bytes
    until: datetime | None

    @property
    def version(self) -> dict[str, str]:
        return {"Key": self.key, "VersionId": self.version_id}


@dataclass(slots=True)
class Probe:
    """One run of the probe.

    Attributes:
        writer: The production credential.
        sweeper: The sweeper's credential, if there is one.
        base: Key prefix of the probe's folder, with its slash.
    """

    writer: Door
    sweeper: Door | None
    base: str
    attempts: list[ProbeAttempt] = field(default_factory=list)
    canary: _Canary | None = None

    def run(self) -> ProbeResult:
        """Put the canary, try everything, look whether it stands, and clear old ones away."""
        try:
            self.canary = canary = self._put_canary()
            if canary is not None and canary.until is not None:
                self._try_deletion(canary, self.writer, "writer")
                self._try_on_lock(canary, canary.until)
                self._try_on_bucket()
                if self.sweeper is not None:
                    self._try_deletion(canary, self.sweeper, "sweeper")
                self._look_again(canary)
        except OrchestratorError as error:
            self._note("probe", "an answer", error.message, None)
        swept, remaining = self._sweep_old()
        return ProbeResult(
            verdict=self._verdict(),
            attempts=self.attempts,
            canary=self.canary.key if self.canary else None,
            version_id=self.canary.version_id if self.canary else None,
            retain_until=self.canary.until if self.canary else None,
            swept=swept,
            remaining=remaining,
        )

    def _verdict(self) -> Verdict:
        if any(attempt.ok is False for attempt in self.attempts):
            return "breached"
        if not self.attempts or any(attempt.ok is None for attempt in self.attempts):
            return "inconclusive"
        return "held"

    def _note(self, action: str, expected: str, observed: str, ok: bool | None) -> None:
        self.attempts.append(ProbeAttempt(action, expected, observed, ok))

    # ---- the canary ------------------------------------------------------------------------

    def _put_canary(self) -> _Canary | None:
        """Put it locked; a canary without a lock has no `until`, and no attempts follow."""
        facts = bucket_facts(self.writer)
        action, expected = "writer: put a locked canary", "stored as a locked version"
        if not (facts.exists and facts.versioning and facts.lock_enabled):
            lacking = "no versioning or no Object Lock" if facts.exists else "no such bucket"
            self._note(action, expected, lacking, False if facts.exists else None)
            return None
        now = self.writer.clock.now()
        # the lock lives on the server's clock, which may be ahead of ours
        until = retain_until(max(now, facts.server_time or now), CANARY_LOCK)
        body = secrets.token_hex(32).encode()
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        key = f"{self.base}{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        answer = self.writer.call(
            "put_object",
            action,
            Key=key,
            Body=body,
            ContentMD5=base64.b64encode(md5).decode("ascii"),
            ObjectLockMode=MODE,
            ObjectLockRetainUntilDate=until,
        )
        version_id = str(answer.get("VersionId") or "null")
        held = read_retention(self.writer, key, version_id)
        if held is None or held < until:
            self._note(action, expected, "stored without the lock", False)
            return _Canary(key, version_id, body, None)
        self._note(action, expected, expected, True)
        return _Canary(key, version_id, body, held)

    def _look_again(self, canary: _Canary) -> None:
        """The canary must stand as it was put, whatever the answers said."""
        action, expected = "writer: read the canary back", "same bytes, same lock"
        try:
            pieces = self.writer.stream(
                canary.key, action, version_id=canary.version_id, offset=0, length=None
            )
            same = b"".join(pieces) == canary.body
            until = read_retention(self.writer, canary.key, canary.version_id)
        except NotFoundError:
            self._note(action, expected, "it is gone", False)
            return
        held = same and until == canary.until
        self._note(action, expected, expected if held else "it is not what it was", held)

    # ---- attempts --------------------------------------------------------------------------

    def _attempt(
        self,
        door: Door,
        operation: str,
        action: str,
        arguments: dict[str, Any],
        *,
        refusals: frozenset[str] = REFUSALS,
    ) -> bool:
        """Try something, note the answer, and say whether the server let it happen."""
        try:
            door.call(operation, action, **arguments)
        except OrchestratorError as error:
            code = code_of(error)
            self._note(action, "refused", code or error.message, True if code in refusals else None)
            return False
        self._note(action, "refused", "accepted", False)
        return True

    def _try_deletion(self, canary: _Canary, door: Door, who: str) -> None:
        action = f"{who}: delete the locked version"
        self._attempt(door, "delete_object", action, canary.version)
        bypass = {"BypassGovernanceRetention": True}
        action = f"{action} with governance bypass"
        self._attempt(door, "delete_object", action, canary.version | bypass)

    def _try_on_lock(self, canary: _Canary, until: datetime) -> None:
        sooner = until - CANARY_LOCK / 2
        for words, mode, date in (
            ("shorten the lock", MODE, sooner),
            ("downgrade the lock to GOVERNANCE", "GOVERNANCE", until),
        ):
            retention = {"Retention": {"Mode": mode, "RetainUntilDate": date}}
            for bypass in (False, True):
                action = f"writer: {words}{' with governance bypass' if bypass else ''}"
                arguments: dict[str, Any] = {**canary.version, **retention}
                if bypass:
                    arguments["BypassGovernanceRetention"] = True
                self._attempt(self.writer, "put_object_retention", action, arguments)

    def _try_on_bucket(self) -> None:
        suspended = self._attempt(
            self.writer,
            "put_bucket_versioning",
            "writer: suspend versioning",
            {"VersioningConfiguration": {"Status": "Suspended"}},
            refusals=_STATE_REFUSALS,
        )
        if suspended:
            self._set_versioning("Enabled")
        action = "writer: remove the bucket's lock configuration"
        before = self.writer.call("get_object_lock_configuration", action)
        removed = self._attempt(
            self.writer,
            "put_object_lock_configuration",
            action,
            {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
        )
        if removed:
            self._set_lock(before["ObjectLockConfiguration"])

    def _set_versioning(self, status: str) -> None:
        self.writer.call(
            "put_bucket_versioning",
            "change of the bucket's versioning",
            VersioningConfiguration={"Status": status},
        )

    def _set_lock(self, configuration: dict[str, Any]) -> None:
        self.writer.call(
            "put_object_lock_configuration",
            "change of the bucket's lock configuration",
            ObjectLockConfiguration=configuration,
        )

    # ---- earlier canaries ------------------------------------------------------------------

    def _sweep_old(self) -> tuple[int, int | None]:
        """Remove canaries whose lock has ended; return how many went and how many are left."""
        swept = remaining = 0
        try:
            for version in list_versions(self.writer, self.base):
                if swept < SWEPT_AT_ONCE and self._sweep(version):
                    swept += 1
                else:
                    remaining += 1
        except OrchestratorError as error:
            log.warning("%s; earlier canaries stay", error.message)
            return swept, None
        return swept, remaining

    def _sweep(self, version: VersionFact) -> bool:
        fresh = self.canary is not None and version.version_id == self.canary.version_id
        if self.sweeper is None or fresh:
            return False
        try:
            remove_version(self.sweeper, version, self.sweeper.clock.now())
        except RefusedError:
            return False
        return True
