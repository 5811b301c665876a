"""Making and opening the site's ledger: which folder, which key, which of several.

A ledger belongs to a key of the keyring, ``ledger-N``; the highest N is the one that is written.
Where the key is and the folder is not, the ledger was lost: it is never silently begun again,
because an auditor could not tell a lost ledger from one that was done away with.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import DamageError, EngineError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orchestrator.keys.keyring import Keyring
    from orchestrator.ledger.log import Log
    from orchestrator.ledger.note import SeedSigner, Verifier
    from orchestrator.ledger.reader import Reader

FOLDER = "ledger"
"""Name of the ledger's folder in the state folder."""

CLOSED = "ledgers-closed"
"""Name of the folder of earlier ledgers, each under its number."""

CHECKPOINT = "checkpoint"

_UNFINISHED = "ledger.unfinished"
_KEY_NAME = re.compile(r"ledger-([1-9][0-9]{0,8})")
_SEED_BYTES = 32


@dataclass
class SiteLedger:
    """The ledger that is written.

    Attributes:
        number: 1 for the site's first.
        folder: Where it is.
        signer: Its key.
        is_compared: It was compared with what is known outside, and may be signed.
    """

    number: int
    folder: Path
    signer: SeedSigner
    is_compared: bool = False

    @property
    def origin(self) -> str:
        """Its name."""
        return self.signer.name

    @property
    def verifier(self) -> Verifier:
        """Its public key."""
        from orchestrator.ledger.note import verifier_of

        return verifier_of(self.signer)

    @cached_property
    def log(self) -> Log:
        """The log, opened for writing.

        Raises:
            DamageError: What is on the disk is not what was signed.
            LockedError: Another process is writing and does not end.
            EngineError: The disk refuses.
        """
        from orchestrator.ledger.log import Log

        return Log.open(self.folder, self.signer)

    def reader(self) -> Reader:
        """Return the ledger as it is now, to be read.

        Raises:
            DamageError: Its checkpoint is missing, or was not signed by its key.
            EngineError: The disk refuses.
        """
        from orchestrator.ledger.reader import Reader, read_checkpoint

        return Reader(self.folder, read_checkpoint(self.folder, [self.verifier]))


def ledger_path(state_dir: Path) -> Path:
    """Return the folder of the ledger that is written."""
    return state_dir / FOLDER


def closed_path(state_dir: Path, number: int) -> Path:
    """Return the folder of a ledger that was closed."""
    return state_dir / CLOSED / str(number)


def newest_number(keyring: Keyring) -> int:
    """Return the number of the newest ledger that the keyring has a key for; 0 for none."""
    found = (_KEY_NAME.fullmatch(one.name) for one in keyring.entries() if one.purpose == "site")
    return max((int(match[1]) for match in found if match), default=0)


def new_origin(practice: str, keyring_id: str, number: int) -> str:
    """Return the name of a site's ledger: two practices of one name differ by their keyrings."""
    from orchestrator.ledger.checkpoint import origin_of

    return origin_of(f"{practice[:48]} {keyring_id[:8]}", number)


def open_ledger(state_dir: Path, keyring: Keyring) -> SiteLedger:
    """Open the site's ledger.

    Raises:
        RefusedError: There is none yet, or it was lost.
        DamageError: Its checkpoint cannot be read, or was not signed by its key.
    """
    number = newest_number(keyring)
    folder = ledger_path(state_dir)
    if number == 0:
        raise (
            _without_key(folder)
            if folder.exists()
            else RefusedError(
                "the site has no ledger yet", hint="orchestrator init DIR, with the site's folder"
            )
        )
    if not (folder / CHECKPOINT).is_file():
        raise _lost(folder)
    signer = _signer(keyring, number, _origin_in(folder))
    return SiteLedger(number, folder, signer)


def make_ledger(state_dir: Path, keyring: Keyring, *, origin: str, now: datetime) -> bool:
    """Make the site's first ledger, unless there is one.

    Args:
        state_dir: The state folder.
        keyring: Gets the ledger's key.
        origin: The ledger's name.
        now: The time of its first entry.

    Returns:
        Whether it was made.

    Raises:
        RefusedError: It was made once, and is gone.
        EngineError: The disk refuses.
    """
    number = newest_number(keyring)
    folder = ledger_path(state_dir)
    if number == 0 and folder.exists():
        raise _without_key(folder)
    if number == 0:
        begin(state_dir, keyring, number=1, origin=origin, now=now)
        return True
    if folder.exists():
        return False
    if not finish(state_dir, keyring, number):
        raise _lost(folder)
    return True


def begin(
    state_dir: Path,
    keyring: Keyring,
    *,
    number: int,
    origin: str,
    now: datetime,
    opening: Mapping[str, Any] | None = None,
    actor: str = "system",
) -> SiteLedger:
    """Make a ledger with its first entry and put it in its place, which must be free.

    Killed at any instant it leaves nothing, or what `finish` completes.

    Args:
        state_dir: The state folder.
        keyring: Gets the ledger's key.
        number: Its number.
        origin: Its name.
        now: The time of its first entry.
        opening: What its first entry says besides its name and key.
        actor: Who opens it.

    Raises:
        RefusedError: The keyring has a key of this number already.
        EngineError: The disk refuses.
    """
    from orchestrator.ledger.log import Log
    from orchestrator.ledger.note import SeedSigner

    seed = os.urandom(_SEED_BYTES)
    signer = SeedSigner(origin, seed)
    part = state_dir / _UNFINISHED
    _clear(part)
    Log.create(part, signer, now=now, actor=actor, opening=opening)
    # The key last: a ledger without one is thrown away, one with it is kept.
    keyring.add_site_secret(f"ledger-{number}", seed)
    if not finish(state_dir, keyring, number):
        raise _lost(ledger_path(state_dir))
    return SiteLedger(number, ledger_path(state_dir), signer)


def finish(state_dir: Path, keyring: Keyring, number: int) -> bool:
    """Put a ledger in its place that a kill left beside it; False if there is none.

    Raises:
        EngineError: The disk refuses.
    """
    from orchestrator.keys.private_file import sync_folder

    part = state_dir / _UNFINISHED
    if not (part / CHECKPOINT).is_file():
        return False
    try:
        _signer(keyring, number, _origin_in(part))
    except DamageError:
        return False
    try:
        part.rename(ledger_path(state_dir))
        sync_folder(state_dir)
    except OSError as error:
        raise EngineError(
            f"the ledger cannot be put into {state_dir}: {(error.strerror or 'error').lower()}"
        ) from None
    return True


def _signer(keyring: Keyring, number: int, origin: str) -> SeedSigner:
    from orchestrator.ledger.note import SeedSigner

    seed = keyring.site_secret(f"ledger-{number}")
    if seed is None:
        raise DamageError(
            f"the keyring has no key of ledger {number}", hint="orchestrator key list"
        )
    return SeedSigner(origin, seed)


def _origin_in(folder: Path) -> str:
    """Return the name a ledger gives itself; opening it proves that its key signed that."""
    from orchestrator.ledger.checkpoint import unverified

    try:
        return unverified((folder / CHECKPOINT).read_bytes()).origin
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it {error}"
        raise DamageError(
            f"the ledger's checkpoint in {folder} cannot be read: {why}",
            hint="orchestrator ledger verify",
        ) from None


def _clear(part: Path) -> None:
    try:
        if part.exists():
            shutil.rmtree(part)
    except OSError as error:
        raise EngineError(
            f"the folder {part} cannot be removed: {(error.strerror or 'error').lower()}"
        ) from None


def _lost(folder: Path) -> RefusedError:
    return RefusedError(
        f"the ledger's folder {folder} is gone, and is not begun again",
        hint="to bring it back: orchestrator catalog rebuild --copy COPY; if no copy has it: "
        "orchestrator --as ACTOR ledger reopen --note TEXT",
    )


def _without_key(folder: Path) -> RefusedError:
    return RefusedError(
        f"there is a ledger in {folder}, and the keyring does not have its key",
        hint="restore the keyring from any copy: it is older than the ledger",
    )
