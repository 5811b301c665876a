"""The witness's side: a small machine with a key, a memory, and no site."""

from __future__ import annotations

import fcntl
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError, UsageError

if TYPE_CHECKING:
    from orchestrator.ledger.note import SeedSigner

SEED = "witness.seed"
MEMORY = "witness.json"

_SEED_BYTES = 32
_LARGEST = 1 << 17


def make_witness(folder: Path, name: str) -> str:
    """Make a witness's key and empty memory, unless they are there; returns its public key.

    Args:
        folder: Where; made with mode 0700.
        name: The key's name, such as ``witness.example``.

    Raises:
        UsageError: The name may not be a key's, or the witness has another one.
        EngineError: The disk refuses.
    """
    from orchestrator.keys.private_file import PrivateFile
    from orchestrator.ledger.note import SeedSigner
    from orchestrator.ledger.witness import seen_to_json, verifier_of_witness

    seed_file = folder / SEED
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not seed_file.exists():
            SeedSigner(name, bytes(_SEED_BYTES))  # refuses a name that cannot be one
            with PrivateFile(folder / MEMORY) as out:
                out.write(seen_to_json([]))
            with PrivateFile(seed_file) as out:
                out.write(name.encode() + b"\n" + os.urandom(_SEED_BYTES).hex().encode() + b"\n")
    except ValueError as error:
        raise UsageError(f"{name!r} {error}") from None
    except OSError as error:
        raise _failed(folder, error) from None
    signer = _signer(folder)
    if signer.name != name:
        raise UsageError(f"the witness in {folder} is called {signer.name}, not {name}")
    return verifier_of_witness(signer).vkey


def witness(folder: Path, request: Path, *, vkey: str, now: datetime) -> bytes:
    """Sign what a request carries, if it continues what was seen; returns the signature line.

    Args:
        folder: The witness's.
        request: As ``ledger anchor --request`` writes it.
        vkey: The ledger's public key, got another way than with the request.
        now: The present.

    Raises:
        RefusedError: The ledger does not continue what was seen.
        UsageError: The request or the key is malformed, or there is no witness in the folder.
        DamageError: The memory is damaged.
        EngineError: The disk refuses.
    """
    from orchestrator.keys.private_file import PrivateFile
    from orchestrator.ledger.note import parse_vkey
    from orchestrator.ledger.witness import Seen, cosign, seen_from_json, seen_to_json

    signer = _signer(folder)
    try:
        log = parse_vkey(vkey)
        with request.open("rb") as stream:
            data = stream.read(_LARGEST)
    except ValueError as error:
        raise UsageError(f"the ledger's key {error}") from None
    except OSError as error:
        raise UsageError(f"{request} cannot be read: {error.strerror}") from None
    descriptor = os.open(folder / SEED, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            known = seen_from_json((folder / MEMORY).read_bytes())
        except OSError as error:
            raise _failed(folder, error) from None
        before = known.get(log.name, Seen(log.name))
        signature, after = cosign(data, log, before, signer, now=now)
        known[log.name] = after
        # Remembered before it is signed for: a witness that forgets would sign a fork.
        with PrivateFile(folder / MEMORY) as out:
            out.write(seen_to_json(list(known.values())))
    finally:
        os.close(descriptor)
    return signature.line


def _signer(folder: Path) -> SeedSigner:
    from orchestrator.ledger.note import SeedSigner

    try:
        name, seed = (folder / SEED).read_text(encoding="utf-8").splitlines()
        return SeedSigner(name, bytes.fromhex(seed))
    except FileNotFoundError:
        raise UsageError(
            f"there is no witness in {folder}",
            hint="orchestrator ledger witness FOLDER --new NAME",
        ) from None
    except OSError as error:
        raise _failed(folder, error) from None
    except ValueError:
        raise UsageError(f"the key of the witness in {folder} is damaged") from None


def _failed(folder: Path, error: OSError) -> EngineError:
    why = (error.strerror or "unknown error").lower()
    return EngineError(f"the witness's folder {folder} cannot be used: {why}")
