"""Saying what a JSON document must hold at least, and finding what is missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any


def instant(value: object) -> bool:
    """An aware instant in UTC, ISO 8601."""
    if not isinstance(value, str):
        return False
    return datetime.fromisoformat(value).utcoffset() == timedelta(0)


def full_id(value: object) -> bool:
    """A restic id in full."""
    return isinstance(value, str) and len(value) == 64 and int(value, 16) >= 0


def count(value: object) -> bool:
    """A whole number that counts something."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def seconds(value: object) -> bool:
    """A length of time in seconds."""
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


def optional(shape: Any) -> Callable[[object], bool]:
    """What `shape` says, or null."""
    return lambda value: value is None or not differences(value, shape)


def differences(value: Any, shape: Any, at: str = "$") -> list[str]:
    """Return where a document is not what it must be.

    Args:
        value: The document.
        shape: A dict of shapes (more keys may be there), a list of one shape (of at least one
            item), a set of allowed values, a type, or a function that says yes or no.
        at: Where in the document this is.
    """
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{at}: {value!r} is no object"]
        missing = [f"{at}.{key}: is missing" for key in shape if key not in value]
        return missing + [
            fault
            for key in shape
            if key in value
            for fault in differences(value[key], shape[key], f"{at}.{key}")
        ]
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            return [f"{at}: {value!r} is no list with something in it"]
        return [
            fault
            for number, item in enumerate(value)
            for fault in differences(item, shape[0], f"{at}[{number}]")
        ]
    if isinstance(shape, set):
        return [] if value in shape else [f"{at}: {value!r} is none of {sorted(shape)}"]
    if isinstance(shape, type):
        good = isinstance(value, shape) and not (shape is int and isinstance(value, bool))
        return [] if good else [f"{at}: {value!r} is no {shape.__name__}"]
    return [] if shape(value) else [f"{at}: {value!r} is not as `{shape.__doc__}`"]
