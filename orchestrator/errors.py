"""Every error of the product and its exit code.

    OrchestratorError            1  failed
    ├── ConfigError              2  a file people write is wrong; every fault at once
    ├── UsageError               2  the command makes no sense as typed
    ├── StoreUnavailableError    1  the store is not really there (guards)
    ├── EngineError              1  a program or server we rely on failed
    │   ├── EngineTimeoutError   1  … did not answer in time
    │   └── UnreachableError     1  … could not be reached at all
    ├── AbsentCopyError          1  a copy is not there just now; a medium may be by design
    ├── DamageError              4  bytes are not what they must be
    ├── RefusedError             5  hold, not adopted, not approved, role, last copy, lock
    ├── NotFoundError           10  no such repository or store
    ├── LockedError             11  another run holds the lock
    ├── CredentialError         12  wrong password, no key, access refused
    └── StoppedError           130  asked to stop

A message says what failed, on which store, copy or study, and why; the hint is the next
command. Never a secret, an argv or a patient's identity in either: studies appear by pseudonym.
Only ``cli`` turns an error into text and an exit code; nobody below it prints or exits.
"""

from __future__ import annotations

EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "failed",
    2: "usage or configuration",
    3: "partly done, see the report",
    4: "damage found",
    5: "refused (hold, not adopted, not approved, role, last copy, lock)",
    10: "no such repository or store",
    11: "locked by another run",
    12: "credentials",
    130: "interrupted",
}


class OrchestratorError(Exception):
    """Root of all errors that a person is meant to read.

    Args:
        message: What failed, on which store/copy/study, and why.
        hint: The next command or edit to try, if there is one.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(OrchestratorError):
    """A file people write is wrong.

    Args:
        faults: Every fault found, each as ``file: key: what is wrong``; at least one.
        hint: The next command or edit to try.
    """

    exit_code = 2

    def __init__(self, faults: list[str], *, hint: str | None = None) -> None:
        super().__init__("\n".join(faults), hint=hint)
        self.faults = faults


class UsageError(OrchestratorError):
    """The command makes no sense as typed."""

    exit_code = 2


class StoreUnavailableError(OrchestratorError):
    """A guard says that the store is not really there; nothing was changed."""


class EngineError(OrchestratorError):
    """A program or server we rely on failed."""


class EngineTimeoutError(EngineError):
    """A program or server did not answer in time."""


class UnreachableError(EngineError):
    """A server or medium could not be reached at all."""


class AbsentCopyError(OrchestratorError):
    """A copy is not there just now: a fact to be recorded, not always a failure."""


class DamageError(OrchestratorError):
    """Stored bytes are not what they must be."""

    exit_code = 4


class RefusedError(OrchestratorError):
    """The product refuses: hold, role, missing approval, last copy, or a lock."""

    exit_code = 5


class NotFoundError(OrchestratorError):
    """No such repository, store, copy, snapshot or medium."""

    exit_code = 10


class LockedError(OrchestratorError):
    """Another run holds the lock."""

    exit_code = 11


class CredentialError(OrchestratorError):
    """Wrong password, missing key, or access refused."""

    exit_code = 12


class StoppedError(OrchestratorError):
    """The run was asked to stop (SIGINT, SIGTERM)."""

    exit_code = 130
