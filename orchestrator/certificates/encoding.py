"""Records as JSON values and as canonical bytes. Must not know what a record means.

The bytes are those of RFC 8785 for what records hold: ASCII keys, text, integers; no floats.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import Any

from orchestrator.errors import DamageError, UsageError

LARGEST_INTEGER = 2**53 - 1
"""Source: RFC 8785: numbers are doubles, and integers up to here are exact."""


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
    _check(record)
    text = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError("a certificate's record holds text that is not Unicode") from None


def decode(raw: bytes) -> dict[str, Any]:
    """Return the record in canonical bytes.

    Raises:
        DamageError: They are no record, or not in canonical form.
    """
    try:
        value = json.loads(raw.decode("utf-8"))
        if isinstance(value, dict) and encode(value) == raw:
            return value
    except (ValueError, RecursionError, UsageError):
        pass
    raise DamageError("this is not the canonical JSON of a certificate's record")


def digest(raw: bytes) -> str:
    """Return SHA-256 in hex."""
    return hashlib.sha256(raw).hexdigest()


def _check(value: Any) -> None:
    if isinstance(value, dict):
        for key, one in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise UsageError("a certificate's record cannot have a key that is not ASCII")
            _check(one)
    elif isinstance(value, list):
        for one in value:
            _check(one)
    elif isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise UsageError("a certificate's record holds a number that is too large")
    elif value is not None and not isinstance(value, str):
        raise UsageError(f"a certificate's record cannot hold a {type(value).__name__}")
