"""What kind of trouble an `OSError` of a disk is, and the error to raise for it.

Knows errno values; whose disk it is, and what its owner can do, is told in words by whoever asks.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Literal, NamedTuple

from orchestrator.errors import CredentialError, EngineError, OrchestratorError, UnreachableError

Kind = Literal["full", "read-only", "broken", "gone", "refused", "in the way"]

_KINDS: dict[int, Kind] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read-only",
    errno.EIO: "broken",
    errno.ENODEV: "gone",
    errno.ENXIO: "gone",
    errno.ENOMEDIUM: "gone",
    errno.ESTALE: "gone",
    errno.ENOTCONN: "gone",
    errno.ESHUTDOWN: "gone",
    errno.EHOSTDOWN: "gone",
    errno.EHOSTUNREACH: "gone",
    errno.ETIMEDOUT: "gone",
    errno.EREMOTEIO: "gone",
    errno.EACCES: "refused",
    errno.EPERM: "refused",
    errno.ELOOP: "in the way",
    errno.ENOTDIR: "in the way",
    errno.EISDIR: "in the way",
    errno.EEXIST: "in the way",
}
_ERRORS: dict[Kind, type[OrchestratorError]] = {
    "gone": UnreachableError,
    "refused": CredentialError,
}


class Words(NamedTuple):
    """What to tell a person about one kind of trouble.

    Attributes:
        says: What happened; ``{reason}`` stands for the system's own word for it.
        hint: What to do.
    """

    says: str
    hint: str


def explain(what: str, error: OSError, words: Mapping[Kind, Words]) -> OrchestratorError:
    """Return the error to raise for a disk's `OSError`; it names no path.

    Args:
        what: Whose disk, and what was being done, as the start of the message.
        error: What the system says.
        words: By kind of trouble; of a kind that is not among them the system's word is given.
    """
    code = error.errno or 0
    reason = os.strerror(code) if code else type(error).__name__
    kind = _KINDS.get(code)
    if kind is None or kind not in words:
        return EngineError(f"{what}: {reason}")
    says, hint = words[kind]
    return _ERRORS.get(kind, EngineError)(f"{what}: {says.format(reason=reason)}", hint=hint)
