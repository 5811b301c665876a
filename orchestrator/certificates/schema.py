"""Checks a record against the committed JSON Schema, ``record.schema.json``.

Knows just the keywords that this schema uses and refuses any other, so that no rule is passed over
in silence.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from orchestrator.errors import EngineError

FILE = "record.schema.json"

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "null": lambda value: value is None,
}
_BOUNDS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "minLength": (lambda value, bound: len(value) >= bound, "is too short"),
    "maxLength": (lambda value, bound: len(value) <= bound, "is too long"),
    "minItems": (lambda value, bound: len(value) >= bound, "has too few items"),
    "maxItems": (lambda value, bound: len(value) <= bound, "has too many items"),
    "maxProperties": (lambda value, bound: len(value) <= bound, "has too many keys"),
    "minimum": (lambda value, bound: value >= bound, "is too small"),
    "maximum": (lambda value, bound: value <= bound, "is too large"),
    "pattern": (lambda value, bound: re.search(bound, value) is not None, "has the wrong form"),
    "const": (lambda value, bound: bool(_same(value, bound)), "is not what it must be"),
    "enum": (lambda value, bound: any(_same(value, one) for one in bound), "is none of the words"),
}
_OTHERS = {"type", "properties", "required", "additionalProperties", "items", "anyOf", "$ref"}
_NOTES = {"$schema", "$defs", "title", "description"}


@cache
def schema() -> dict[str, Any]:
    """Return the committed schema."""
    source = resources.files("orchestrator.certificates") / FILE
    loaded: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    return loaded


def faults(record: Any) -> list[str]:
    """Return what is wrong with a record, as ``place: what``; empty if nothing is."""
    kind = record.get("kind") if isinstance(record, dict) else None
    rules = schema()
    # By its kind, not by trying all: the faults are then those of the kind that was meant.
    branch = rules["$defs"].get(f"certificate_of_{kind}")
    if branch is None:
        return ["kind: is no kind of certificate"]
    return [*check(record, branch, rules), *_false_dates(record, "")]


def check(value: Any, rule: Mapping[str, Any], root: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with any value by any rule made of the keywords known here.

    Args:
        value: JSON values.
        rule: The rule to be met.
        root: The schema that holds the definitions.

    Raises:
        EngineError: The rule has a keyword that is not known here.
    """
    return list(_check(value, rule, root, ""))


def _check(value: Any, rule: Mapping[str, Any], root: Mapping[str, Any], at: str) -> Iterator[str]:
    unknown = set(rule) - _OTHERS - _NOTES - set(_BOUNDS)
    if unknown:
        raise EngineError(f"the schema has a keyword that is not checked: {sorted(unknown)[0]}")
    if "$ref" in rule:
        name = rule["$ref"].removeprefix("#/$defs/")
        yield from _check(value, root["$defs"][name], root, at)
    if "anyOf" in rule and all(list(_check(value, one, root, at)) for one in rule["anyOf"]):
        # The first alternative is the real one; the others are mostly `null`.
        yield from _check(value, rule["anyOf"][0], root, at)
    if "type" in rule and not _TYPES[rule["type"]](value):
        yield f"{at or 'record'}: must be of the type {rule['type']}"
        return
    for keyword, (holds, wrong) in _BOUNDS.items():
        if keyword in rule and not holds(value, rule[keyword]):
            yield f"{at or 'record'}: {wrong}"
    if isinstance(value, dict):
        yield from _check_object(value, rule, root, at)
    if isinstance(value, list) and "items" in rule:
        for number, one in enumerate(value):
            yield from _check(one, rule["items"], root, f"{at}[{number}]")


def _check_object(
    value: dict[str, Any], rule: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    prefix = f"{at}." if at else ""
    known = rule.get("properties", {})
    for name in rule.get("required", ()):
        if name not in value:
            yield f"{prefix}{name}: is missing"
    further = rule.get("additionalProperties", True)
    for name, one in value.items():
        if name in known:
            yield from _check(one, known[name], root, f"{prefix}{name}")
        elif further is False:
            yield f"{prefix}{name}: is not known"
        elif further is not True:
            yield from _check(one, further, root, f"{prefix}{name}")


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?")


def _false_dates(value: Any, at: str) -> Iterator[str]:
    """Find what has the form of a date and is none, such as 30 February."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _false_dates(one, f"{at}.{name}" if at else name)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _false_dates(one, f"{at}[{number}]")
    elif isinstance(value, str) and _DATE.fullmatch(value):
        try:
            dt.datetime.fromisoformat(value)
        except ValueError:
            yield f"{at}: is no date"
