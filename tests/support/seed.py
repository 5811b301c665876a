"""The seed of a randomized test: another one for each state of the source, the same within one.

A failure that CI meets is met again by whoever checks out the same tree; the next change draws
anew. An environment variable repeats any seed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def seed(variable: str) -> int:
    """Return the seed that the environment asks for, else one made of the committed tree."""
    asked = os.environ.get(variable)
    if asked:
        return int(asked)
    tree = subprocess.run(
        ["git", "-C", str(_ROOT), "rev-parse", "HEAD^{tree}"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    # A tree without git (an unpacked source archive) has one seed, printed like any other.
    return int(tree[:8] or "1", 16) % 10**6
