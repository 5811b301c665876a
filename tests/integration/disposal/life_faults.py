"""What goes wrong around an act, and when: by lot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.integration.disposal.life_round import Round

_LATEST = {"program": 5.3, "transaction": 5.3, "file": 3.6}
"""Binary logarithm of the last call that goes wrong: an early one is met by short acts too."""


def drawn_fault(one: Round, likely: float) -> dict[str, Any] | None:
    """Draw what goes wrong at which step of an act."""
    if one.draw.random() >= likely:
        return None
    where = one.draw.choice(["program", "program", "transaction", "transaction", "file"])
    kills = {
        "program": ["kill before", "kill while", "fails", "dies"],
        "transaction": ["kill before", "kill within", "kill after"],
        "file": ["kill before", "kill after", "refuse"],
    }
    return {
        "where": where,
        "how": one.draw.choice(kills[where]),
        "at": int(2 ** one.draw.uniform(0, _LATEST[where])),
        "after_s": one.draw.choice([0.0, 0.01, 0.03, 0.06, 0.1]),
    }


@contextmanager
def trouble(one: Round, likely: float) -> Iterator[None]:
    """Let a disk be full, or the bucket unreachable, for the time of an act."""
    kind = one.draw.choice(["disk", "medium", "bucket"]) if one.draw.random() < likely else None
    if kind == "bucket" and one.mirror is not None:
        one.told.append("the bucket cannot be reached")
        one.lab.write(endpoint="http://127.0.0.1:9")
        yield
        one.lab.write(endpoint=None)
        return
    label = one.disks.connected
    full = one.disks.primary if kind == "disk" else None
    if kind == "medium" and label is not None:
        full = one.disks.media[label]
    if full is None or not full.mount_point.is_mount():
        yield
        return
    left = one.draw.randrange(0, 400_000)
    one.told.append(f"a disk is full but for {left} bytes: {kind}")
    ballast = full.mount_point / "ballast"
    size = max(shutil.disk_usage(full.mount_point).free - left, 0)
    with open(ballast, "wb") as out:
        os.posix_fallocate(out.fileno(), 0, max(size - size % 4096, 4096))
    try:
        yield
    finally:
        ballast.unlink(missing_ok=True)


def acts(one: Round, act: str, actor: str = "it", likely: float = 0.15, **args: Any) -> Any:
    """Let the product do something, perhaps with a fault."""
    fault = drawn_fault(one, likely)
    with trouble(one, 0.0 if fault is not None else likely / 2):
        return one.act(act, actor, fault=fault, **args)
