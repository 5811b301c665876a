"""A drill's result as a JSON document, and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from orchestrator.drills.result import (
    Check,
    Coverage,
    DrillResult,
    RecoveryPoint,
    RecoveryTime,
    Traffic,
)

_INSTANTS = ("snapshot_at", "as_of", "started_at", "ended_at")


def to_document(result: DrillResult) -> dict[str, Any]:
    """Return a result as JSON values: field names as in `DrillResult`, instants in ISO 8601."""
    document = asdict(result)
    for name in _INSTANTS:
        if document[name] is not None:
            document[name] = document[name].isoformat()
    return document


def from_document(document: Mapping[str, Any]) -> DrillResult:
    """Return the result that `to_document` has written, also an older program's.

    Fields that this program does not know are left out.

    Raises:
        KeyError: A field that every result has is missing.
        TypeError: A field is not of its type.
        ValueError: An instant is not one.
    """
    found = _known(DrillResult, document)
    for name in _INSTANTS:
        if found.get(name) is not None:
            found[name] = datetime.fromisoformat(found[name])
    found["checks"] = [Check(**_known(Check, one)) for one in found.get("checks", ())]
    time = _known(RecoveryTime, found["rto"])
    found["rto"] = RecoveryTime(**time | {"assumptions": tuple(time.get("assumptions", ()))})
    found["rpo"] = RecoveryPoint(**_known(RecoveryPoint, found["rpo"]))
    found["traffic"] = Traffic(**_known(Traffic, found.get("traffic", {})))
    if found.get("coverage") is not None:
        found["coverage"] = Coverage(**_known(Coverage, found["coverage"]))
    return DrillResult(**found)


def _known(kind: type[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in document.items() if name in names}
