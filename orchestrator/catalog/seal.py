"""The mark by which a catalog recognises its keys.

With other keys nothing could be decrypted, and every file and study would silently be taken for
a new one. So a catalog is sealed with its keys when it is made, and the seal is tried at opening.
"""

from __future__ import annotations

import base64
import datetime as dt

from sqlmodel import Session

from orchestrator.catalog.bulk import insert_missing
from orchestrator.catalog.encryption import FieldKeys
from orchestrator.catalog.tables import SiteFact
from orchestrator.errors import CredentialError, DamageError

SEAL_PREFIX = "catalog."
"""Facts of this prefix belong to one database and are never carried into another."""

_CIPHER = f"{SEAL_PREFIX}cipher_seal"
_PSEUDONYM = f"{SEAL_PREFIX}pseudonym_seal"
_TEXT = "sealed"


def seal(session: Session, keys: FieldKeys, now: dt.datetime) -> None:
    """Mark a new catalog with its keys; the first of two starters wins."""
    cipher_mark = base64.b64encode(keys.cipher.encrypt(_TEXT.encode(), _CIPHER)).decode("ascii")
    insert_missing(
        session,
        SiteFact,
        [
            {"key": _CIPHER, "value": cipher_mark, "at": now},
            {"key": _PSEUDONYM, "value": keys.pseudonyms.study(_TEXT), "at": now},
        ],
    )


def is_sealed(session: Session, where: str, keys: FieldKeys) -> bool:
    """Say whether the catalog carries a seal, and check that it is that of these keys.

    Raises:
        CredentialError: The catalog was made with other keys.
    """
    cipher_mark = session.get(SiteFact, _CIPHER, populate_existing=True)
    pseudonym_mark = session.get(SiteFact, _PSEUDONYM, populate_existing=True)
    if cipher_mark is None or pseudonym_mark is None:
        return False
    try:
        text = keys.cipher.decrypt(base64.b64decode(cipher_mark.value), _CIPHER)
    except (DamageError, ValueError) as error:
        raise _other_keys(where, "field") from error
    if text != _TEXT.encode():
        raise _other_keys(where, "field")
    if pseudonym_mark.value != keys.pseudonyms.study(_TEXT):
        raise _other_keys(where, "pseudonym")
    return True


def _other_keys(where: str, kind: str) -> CredentialError:
    return CredentialError(
        f"{where} was made with another {kind} key than the keyring's",
        hint="put back the keyring that belongs to this site (recovery kit), then: key check",
    )
