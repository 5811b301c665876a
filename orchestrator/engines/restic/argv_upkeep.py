"""The command lines of upkeep: checking, thinning out, locks, the index, keys. Pure functions.

As in `argv`: nothing secret, nothing that names an image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.engines.restic.argv import PACK_SIZE_MIB, full_id, tag_filter
from orchestrator.errors import UsageError

_MAX_UNUSED = re.compile(r"unlimited|[0-9]+(\.[0-9]+)?%|[0-9]+[kKmMgGtT]?")


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """How many snapshots are kept; the newest of each period counts. 0 asks for none.

    Attributes:
        last: Newest snapshots.
        hourly: Hours.
        daily: Days.
        weekly: Weeks.
        monthly: Months.
        yearly: Years.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0


def find_pack(pack: str, *, snapshots: Sequence[str]) -> tuple[str, ...]:
    """Ask which of some snapshots need anything in a pack.

    Raises:
        UsageError: An id is malformed.
    """
    chosen = (word for one in snapshots for word in ("--snapshot", full_id(one)))
    return ("find", "--pack", full_id(pack), *chosen)


def check(*, read_data: bool, subset: tuple[int, int] | None) -> tuple[str, ...]:
    """Check the repository's structure, and all or a part of its data.

    Args:
        read_data: Read every pack.
        subset: Read part n of t of the packs, 1 <= n <= t.

    Raises:
        UsageError: The subset is out of range.
    """
    if subset is not None:
        part, parts = subset
        if not 1 <= part <= parts <= 256:
            raise UsageError("a part of the data is given as n/t with 1 <= n <= t <= 256")
        return ("check", "--read-data-subset", f"{part}/{parts}")
    return ("check", "--read-data") if read_data else ("check",)


def forget_plan(policy: KeepPolicy, *, tags: Sequence[str]) -> tuple[str, ...]:
    """Ask which snapshots with these tags a policy would keep, changing nothing.

    All of them form one group, whatever their paths: a store that moved to another folder keeps
    one line of snapshots.

    Raises:
        UsageError: The policy keeps nothing, or a tag is malformed or missing.
    """
    if not tags:
        raise UsageError("a rotation names the tags of the snapshots it is about")
    fields = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
    counts = {field: getattr(policy, field) for field in fields}
    if min(counts.values()) < 0 or not any(counts.values()):
        raise UsageError("a rotation that keeps no snapshot is refused")
    argv = ["forget", "--dry-run", "--group-by", "host", *tag_filter(tags)]
    for field, count in counts.items():
        if count:
            argv += [f"--keep-{field}", str(count)]
    return tuple(argv)


def forget(ids: Sequence[str]) -> tuple[str, ...]:
    """Remove snapshots.

    Raises:
        UsageError: An id is malformed, or there is none: restic would take that for all.
    """
    if not ids:
        raise UsageError("no snapshot was named")
    return ("forget", *(full_id(one) for one in ids))


def prune(max_unused: str | None) -> tuple[str, ...]:
    """Remove what no snapshot needs.

    Args:
        max_unused: How much that is not needed may stay (``0``, ``5%``, ``200M``,
            ``unlimited``); None leaves it to restic, which tolerates 5 %.

    Raises:
        UsageError: `max_unused` is malformed.
    """
    if max_unused is None:
        return ("prune", "--pack-size", PACK_SIZE_MIB)
    if _MAX_UNUSED.fullmatch(max_unused) is None:
        raise UsageError("the tolerated rest is written as 0, 5%, 200M or unlimited")
    return ("prune", "--pack-size", PACK_SIZE_MIB, "--max-unused", max_unused)


def unlock() -> tuple[str, ...]:
    """Remove stale locks, never others."""
    return ("unlock",)


def list_locks() -> tuple[str, ...]:
    """List the ids of all locks."""
    return ("list", "locks")


def cat_lock(lock_id: str) -> tuple[str, ...]:
    """Show one lock.

    Raises:
        UsageError: The id is malformed.
    """
    return ("cat", "lock", full_id(lock_id))


def repair_index() -> tuple[str, ...]:
    """Build the index anew from the packs that are there."""
    return ("repair", "index")


def list_keys() -> tuple[str, ...]:
    """List the keys that open the repository."""
    return ("key", "list")
