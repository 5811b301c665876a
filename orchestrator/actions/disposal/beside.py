"""What lies in the folder of a repository beside the files that restic knows."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.engines.layout import is_temporary_name, parse_path
from orchestrator.errors import EngineError


def strays(root: Path, *, is_written: bool = False) -> int:
    """Count what lies in a repository's folder and is no part of it: anything may be in it.

    Args:
        root: The repository's folder.
        is_written: restic may be at work here: what it has not finished is not counted.

    Raises:
        EngineError: A folder cannot be listed.
    """
    found = 0
    for folder, _, names in os.walk(root, onerror=_refuse):
        below = os.path.relpath(folder, root)
        if below == "locks":  # which name machines and processes
            continue
        prefix = "" if below == os.curdir else f"{below}/"
        found += sum(
            parse_path(prefix + name) is None and not (is_written and is_temporary_name(name))
            for name in names
        )
    return found


def _refuse(error: OSError) -> None:
    raise EngineError(f"a copy's folder cannot be listed: {error.strerror}")
