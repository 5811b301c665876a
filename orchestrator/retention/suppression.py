"""The suppression list as a file: which disposed studies every restore must leave out. Pure.

It is kept in three places outside the catalog (the state beside the images, the recovery kit, the
buckets), so that it survives the loss of the site. Each change gives it a higher number, and the
highest one found is the one that holds: a study whose disposal was called off is not lost by an
old list. Studies are keyed pseudonyms; the list is sealed with the pseudonyms' key, so that nobody
without it can suppress a study that is kept.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

FORMAT = 1
FILE_NAME = "suppressed.json"
LARGEST_BYTES = 1 << 28

_NO_JSON = json.JSONDecodeError
_LABEL = b"imaging-orchestrator suppression list 1\0"


@dataclass(frozen=True, slots=True, order=True)
class Suppressed:
    """One disposed study.

    Attributes:
        store: Store name.
        study: Pseudonym of the study.
        since: When its disposal began; aware.
    """

    store: str
    study: str
    since: datetime


@dataclass(frozen=True, slots=True)
class SuppressionList:
    """A list as it was made.

    Attributes:
        number: Higher for every later list of the site; 0 for one that was never changed.
        studies: In order.
    """

    number: int = 0
    studies: tuple[Suppressed, ...] = ()


def encode(number: int, studies: Iterable[Suppressed], *, keyring: str, key: bytes) -> bytes:
    """Return the list as a file; the same studies give the same bytes.

    Args:
        number: The list's number, 0 or more.
        studies: In any order.
        keyring: Id of the keyring that holds the key.
        key: The key of the pseudonyms.
    """
    listed = [[one.store, one.study, one.since.isoformat()] for one in sorted(studies)]
    body = {"suppression": FORMAT, "keyring": keyring, "number": number, "studies": listed}
    return _line({**body, "seal": _seal(body, key)})


def decode(data: bytes, *, keyring: str, key: bytes) -> SuppressionList:
    """Read a list.

    Raises:
        ValueError: It is no such list, another site's, or was changed.
    """
    try:
        body = json.loads(data)
        seal = body.pop("seal")
        if body["suppression"] != FORMAT:
            raise ValueError(f"a suppression list of format {body['suppression']!r} is not known")
        if body["keyring"] != keyring:
            raise ValueError("the suppression list is another site's")
    except (KeyError, TypeError, AttributeError, RecursionError, _NO_JSON, UnicodeError):
        raise ValueError("not a suppression list, or cut short") from None
    if not hmac.compare_digest(str(seal).encode(), _seal(body, key).encode()):
        raise ValueError("the suppression list was changed by somebody without its key")
    studies = (
        Suppressed(str(store), str(study), datetime.fromisoformat(since))
        for store, study, since in body["studies"]
    )
    return SuppressionList(int(body["number"]), tuple(sorted(studies)))


def _seal(body: dict[str, Any], key: bytes) -> str:
    return hmac.digest(key, _LABEL + _line(body), "sha256").hex()


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode() + b"\n"
