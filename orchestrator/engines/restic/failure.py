"""What a failed restic means, as our errors, without a path in them.

Pure. restic's own words are used only as far as they are plain words: file names, paths and
stack traces never get into an error of ours.

Source: restic's documentation, "Scripting", exit codes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from orchestrator.engines.restic.messages import (
    Doc,
    decode,
    error_text,
    file_problem,
    log_unknown,
    message_type,
)
from orchestrator.engines.restic.values import FileProblem
from orchestrator.errors import (
    CredentialError,
    DamageError,
    EngineError,
    LockedError,
    NotFoundError,
    OrchestratorError,
    RefusedError,
    StoppedError,
    UnreachableError,
)

PARTIAL = 3
LOCKED = 11

_PROBLEMS_KEPT = 1000
_WORDS_LIMIT = 160
_PLAIN_WORD = re.compile(r"[(\[]?[A-Za-z0-9][A-Za-z0-9'-]*[)\]]?[.,:;!]?")

_HEAL = "run `orchestrator check` to learn which files, and heal them from another copy"
_DAMAGE = (
    "ciphertext verification failed",
    "trying to decrypt invalid data",
    "config file has size 0",
    "config file has zero size",
    "slice bounds out of range",  # 0.19 panics over a config of less than 16 bytes
    "is damaged",
    "invalid data returned",
    "invalid data length",
    "does not match id",
    "has wrong length",
    "hash mismatch",
    "hash does not match",
    "not found in index",
    "not found in repository",
    "blob not found",
    "unexpected eof",
    "file does not contain enough data",
    "pack header",
    "invalid header length",
    "unable to load index",
    "failed to load index",
    "tree is damaged",
    "readfull(<data/",
)
_UNREACHABLE = (
    "connection refused",
    "connection reset",
    "no such host",
    "i/o timeout",
    "stale file handle",
    "stale nfs file handle",
    "transport endpoint is not connected",
    "dial unix",
    "dial tcp",
    "input/output error",
    "no such device",
)
_CAUSES: tuple[tuple[str, type[OrchestratorError], str, str | None], ...] = (
    (
        "no space left on device",
        EngineError,
        "no space is left on the disk",
        "free some space, then run it again",
    ),
    ("disk quota exceeded", EngineError, "the disk quota is used up", None),
    ("read-only file system", EngineError, "the file system is read-only", None),
    ("permission denied", EngineError, "the file system denies access", None),
    ("config file already exists", RefusedError, "there is a repository already", None),
    *((text, UnreachableError, "the repository cannot be reached", None) for text in _UNREACHABLE),
    *((text, DamageError, "the repository is damaged", _HEAL) for text in _DAMAGE),
    ("not found in snapshot", NotFoundError, "the snapshot has no such file", None),
    ("failed to find snapshot", NotFoundError, "there is no such snapshot", None),
    ("failed to load snapshot", NotFoundError, "there is no such snapshot", None),
    ("no matching id found", NotFoundError, "there is no such snapshot", None),
)
"""What a text in restic's words means; the first that fits wins."""


@dataclass(slots=True)
class Complaints:
    """Gathers what restic writes to standard error, line by line.

    Attributes:
        final: restic's closing words; empty if it had none.
        problems: The first 1,000 files it could not take.
        problems_total: How many there were.
        seen: Positions in `_CAUSES` of what was recognised in any line.
    """

    final: str = ""
    problems: list[FileProblem] = field(default_factory=list)
    problems_total: int = 0
    seen: set[int] = field(default_factory=set)

    @property
    def damaged(self) -> bool:
        """Whether restic met something damaged, even if it went on."""
        return any(_CAUSES[position][1] is DamageError for position in self.seen)

    def take(self, line: bytes) -> None:
        """Take one line."""
        document = decode(line)
        if document is None:
            self._take_text(line.decode(errors="replace"))
            return
        match message_type(document):
            case "exit_error":
                self.final = error_text(document)
            case "error":
                self._take_error(document)
            case _:
                log_unknown(document)

    def _take_text(self, text: str) -> None:
        if text.startswith("Fatal: "):
            self.final = self.final or text
        self.seen |= _causes(text)

    def _take_error(self, document: Doc) -> None:
        self.problems_total += 1
        if len(self.problems) < _PROBLEMS_KEPT:
            self.problems.append(file_problem(document))
        self.seen |= _causes(error_text(document))


def _causes(text: str) -> set[int]:
    lower = text.lower()
    return {position for position, cause in enumerate(_CAUSES) if cause[0] in lower}


def failure(returncode: int, complaints: Complaints, *, name: str, doing: str) -> OrchestratorError:
    """Return the error that a failed command means.

    Args:
        returncode: restic's exit code, or the negative number of the signal that ended it.
        complaints: What it wrote to standard error.
        name: What the repository is called in messages.
        doing: What was tried, as in "the backup".
    """
    start = f"{name}: {doing} failed"
    match returncode:
        case 10:
            return NotFoundError(
                f"{name}: there is no repository",
                hint="check that the disk or medium is mounted where the site file says",
            )
        case 11:
            return LockedError(
                f"{name}: another program holds a lock on the repository",
                hint="wait until it has ended, then run it again",
            )
        case 12:
            return CredentialError(
                f"{name}: the password opens no key of the repository",
                hint="check the keyring against the recovery kit",
            )
        case 130:
            return StoppedError(f"{name}: {doing} was interrupted")
    if returncode < 0:
        return EngineError(f"{start}: restic was killed by signal {-returncode}")
    return _by_text(start, complaints)


def _by_text(start: str, complaints: Complaints) -> OrchestratorError:
    """Choose by restic's closing words, and if they say nothing by what it said before."""
    for seen in (_causes(complaints.final), complaints.seen):
        if seen:
            _, kind, words, hint = _CAUSES[min(seen)]
            return kind(f"{start}: {words}", hint=hint)
    words = plain_words(complaints.final)
    return EngineError(f"{start}: {words}" if words else f"{start}: restic gave no reason")


def plain_words(message: str) -> str:
    """Return the beginning of a message of restic, up to the first thing that may be a path."""
    lines = message.strip().splitlines()
    text = lines[0] if lines else ""
    while text.startswith(("Fatal: ", "Warning: ")):
        text = text.partition(": ")[2]
    words: list[str] = []
    for word in text[:_WORDS_LIMIT].split(" "):
        if _PLAIN_WORD.fullmatch(word) is None:
            return " ".join([*words, "…"]) if words else ""
        words.append(word)
    return " ".join(words).rstrip(":,; ")
