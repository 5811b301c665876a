"""Others who vouch for a checkpoint: a time-stamping authority and a witness."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.ledger.anchored import TIMESTAMP, WITNESS, Anchored, keep_anchor
from orchestrator.actions.ledger.opening import closed_path, ledger_path
from orchestrator.actions.run import run
from orchestrator.actions.site import Site
from orchestrator.errors import NotFoundError, OrchestratorError, RefusedError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from orchestrator.ledger.checkpoint import Checkpoint
    from orchestrator.ledger.reader import Reader

STAMPS = "ledger-timestamps"
"""Name of the folder of raw replies in the state folder: ``N/SIZE.tsr``."""


def stamp_path(site: Site, number: int, size: int) -> Path:
    """Return where the authority's reply about a checkpoint is kept."""
    return site.state_dir / STAMPS / str(number) / f"{size}.tsr"


def stamp(site: Site, reader: Reader) -> Anchored | None:
    """Let the configured authority stamp a checkpoint; None if there is none.

    What is stamped is the checkpoint's signed text without its signature lines, so that a
    witness's line that is added later changes nothing.

    Args:
        site: The site.
        reader: The ledger as of the checkpoint.
    """
    from orchestrator.engines.timestamping import request_timestamp
    from orchestrator.keys.private_file import PrivateFile

    wanted = site.config.ledger
    if wanted.timestamp_url is None or wanted.timestamp_ca is None:
        return None
    result = Anchored(TIMESTAMP, wanted.timestamp_url)
    path = stamp_path(site, site.ledger.number, reader.checkpoint.size)
    try:
        site.progress.step("timestamp")
        made = request_timestamp(
            reader.checkpoint.text, url=wanted.timestamp_url, authority=wanted.timestamp_ca
        )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with PrivateFile(path) as out:
            out.write(made.reply)
    except OrchestratorError as error:
        result.detail = error.message
        return result
    detail: dict[str, object] = {"at": made.at.isoformat()}
    keep_anchor(site, reader, TIMESTAMP, wanted.timestamp_url, detail=detail)
    result.state, result.files = "anchored", 1
    return result


def stamped_at(site: Site, number: int, checkpoint: Checkpoint) -> datetime | None:
    """Return the time that the kept reply about a checkpoint vouches for; None if none is kept.

    Raises:
        OrchestratorError: It does not belong to the checkpoint, or is not the authority's.
    """
    from orchestrator.engines.timestamping import verify_timestamp

    path = stamp_path(site, number, checkpoint.size)
    authority = site.config.ledger.timestamp_ca
    if authority is None or not path.is_file():
        return None
    return verify_timestamp(path.read_bytes(), checkpoint.text, authority=authority)


def write_request(site: Site, to: Path, *, seen: int) -> Checkpoint:
    """Write what is to be carried to the witness.

    Args:
        site: The site.
        to: The file; it must not exist.
        seen: Entries of the checkpoint that the witness signed last; 0 for none.

    Raises:
        UsageError: The file exists or cannot be written.
        NotFoundError: The ledger is shorter than what the witness saw.
    """
    from orchestrator.ledger.witness import request_for

    reader = site.ledger.reader()
    if not 0 <= seen <= reader.checkpoint.size:
        raise NotFoundError(
            f"the ledger has {reader.checkpoint.size} entries: the witness cannot have seen {seen}",
            hint="orchestrator ledger verify",
        )
    new_file(to, request_for(reader, seen))
    return reader.checkpoint


def attach_cosignature(site: Site, file: Path) -> Anchored:
    """Attach the witness's signature line to the checkpoint that it signed.

    Args:
        site: The site.
        file: The line, as ``ledger witness`` prints it.

    Raises:
        UsageError: No witness is configured, or the file cannot be read.
        RefusedError: It is no signature of the witness under any kept checkpoint.
        OrchestratorError: The ledger cannot be written.
    """
    from orchestrator.ledger.note import parse_vkey
    from orchestrator.ledger.reader import Reader
    from orchestrator.ledger.witness import verified_line

    if site.config.ledger.witness is None:
        raise UsageError(
            "no witness is named", hint='witness = "VKEY" in [ledger] of the site file'
        )
    try:
        witness = parse_vkey(site.config.ledger.witness)
        text = file.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"the cosignature cannot be read: {error}") from None
    ledger = site.ledger
    with run(site, "ledger-cosign"):
        for checkpoint in _newest_first(site):
            try:
                signature, at = verified_line(text, checkpoint, witness)
            except RefusedError:
                continue
            ledger.log.attach(checkpoint.size, [signature])
            detail: dict[str, object] = {"at": None if at is None else at.isoformat()}
            reader = Reader(ledger.folder, checkpoint)
            keep_anchor(site, reader, WITNESS, witness.name, detail=detail)
            return Anchored(WITNESS, witness.name, "anchored", files=1)
        raise RefusedError(
            f"this is no signature of {witness.name} under any checkpoint of the ledger",
            hint="orchestrator ledger anchor --request FILE, then ledger witness there",
        )


def new_file(path: Path, data: bytes) -> None:
    """Write a file for a person; nothing is overwritten.

    Raises:
        UsageError: It exists, or cannot be written.
    """
    try:
        with path.open("xb") as out:
            out.write(data)
    except FileExistsError:
        raise UsageError(f"{path} exists already", hint="choose another name") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _newest_first(site: Site) -> list[Checkpoint]:
    """Return the kept checkpoints, at most the last thousand: a witness signs recent ones."""
    from orchestrator.ledger import checkpoint as checkpoints
    from orchestrator.ledger.export import checkpoint_path, kept_sizes

    ledger = site.ledger
    found = []
    for size in reversed(kept_sizes(ledger.folder)[-1000:]):
        data = (ledger.folder / checkpoint_path(size)).read_bytes()
        try:
            found.append(checkpoints.verify(data, [ledger.verifier]))
        except ValueError:
            continue
    return found


def folder_of(site: Site, number: int) -> Path:
    """Return the folder of one of the site's ledgers."""
    if number == site.ledger.number:
        return ledger_path(site.state_dir)
    return closed_path(site.state_dir, number)
