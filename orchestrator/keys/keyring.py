"""The keyring: every key of a site, each wrapped, in one file.

A repository's password is 32 random bytes that nobody sees; so are the site's own keys. Each is
sealed with AES-256-GCM under the key file and bound to the keyring's id, its purpose and its
name, so that no wrap can take another's place. A keyed digest covers the whole file: what is not
secret in it, such as the key ids a repository is known to have, cannot be changed unseen either.

Knows nothing of restic but that a repository has an id and keys have ids.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import (
    CredentialError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from orchestrator.keys.key_file import (
    create_key_file,
    decode_site_key,
    encode_site_key,
    key_file_id,
    read_key_file,
)
from orchestrator.keys.keyring_file import (
    Entry,
    KeyringFile,
    encode,
    seal,
    unseal,
)
from orchestrator.keys.keyring_lock import locked, make_folder, read
from orchestrator.keys.private_file import PrivateFile
from orchestrator.keys.secret import Secret

SECRET_BYTES = 32
SITE_KEYS = ("integrity", "catalog", "pseudonym", "stream")

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ID = re.compile(r"[0-9a-f]{64}")


class Keyring:
    """An open keyring; made by `create` and `open`.

    Several processes may use one keyring at a time: a change reads the file anew under a lock.
    """

    def __init__(self, path: Path, key: bytes, file: KeyringFile) -> None:
        self._path = path
        self._key = key
        self._file = file

    @classmethod
    def create(cls, path: Path, key_file: Path) -> Keyring:
        """Make a keyring with the site's own keys, and its key file.

        Args:
            path: Where; nothing may be there yet.
            key_file: Where the key file is to be; one that is there already is used.

        Raises:
            RefusedError: A keyring is there already.
            CredentialError, DamageError: A file is at `key_file` that cannot be used.
            EngineError: The disk refuses.
        """
        make_folder(path.parent)
        with locked(path):
            if os.path.lexists(path):
                raise RefusedError(
                    f"the keyring {path} exists already and is not overwritten",
                    hint="without it no copy can be opened: move it away only with a recovery kit",
                )
            key = create_key_file(key_file)
            file = KeyringFile(os.urandom(16).hex(), ())
            for name in SITE_KEYS:
                entry = seal(file, Entry("site", name), os.urandom(SECRET_BYTES), key)
                file = file.with_entry(entry)
            keyring = cls(path, key, file)
            keyring._write(file)
        return keyring

    @classmethod
    def open(cls, path: Path, key_file: Path) -> Keyring:
        """Open a keyring with its key file.

        Raises:
            CredentialError: Keyring or key file is missing, may not be read, or they do not
                belong together; or others may read the key file.
            DamageError: Keyring or key file is damaged or was changed.
        """
        return cls._open(path, read_key_file(key_file))

    @classmethod
    def open_with_site_key(cls, path: Path, site_key: Secret) -> Keyring:
        """Open a keyring with the site key that the recovery kit prints.

        Raises:
            CredentialError: As `open`, or the text is no site key.
            DamageError: The keyring is damaged or was changed.
        """
        return cls._open(path, decode_site_key(site_key))

    @classmethod
    def _open(cls, path: Path, key: bytes) -> Keyring:
        return cls(path, key, read(path, key))

    @property
    def id(self) -> str:
        """The keyring's own id, 32 hex digits."""
        return self._file.id

    @property
    def key_file(self) -> str:
        """Public id of the key file that opens it, 16 hex digits."""
        return key_file_id(self._key)

    def add_repository(self, name: str) -> None:
        """Give a new repository a password of 32 random bytes; it is on the disk on return.

        Args:
            name: Lower-case letters, digits and hyphens, at most 63.

        Raises:
            UsageError: The name is not of this form.
            RefusedError: The repository has a password already.
            CredentialError, DamageError: The keyring changed in a way it must not.
            EngineError: The disk refuses.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no repository name")
        with self._changing() as file:
            if file.find("repository", name) is not None:
                raise RefusedError(f"repository {name} has a password already; it is kept")
            secret = os.urandom(SECRET_BYTES)
            entry = seal(file, Entry("repository", name), secret, self._key)
            self._write(file.with_entry(entry))

    def bind(self, name: str, repository_id: str, key_ids: Iterable[str]) -> None:
        """Record which restic repository a password opens, and the key ids known there.

        Args:
            name: Repository name.
            repository_id: Restic's repository id, 64 hex digits.
            key_ids: Every key id that is rightly in the repository, 64 hex digits each.

        Raises:
            NotFoundError: The keyring does not know this repository.
            RefusedError: The name is bound to another repository.
            UsageError: An id is not of this form.
            CredentialError, DamageError, EngineError: As `add_repository`.
        """
        keys = tuple(sorted(set(key_ids)))
        for one in (repository_id, *keys):
            if not _ID.fullmatch(one):
                raise UsageError(f"repository {name}: {one!r} is no full restic id")
        with self._changing() as file:
            entry = file.find("repository", name)
            if entry is None:
                raise _unknown(name)
            if entry.repository_id not in (None, repository_id):
                raise RefusedError(
                    f"repository {name}: the keyring knows another repository of this name",
                    hint="a new repository needs a name of its own",
                )
            bound = replace(entry, repository_id=repository_id, key_ids=keys)
            self._write(file.with_entry(bound))

    def destroy(self, name: str, *, at: datetime) -> None:
        """Take every wrap of a repository's password out of the file; the entry says when.

        The file is written anew and takes the old one's place; the old one's bytes are not
        overwritten on the disk. What was destroyed already stays as it is.

        Args:
            name: Repository name.
            at: The present, aware.

        Raises:
            NotFoundError: The keyring does not know this repository.
            CredentialError, DamageError, EngineError: As `add_repository`.
        """
        with self._changing() as file:
            entry = file.find("repository", name)
            if entry is None:
                raise _unknown(name)
            if entry.destroyed_at is None:
                instant = at.astimezone(UTC).isoformat()
                self._write(file.with_entry(replace(entry, wraps=(), destroyed_at=instant)))
            else:
                self._file = file

    def password(self, name: str) -> Secret:
        """Return a repository's restic password: base64url of its 32 bytes, 43 characters.

        Raises:
            NotFoundError: The keyring does not know this repository.
            CredentialError: The password was destroyed.
            CredentialError, DamageError: The keyring changed in a way it must not.
        """
        entry = self._file.find("repository", name)
        if entry is None:  # Another process may have added it meanwhile.
            self._file = read(self._path, self._key)
            entry = self._file.find("repository", name)
        if entry is None:
            raise _unknown(name)
        secret = unseal(self._file, entry, self._key)
        return Secret(base64.urlsafe_b64encode(secret).decode("ascii").rstrip("="))

    def catalog_key(self) -> bytes:
        """Return the 32-byte key of encrypted catalog columns."""
        return self._site("catalog")

    def pseudonym_key(self) -> bytes:
        """Return the 32-byte key of the keyed hashes that stand for patients and studies."""
        return self._site("pseudonym")

    def stream_key(self) -> bytes:
        """Return the 32-byte key of sealed files."""
        return self._site("stream")

    def add_site_secret(self, name: str, secret: bytes) -> None:
        """Keep one more key of the site's own, such as the one that signs its ledger.

        Args:
            name: Lower-case letters, digits and hyphens, at most 63.
            secret: Any bytes, such as an Ed25519 seed or an encoded private key.

        Raises:
            UsageError: The name is not of this form.
            RefusedError: There is a key of this name already; it is kept.
            CredentialError, DamageError: The keyring changed in a way it must not.
            EngineError: The disk refuses.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name of a key")
        with self._changing() as file:
            if file.find("site", name) is not None:
                raise RefusedError(f"the keyring has a key {name} already; it is kept")
            self._write(file.with_entry(seal(file, Entry("site", name), secret, self._key)))

    def site_secret(self, name: str) -> bytes | None:
        """Return a key that `add_site_secret` has kept; None if there is none of this name.

        Raises:
            CredentialError, DamageError: The keyring changed in a way it must not.
        """
        if self._file.find("site", name) is None:  # Another process may have added it meanwhile.
            self._file = read(self._path, self._key)
        entry = self._file.find("site", name)
        return None if entry is None else unseal(self._file, entry, self._key)

    def site_key(self) -> Secret:
        """Return the key file's bytes in base64, for the recovery kit only."""
        return encode_site_key(self._key)

    def find_repository(self, name: str) -> Entry | None:
        """Return a repository's entry, whatever the site's own keys are named; None for none."""
        return self._file.find("repository", name)

    def entries(self) -> tuple[Entry, ...]:
        """Return every entry, the site's own keys first, then repositories by name."""
        repositories = [one for one in self._file.entries if one.purpose == "repository"]
        own = [one for one in self._file.entries if one.purpose == "site"]
        return (*own, *sorted(repositories, key=lambda one: one.name))

    def _site(self, name: str) -> bytes:
        entry = self._file.find("site", name)
        if entry is None:
            raise _unknown(name)
        return unseal(self._file, entry, self._key)

    @contextmanager
    def _changing(self) -> Iterator[KeyringFile]:
        with locked(self._path):
            file = read(self._path, self._key)
            if file.id != self._file.id:
                raise CredentialError(f"the keyring {self._path} was replaced by another one")
            yield file

    def _write(self, file: KeyringFile) -> None:
        with PrivateFile(self._path) as out:
            out.write(encode(file, self._key))
        self._file = file


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(
        f"the keyring knows no repository {name}", hint="what it knows: orchestrator key list"
    )
