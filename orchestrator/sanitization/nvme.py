"""What ``nvme`` answers about a drive, and whether a namespace is all of it.

Pure. A serial number is the drive's, a device only one namespace of it: what was done to one says
nothing of another, attached or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchestrator.sanitization.answers import Answer, json_of, number_of, word_of
from orchestrator.sanitization.facts import Transcript


def read(said: Transcript) -> Answer:
    """Read ``nvme id-ctrl``, ``id-ns`` or ``list-ns``, as JSON; numbers are sometimes texts."""
    body = json_of(said) if said.returncode == 0 else {}
    if isinstance(listed := body.get("nsid_list"), list):
        return Answer("nvme list-ns", answered=True, namespaces=len(listed))
    if "sn" not in body:
        return Answer("nvme id-ns", answered="nsze" in body)
    oacs, fna, sanicap = (number_of(body.get(name)) for name in ("oacs", "fna", "sanicap"))

    def bit(value: int | None, mask: int) -> bool | None:
        return None if value is None else bool(value & mask)

    return Answer(
        "nvme",
        answered=True,
        serial=word_of(body.get("sn")),
        model=word_of(body.get("mn")),
        namespaces=1 if number_of(body.get("nn")) == 1 else None,
        manages_namespaces=bit(oacs, 8),
        capabilities={
            "nvme_format": _both(bit(oacs, 2), _nothing_unallocated(body)),
            "nvme_format_crypto": bit(fna, 4),
            "nvme_sanitize_crypto": bit(sanicap, 1),
            "nvme_sanitize_block": bit(sanicap, 2),
            "nvme_sanitize_overwrite": bit(sanicap, 4),
        },
    )


def _nothing_unallocated(body: dict[str, Any]) -> bool | None:
    """Say whether every byte belongs to a namespace: a format reaches no other."""
    unallocated = number_of(body.get("unvmcap"))
    return None if unallocated is None else unallocated == 0


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def listing(found: Iterable[Answer]) -> tuple[str, ...]:
    """Return the command that lists a drive's namespaces, without the device.

    Those that are attached to nothing are listed only by a drive that manages namespaces.

    Args:
        found: What is known of the drive.
    """
    told = [one.manages_namespaces for one in found if one.manages_namespaces is not None]
    return ("nvme", "list-ns", *(() if told == [False] else ("--all",)), "-o", "json")


def other_parts(found: Iterable[Answer]) -> list[str]:
    """Say why a device may be only a part of the drive whose serial number it bears."""
    told = max((one.namespaces or 0 for one in found), default=0)
    if told == 1:
        return []
    if told == 0:
        return ["how many namespaces the drive has is unknown: this may be a part of it"]
    return [f"the drive has {told} namespaces, and this is one of them: delete the others first"]
