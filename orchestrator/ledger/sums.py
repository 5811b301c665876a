"""SHA256SUMS: what an export's other files must hash to, in the form that sha256sum reads.

It protects what the log's signature does not reach, such as certificates and explanations, from
accidents; whoever can change those on purpose can change this too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orchestrator.ledger.files import Files

SUMS = "SHA256SUMS"
"""The file's name, at the export's top."""

_OF_LOG = frozenset({"checkpoint", "keys/log.vkey", ".lock", SUMS})

_LINE = re.compile(r"([0-9a-f]{64})  ([^\x00-\x1f\\]+)")


def encode(hashes: Mapping[str, str]) -> bytes:
    """Return the file's bytes.

    Args:
        hashes: SHA-256 in hex by path below the export's top, with slashes.
    """
    return "".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes)).encode()


def problems_of(files: Files) -> Iterator[str]:
    """Yield what is wrong with the files beside the log, in sentences; nothing without a list.

    Raises:
        OSError: A file cannot be read.
    """
    data = files.read(SUMS)
    if data is None:
        return
    listed = set()
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError:
        lines = ["", ""]
    if lines.pop() != "":
        yield f"{SUMS} ends in the middle of a line"
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or not is_inside(match[2]):
            yield f"{SUMS}: line {number} is malformed"
            continue
        listed.add(match[2])
        found = files.sha256(match[2])
        if found is None:
            yield f"{match[2]} is missing, although {SUMS} lists it"
        elif found != match[1]:
            yield f"{match[2]} is not what {SUMS} says"
    for path in files.below(""):
        if path not in listed and not is_of_log(path):
            yield f"{path} is not listed in {SUMS}"


def is_inside(path: str) -> bool:
    """Say whether a path with slashes stays below where it starts."""
    return all(part not in ("", ".", "..") for part in path.split("/"))


def is_of_log(path: str) -> bool:
    """Say whether a file belongs to the log itself, which its signature protects."""
    return path in _OF_LOG or path.startswith(("tile/", "checkpoints/"))
