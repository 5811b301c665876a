"""A new key file: every key of the keyring is wrapped anew, and the old key file opens it no more.

In between every key has both wraps, and either key file opens the keyring: whatever dies on the
way, the site opens, and calling this again takes it to its end. What the old key file opened
before and somebody kept, such as an older keyring, it still opens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.errors import EngineError
from orchestrator.keys.key_file import create_key_file, key_file_id, read_key_file
from orchestrator.keys.keyring_file import Entry, KeyringFile, encode, seal, unseal
from orchestrator.keys.keyring_lock import locked, read
from orchestrator.keys.private_file import PrivateFile, sync_folder

NEXT = ".next"
"""Ending of the new key file's name until it takes the old one's place."""


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What changed: public ids of the key file that opens the keyring now, and of earlier ones."""

    key_file: str
    earlier: tuple[str, ...]


def rewrap(path: Path, key_file: Path) -> Rewrapped:
    """Make a new key file and wrap every key anew; or end what was cut off.

    The old key file's bytes are not overwritten on the disk; its name goes to the new one.

    Args:
        path: The keyring.
        key_file: Its key file.

    Raises:
        CredentialError: Keyring or key file is missing, or they do not belong together.
        DamageError: One of them is damaged.
        EngineError: The disk refuses.
    """
    following = key_file.with_name(key_file.name + NEXT)
    with locked(path):
        key = read_key_file(key_file)
        file = read(path, key)
        others = _others(file, key_file_id(key))
        if following.exists() or not others:
            new = create_key_file(following)
            _write(path, _with(file, key, new), key)
            _take_place(following, key_file)
            others = _others(file, key_file_id(new))
            file, key = read(path, new), new
        _write(path, _only(file, key_file_id(key)), key)
    return Rewrapped(key_file_id(key), others)


def _with(file: KeyringFile, key: bytes, new: bytes) -> KeyringFile:
    """Return the keyring with a wrap under the new key beside each of the old one."""
    wanted = key_file_id(new)
    for entry in file.entries:
        done = entry.destroyed_at is not None or any(w.key_file == wanted for w in entry.wraps)
        if not done:
            file = file.with_entry(seal(file, entry, unseal(file, entry, key), new))
    return file


def _only(file: KeyringFile, key_file: str) -> KeyringFile:
    def kept(entry: Entry) -> Entry:
        return replace(entry, wraps=tuple(w for w in entry.wraps if w.key_file == key_file))

    return replace(file, entries=tuple(map(kept, file.entries)))


def _others(file: KeyringFile, key_file: str) -> tuple[str, ...]:
    found = {wrap.key_file for entry in file.entries for wrap in entry.wraps}
    return tuple(sorted(found - {key_file}))


def _take_place(following: Path, key_file: Path) -> None:
    try:
        following.replace(key_file)
        sync_folder(key_file.parent)
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise EngineError(f"the key file {key_file} cannot be replaced: {why}") from error


def _write(path: Path, file: KeyringFile, key: bytes) -> None:
    with PrivateFile(path) as out:
        out.write(encode(file, key))
