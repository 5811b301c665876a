r"""Include files that mean exactly the paths they name.

Pure. restic reads an include file line by line, trims blanks, expands ``$NAME`` and matches what
is left as a pattern, so a path written plainly may match nothing or too much, with exit code 0.
Here every special character is taken literally; a line feed, which no line can hold, is written
as the complement of all other characters.

Source: restic, ``internal/filter``; Go, ``path/filepath.Match``.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.errors import UsageError

_ESCAPED = {ord(char): b"\\" + char.encode() for char in "*?[]\\"}
_LINE_FEED = "[^\x01-\x09\x0b-\U0010ffff]".encode()


def include_file(paths: Iterable[bytes]) -> bytes:
    """Return the content of an include file that matches these paths and what lies below them.

    Args:
        paths: Paths below the snapshot's root, raw bytes with forward slashes.

    Raises:
        UsageError: A path is empty: it would mean everything.
    """
    names = [path.strip(b"/") for path in paths]
    if not all(names):
        raise UsageError("a path to restore is empty")
    return b"".join(b"/" + literal(name) + b"\n" for name in names)


def literal(path: bytes) -> bytes:
    """Return a pattern, fit for one line of an include file, that matches only this path."""
    pattern = b"".join(_ESCAPED.get(byte, bytes((byte,))) for byte in path)
    pattern = pattern.replace(b"$", b"$$")  # restic expands environment variables
    return _keep_blank_end(pattern).replace(b"\n", _LINE_FEED)


def _keep_blank_end(pattern: bytes) -> bytes:
    """Put a blank at the end into a character class, where restic does not trim it."""
    last = pattern.decode(errors="surrogateescape")[-1:]
    if not last.isspace() or last == "\n":
        return pattern
    end = last.encode()
    return pattern[: -len(end)] + b"[" + end + b"]"
