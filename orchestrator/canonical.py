"""Canonical JSON: one sequence of bytes for one value, so that its hash means something.

Pure. Knows nothing of what the values mean.

Source: RFC 8785 (JSON Canonicalization Scheme), without its numbers that are not integers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

LARGEST_INTEGER = 2**53 - 1
"""Beyond this, readers that keep numbers as doubles would see another one; RFC 8785 3.2.2.3."""

_DEEPEST = 64


def encode(value: Any) -> bytes:
    """Return the canonical bytes of a value.

    Args:
        value: Of `None`, booleans, integers within ±(2**53 - 1), strings, sequences and mappings
            with string keys.

    Raises:
        ValueError: There is something else in it: a float, a lone surrogate, a large integer, a
            key that is no string, more than 64 levels.
    """
    parts: list[str] = []
    _encode(value, parts, 0)
    try:
        return "".join(parts).encode()
    except UnicodeEncodeError:
        raise ValueError("a string holds half of a surrogate pair") from None


def decode(data: bytes) -> Any:
    """Return the value of canonical bytes.

    Raises:
        ValueError: They are not JSON, or not the canonical form of it (order, spaces, escapes,
            a key twice, a float).
    """
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if encode(value) != data:
        raise ValueError("not in canonical form")
    return value


def _encode(value: Any, parts: list[str], depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if value is None or isinstance(value, bool):
        parts.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, str):
        parts.append(json.dumps(value, ensure_ascii=False))
    elif isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise ValueError("an integer beyond 2**53 - 1 must be written as a string")
        parts.append(str(int(value)))
    elif isinstance(value, Mapping):
        _encode_object(value, parts, depth)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        for place, item in enumerate(value):
            parts.append("," if place else "[")
            _encode(item, parts, depth + 1)
        parts.append("]" if value else "[]")
    else:
        raise ValueError(f"a value of type {type(value).__name__} has no canonical form here")


def _encode_object(value: Mapping[Any, Any], parts: list[str], depth: int) -> None:
    if not all(isinstance(key, str) for key in value):
        raise ValueError("a key is not a string")
    try:
        # RFC 8785 3.2.3: by UTF-16 code units, which is not the order of code points.
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    except UnicodeEncodeError:
        raise ValueError("a key holds half of a surrogate pair") from None
    for place, key in enumerate(keys):
        parts.append("," if place else "{")
        parts.append(json.dumps(key, ensure_ascii=False))
        parts.append(":")
        _encode(value[key], parts, depth + 1)
    parts.append("}" if value else "{}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _no_float(_: str) -> Any:
    raise ValueError("a number is not an integer")
