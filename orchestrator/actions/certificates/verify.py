"""Checking a certificate's file: signature, attached record, proof, and what the ledger says.

The ledger decides: a certificate counts while an entry names the hash of its PDF and no later one
revokes it. Every check is told, and what could not be checked is never good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.actions.certificates import files as places
from orchestrator.actions.certificates import proof as certificate_proof
from orchestrator.actions.certificates.book import find
from orchestrator.actions.ledger import outside
from orchestrator.actions.ledger.record import Event
from orchestrator.actions.site import Site
from orchestrator.errors import DamageError, OrchestratorError

if TYPE_CHECKING:
    from orchestrator.certificates.checking import Opened
    from orchestrator.ledger.reader import Reader

State = Literal["ok", "fail", "unknown"]
Verdict = Literal["valid", "revoked", "invalid", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: Such as ``signature``.
        state: ``unknown`` where it could not be looked at.
        detail: What was found, in a sentence.
    """

    name: str
    state: State
    detail: str


@dataclass(slots=True)
class Checked:
    """What is known of a certificate's file.

    Attributes:
        verdict: ``valid`` only if every check is ok.
        number: As its record says; None if that cannot be read.
        kind: As its record says.
        checks: In the order in which they were made.
    """

    verdict: Verdict = "unknown"
    number: str | None = None
    kind: str | None = None
    checks: list[Check] = field(default_factory=list)

    def add(self, name: str, ok: bool | None, detail: str) -> bool:
        """Note a check; returns whether it is ok."""
        state: State = "unknown" if ok is None else "ok" if ok else "fail"
        self.checks.append(Check(name, state, detail))
        return bool(ok)


def verify(site: Site, file: Path, *, signer: Path | None = None) -> Checked:
    """Check a certificate's PDF against this site's ledger.

    Args:
        site: The site that issued it.
        file: The PDF.
        signer: PEM certificate of the signer to be trusted; None trusts whom the ledger names.

    Raises:
        NotFoundError, EngineError: A file cannot be read.
    """
    from orchestrator.certificates.encoding import digest

    pdf = places.read(file, "the file")
    given = None if signer is None else places.read(signer, "the signer's certificate")
    result = Checked()
    opened = _open(result, pdf, site, given)
    if opened is None:
        result.verdict = "invalid"
        return result
    proved = _attachments(result, opened, site)
    revoked = None
    if proved is not None:
        revoked = _ledger(site, result, proved, digest(pdf), opened.signature.signer)
    _signature(
        result,
        opened,
        is_known=True if given is not None else _state_of(result, "issued"),
        is_stamper_known=site.config.certificates.timestamp_ca is not None,
    )
    states = {check.state for check in result.checks}
    if "fail" in states:
        result.verdict = "revoked" if revoked and _only_revoked(result) else "invalid"
    elif "unknown" not in states and proved is not None:
        result.verdict = "valid"
    return result


def _state_of(result: Checked, name: str) -> bool | None:
    """Say whether a check went well; None if it was not made, or nothing could be seen."""
    found = {one.name: one.state for one in result.checks}
    return {"ok": True, "fail": False}.get(found.get(name, "unknown"))


def _only_revoked(result: Checked) -> bool:
    return all(one.state == "ok" for one in result.checks if one.name != "in force")


def _open(result: Checked, pdf: bytes, site: Site, given: bytes | None) -> Opened | None:
    from orchestrator.certificates import checking

    stampers: list[bytes] = []
    authority = site.config.certificates.timestamp_ca
    if authority is not None:
        stampers.append(places.read(authority, "the file of certificates.timestamp_ca"))
    try:
        # Without one given, the ledger says below whose signature it must be.
        trusted = given or checking.signer_certificate(pdf)
        return checking.open_pdf(pdf, [trusted], stampers)
    except DamageError as error:
        result.add("signature", False, error.message)
        return None


def _signature(
    result: Checked, opened: Opened, *, is_known: bool | None, is_stamper_known: bool
) -> None:
    found = opened.signature
    result.add("signature", found.intact, "the signed bytes are unchanged" if found.intact else
               "the file was changed after it was signed")  # fmt: skip
    result.add("coverage", found.whole, "the signature covers the whole file" if found.whole else
               "the signature does not cover the whole file")  # fmt: skip
    whom = f"signed by {found.signer_name}, certificate SHA-256 {found.signer}"
    if is_known is None:
        whom = f"whose it must be could not be looked up in the ledger: {whom}"
    elif not is_known:
        whom = f"nobody vouches for the signer: {whom}"
    elif not found.trusted:
        whom = f"not the signer that is trusted: {whom}"
    if found.stamp_sound is not None and not is_stamper_known:
        whom += "; its timestamp is not looked at: certificates.timestamp_ca is not set"
    result.add("signer", found.trusted and is_known if is_known is not None else None, whom)
    if found.stamp_sound is not None and is_stamper_known:
        result.add("timestamp", found.stamp_sound, f"stamped {found.stamped_at}")


@dataclass(frozen=True, slots=True)
class _Proved:
    """A record whose entry stands in the ledger."""

    number: str
    kind: str
    record_sha256: str
    index: int
    size: int
    reader: Reader


def _attachments(result: Checked, opened: Opened, site: Site) -> _Proved | None:
    from orchestrator.certificates import encoding, schema
    from orchestrator.ledger import entry as entries

    files = opened.files
    missing = [name for name in ("record.json", "entry.json", "entry.tlog-proof")
               if name not in files]  # fmt: skip
    if missing:
        result.add("record", False, f"nothing is attached under the name {missing[0]}")
        return None
    try:
        record = encoding.decode(files["record.json"])
        faults = schema.faults(record)
    except OrchestratorError as error:
        result.add("record", False, error.message)
        return None
    if not result.add("record", not faults, faults[0] if faults else "the record is well formed"):
        return None
    result.number, result.kind = record["number"], record["kind"]
    sha256 = encoding.digest(files["record.json"])
    try:
        entry = entries.parse(files["entry.json"])
        reader, known = certificate_proof.log_of(site, record["log"])
        proof = certificate_proof.parse(files["entry.tlog-proof"])
        size = certificate_proof.check(proof, files["entry.json"], known, record["log"])
    except ValueError as error:
        result.add("proof", False, f"the attached proof does not hold: it {error}")
        return None
    except OrchestratorError as error:
        result.add("proof", None, error.message)
        return None
    same = _names(entry, record, sha256)
    if not result.add("proof", same, f"entry {proof.index} of {size} names the record's hash"
                      if same else "the attached entry is not about this record"):  # fmt: skip
        return None
    return _Proved(record["number"], record["kind"], sha256, proof.index, size, reader)


def _names(entry: Any, record: dict[str, Any], sha256: str) -> bool:
    return bool(
        entry.type == "certificate.recorded"
        and entry.body.get("number") == record["number"]
        and entry.body.get("kind") == record["kind"]
        and entry.evidence.get("record") == f"sha256:{sha256}"
    )


def _ledger(site: Site, result: Checked, proved: _Proved, pdf_sha256: str, signer: str) -> bool:
    """Compare with the ledger; returns whether the certificate was revoked."""
    body = {"number": proved.number, "kind": proved.kind}
    evidence = {"record": proved.record_sha256, "pdf": pdf_sha256}
    here = proved.reader.checkpoint.size
    if here < proved.size:
        # What its key signed once is known here no more: that says nothing against the certificate.
        result.add("ledger", None, f"the ledger has {here} entries here and had {proved.size} when "
                   "this was issued: it was put back; next: orchestrator ledger fetch")  # fmt: skip
        return False
    try:
        recorded = find(
            proved.reader,
            Event("certificate.recorded", body, evidence={"record": proved.record_sha256}),
            since=proved.index,
        )
        stands = recorded == proved.index
        result.add("ledger", stands, f"entry {proved.index} stands in the ledger"
                   if stands else "the ledger has no such entry")  # fmt: skip
        named = {**body, "recorded": proved.index, "signer": f"sha256:{signer}"}
        issued = find(
            proved.reader, Event("certificate.issued", named, evidence=evidence), since=proved.index
        )
        stands = issued is not None
        result.add("issued", stands, f"entry {issued} names this file and its signer"
                   if stands else "the ledger does not name this file's hash")  # fmt: skip
        revoked = find(proved.reader, Event("certificate.revoked", body), since=proved.index)
        if revoked is None:
            revoked = _revoked_later(site, proved, body)
        result.add("in force", revoked is None, "not revoked"
                   if revoked is None else f"revoked by entry {revoked}")  # fmt: skip
    except OrchestratorError as error:
        result.add("in force", None, error.message)
        return False
    return revoked is not None


def _revoked_later(site: Site, proved: _Proved, body: dict[str, Any]) -> int | None:
    """Look for a revocation in the ledgers after the certificate's own.

    Raises:
        RefusedError: The ledger was put back: it may lack the entry that revokes it.
        OrchestratorError: A ledger cannot be read.
    """
    outside.demand_uncontradicted(site, site.ledger.reader())
    event = Event("certificate.revoked", body, evidence={"record": proved.record_sha256})
    for reader in certificate_proof.logs_after(site, proved.reader.checkpoint.origin):
        found = find(reader, event, since=0)
        if found is not None:
            return found
    return None


def failures(checks: Sequence[Check]) -> list[str]:
    """Return in words what was not ok."""
    return [f"{one.name}: {one.detail}" for one in checks if one.state != "ok"]
