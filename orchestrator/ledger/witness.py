"""A witness: a second machine that remembers a log, and signs only what continues it.

Pure: bytes in, bytes out. What is carried to the witness is one text: the size that
it saw last, a consistency proof and the checkpoint; what comes back is one signature line.

Source: C2SP tlog-witness (the body of ``add-checkpoint``), tlog-cosignature.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.errors import DamageError, RefusedError, UsageError
from orchestrator.ledger import checkpoint as checkpoints
from orchestrator.ledger import note, tree
from orchestrator.ledger.checkpoint import Checkpoint
from orchestrator.ledger.note import COSIGNATURE, Signature, Signer, Verifier
from orchestrator.ledger.reader import Reader

MOST_HASHES = 63
"""Hashes in a consistency proof: more than any tree needs is no proof."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a witness saw a log.

    Attributes:
        origin: The log's name.
        size: Entries of the newest checkpoint it signed; 0 for none.
        root: Its root.
    """

    origin: str
    size: int = 0
    root: bytes = tree.EMPTY_ROOT


def request_for(reader: Reader, seen_size: int) -> bytes:
    """Return what to carry to a witness.

    Args:
        reader: The log as of the checkpoint to be signed.
        seen_size: Entries of the checkpoint that the witness signed last; 0 for none.

    Raises:
        NotFoundError: The log is shorter.
        DamageError: A tile is missing.
    """
    lines = [f"old {seen_size}"]
    lines += [base64.b64encode(one).decode() for one in reader.consistency_proof(seen_size)]
    return "\n".join([*lines, "", ""]).encode() + reader.checkpoint.data


def cosign(
    request: bytes, log: Verifier, seen: Seen, signer: Signer, *, now: datetime
) -> tuple[Signature, Seen]:
    """Sign a checkpoint if it continues what was seen.

    Args:
        request: As `request_for` gives it.
        log: The log's key, which the witness got by another way than this.
        seen: How far it saw this log.
        signer: The witness's key.
        now: The time it signs.

    Returns:
        The signature line, and how far the log was seen now. Keep the latter before handing out
        the former.

    Raises:
        UsageError: The request is malformed, or made for another witness's memory.
        RefusedError: The log is not the one, or does not continue what was seen.
    """
    old, proof, new = _parsed(request, log)
    if new.origin != seen.origin:
        raise RefusedError(f"the checkpoint is of {new.origin}, not of {seen.origin}")
    if old != seen.size:
        raise UsageError(
            f"the request begins at {old} entries; this witness saw {seen.size}",
            hint=f"make it anew: orchestrator ledger anchor --request FILE --seen {seen.size}",
        )
    if new.size < seen.size:
        raise RefusedError(f"the log has {new.size} entries and had {seen.size}: it was put back")
    # Every log continues nothing, and nothing else proves that.
    is_first = seen.size == 0 and not proof
    if not is_first and not tree.proves_consistency(
        old=seen.size, old_root=seen.root, new=new.size, new_root=new.root, proof=proof
    ):
        raise RefusedError(
            f"the log of {new.size} entries does not continue the one of {seen.size} that was seen"
        )
    signature = note.cosign(new.text, signer, timestamp=int(now.timestamp()))
    return signature, Seen(new.origin, new.size, new.root)


def verified_line(
    text: bytes, checkpoint: Checkpoint, witness: Verifier
) -> tuple[Signature, datetime | None]:
    """Return the witness's line of a text, if it is its signature of a checkpoint.

    Args:
        text: One line, or a checkpoint with it.
        checkpoint: What it must sign.
        witness: The witness's key, of kind `note.COSIGNATURE`.

    Raises:
        RefusedError: There is no such line, or its signature is wrong.
    """
    from datetime import UTC

    for line in text.decode("utf-8", "replace").splitlines():
        try:
            found = note.parse(checkpoint.text + b"\n" + line.encode() + b"\n").signatures[0]
        except ValueError:
            continue
        if (found.name, found.key_id) != (witness.name, witness.key_id):
            continue
        if not witness.is_signed(checkpoint.text, found.value):
            break
        at = int.from_bytes(found.value[:8], "big")
        return found, datetime.fromtimestamp(at, UTC) if witness.kind == COSIGNATURE else None
    raise RefusedError(
        f"this is no signature of {witness.name} under the checkpoint of {checkpoint.size} entries",
        hint="the witness signs the checkpoint that the request carried: make a new one",
    )


def verifier_of_witness(signer: Signer) -> Verifier:
    """Return a witness's public key."""
    return Verifier(signer.name, COSIGNATURE, signer.public_key)


def seen_to_json(seen: Sequence[Seen]) -> bytes:
    """Return a witness's memory as it is kept."""
    rows = {one.origin: {"size": one.size, "root": one.root.hex()} for one in seen}
    return json.dumps({"witness": 1, "seen": rows}, indent=1, sort_keys=True).encode() + b"\n"


def seen_from_json(data: bytes) -> dict[str, Seen]:
    """Return a witness's memory.

    Raises:
        DamageError: It is not what `seen_to_json` wrote.
    """
    try:
        body = json.loads(data)
        if body["witness"] != 1:
            raise ValueError("format")
        found = {
            origin: Seen(origin, int(row["size"]), bytes.fromhex(row["root"]))
            for origin, row in body["seen"].items()
        }
        if any(len(one.root) != tree.HASH_SIZE or one.size < 0 for one in found.values()):
            raise ValueError("root")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamageError(
            "the witness's memory is damaged",
            hint="do not begin a new one: restore it, it is what makes a witness",
        ) from None
    return found


def _parsed(request: bytes, log: Verifier) -> tuple[int, list[bytes], Checkpoint]:
    head, _, signed = request.partition(b"\n\n")
    try:
        first, *rest = head.decode("ascii").split("\n")
        word, _, size = first.partition(" ")
        if word != "old" or not size.isdigit() or len(rest) > MOST_HASHES:
            raise ValueError("is no request to a witness")
        proof = [note.strict_base64(one) for one in rest]
        if any(len(one) != tree.HASH_SIZE for one in proof):
            raise ValueError("has a hash of a wrong length")
        return int(size), proof, checkpoints.verify(signed, [log])
    except (ValueError, UnicodeDecodeError) as error:
        raise UsageError(f"the request {error}") from None
