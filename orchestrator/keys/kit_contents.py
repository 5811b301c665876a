"""What a recovery kit says, and its machine-readable block.

Pure. The block's form is documented in ``docs/keys.md`` and may only grow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.keys.secret import Secret

FORMAT = 1
BEGIN = "-----BEGIN RECOVERY KIT-----"
END = "-----END RECOVERY KIT-----"


@dataclass(frozen=True, slots=True)
class KitRepository:
    """One repository.

    Attributes:
        name: Its name.
        store: The store whose images it holds.
        repository_id: Restic's id, 64 hex digits; None before it was made.
        password: What restic asks for.
        config_sha256: SHA-256 of the file ``config`` in hex, the one file whose name does not
            say it; None before it was made.
    """

    name: str
    store: str
    repository_id: str | None
    password: Secret
    config_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class KitCopy:
    """One copy.

    Attributes:
        name: Its name.
        role: ``local``, ``offline`` or ``immutable``.
        reach: How a person gets at it, in a sentence or two: which disk, which media and where
            they are kept, which provider.
        locations: For each repository's name what restic's ``-r`` takes: a folder or a URL
            such as ``s3:https://host/bucket/prefix/name``.
        region: Region of the object server; None for folders.
        ca_certificate: PEM text of the server's own authority; None if the system knows it.
    """

    name: str
    role: str
    reach: str
    locations: Mapping[str, str]
    region: str | None = None
    ca_certificate: str | None = None


@dataclass(frozen=True, slots=True)
class KitContents:
    """What a kit says.

    Attributes:
        site: The practice's name.
        made_at: When the kit was made, aware UTC.
        version: The product's version.
        keyring_id: Id of the keyring that the site key opens.
        site_key: Base64 of the key file's 32 bytes.
        repositories: Every repository.
        copies: Every copy.
        ledger_key: Public key of the ledger, to tell a genuine export; None if there is none.
    """

    site: str
    made_at: datetime
    version: str
    keyring_id: str
    site_key: Secret
    repositories: tuple[KitRepository, ...]
    copies: tuple[KitCopy, ...]
    ledger_key: str | None = None


def block(contents: KitContents, *, indent: int | None = None) -> str:
    """Return the kit as JSON with its checksum; without `indent` as short as it can be.

    The short form is plain ASCII: readers of QR codes guess at anything else.
    """
    body = body_of(contents)
    body["checksum"] = checksum(contents)
    separators = (",", ":") if indent is None else None
    return json.dumps(body, indent=indent, separators=separators, ensure_ascii=indent is None)


def checksum(contents: KitContents) -> str:
    """Return 16 hex digits that change with any character of the kit that matters."""
    return checksum_of(body_of(contents))


def check_word(secret: Secret) -> str:
    """Return 4 hex digits by which a retyped secret can be checked by eye.

    They tell a guesser nothing of use: the secret is 256 random bits.
    """
    return hashlib.sha256(secret.reveal().encode()).hexdigest()[:4]


def checksum_of(body: Mapping[str, Any]) -> str:
    """Return the checksum of a block that holds none."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def body_of(contents: KitContents) -> dict[str, Any]:
    """Return the block without its checksum."""
    body: dict[str, Any] = {
        "kit": FORMAT,
        "site": contents.site,
        "made_at": contents.made_at.isoformat(),
        "version": contents.version,
        "keyring": contents.keyring_id,
        "site_key": contents.site_key.reveal(),
        "site_key_check": check_word(contents.site_key),
        "repositories": [
            {
                "name": one.name,
                "store": one.store,
                "id": one.repository_id,
                "password": one.password.reveal(),
                "check": check_word(one.password),
                "config_sha256": one.config_sha256,
            }
            for one in contents.repositories
        ],
        "copies": [
            {
                "name": copy.name,
                "role": copy.role,
                "reach": copy.reach,
                "locations": dict(copy.locations),
                "region": copy.region,
                "ca": copy.ca_certificate,
            }
            for copy in contents.copies
        ],
    }
    if contents.ledger_key is not None:
        body["ledger_key"] = contents.ledger_key
    return body
