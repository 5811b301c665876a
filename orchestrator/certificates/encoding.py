"""Records as JSON values and as canonical bytes. Must not know what a record means."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import fields, is_dataclass
from typing import Any

from orchestrator import canonical
from orchestrator.errors import DamageError, UsageError


def plain(value: Any) -> Any:
    """Return dataclasses, dates and instants as JSON values; instants in UTC, whole seconds."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return value


def encode(record: dict[str, Any]) -> bytes:
    """Return a record's canonical bytes.

    Raises:
        UsageError: A value has no exact form: a float, a large integer, broken text.
    """
    try:
        return canonical.encode(record)
    except ValueError as error:
        raise UsageError(f"a certificate's record cannot be written: {error}") from None


def decode(raw: bytes) -> dict[str, Any]:
    """Return the record in canonical bytes.

    Raises:
        DamageError: They are no record, or not in canonical form.
    """
    try:
        value = canonical.decode(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise DamageError("this is not the canonical JSON of a certificate's record")
    return value


def digest(raw: bytes) -> str:
    """Return SHA-256 in hex."""
    return hashlib.sha256(raw).hexdigest()
