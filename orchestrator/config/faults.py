"""Collects every fault of a file as ``file: key: what is wrong``.

Knows TOML and pydantic's error types, not what the keys mean. A value is repeated in a fault
only by the checks that know it is no secret.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

LARGEST_FILE = 1 << 20
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_POSITION = re.compile(r"(.*) \(at (line \d+, column \d+|end of document)\)", re.DOTALL)
_WORDS = {
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "finite_number": "must be a finite number",
}

_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


class Faults:
    """The faults of one file, in the order in which they were found.

    Args:
        file: The file as it is shown to the reader.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.found: list[str] = []

    def add(self, key: str, wrong: str) -> None:
        """Record one fault; the same one twice counts once.

        Args:
            key: Dotted key, or a place such as ``line 3, column 1``.
            wrong: What is wrong, without a full stop.
        """
        fault = f"{self.file}: {key}: {wrong}"
        if fault not in self.found:
            self.found.append(fault)

    def add_invalid(self, key: str, errors: Iterable[ErrorDetails], known: Iterable[str]) -> None:
        """Record what pydantic found in one table.

        Args:
            key: Dotted key of the table.
            errors: As ``ValidationError.errors()`` gives them.
            known: Every key that may stand in the table, for suggestions.
        """
        names = sorted(known)
        for error in errors:
            self.add(dotted(key, *error["loc"]), _words(error, names))

    def raise_if_any(self, hint: str | None = None) -> None:
        """Raise all faults as one error, if there are any.

        Raises:
            ConfigError: At least one fault was recorded.
        """
        if self.found:
            raise ConfigError(self.found, hint=hint)


def read_toml(path: Path, faults: Faults) -> dict[str, Any] | None:
    """Read a TOML file of at most 1 MiB; what is wrong with it becomes a fault.

    Returns:
        Its top table, or None if it is not TOML or cannot be read.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        faults.add("file", "there is no such file")
        return None
    except OSError as error:
        faults.add("file", f"cannot be read: {(error.strerror or 'unknown error').lower()}")
        return None
    return parse_toml(raw, faults)


def parse_toml(raw: bytes, faults: Faults) -> dict[str, Any] | None:
    """Read TOML of at most 1 MiB from bytes; what is wrong with it becomes a fault.

    Returns:
        Its top table, or None if it is not TOML.
    """
    if len(raw) > LARGEST_FILE:
        faults.add("file", "is larger than 1 MiB, which no such file is")
        return None
    try:
        # Editors on Windows put a byte order mark in front, which TOML does not know.
        return tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        faults.add(f"line {raw[: error.start].count(10) + 1}", "is not UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        match = _POSITION.fullmatch(str(error))
        place, wrong = (match[2], match[1]) if match else ("file", str(error))
        faults.add(place, f"not valid TOML: {wrong}")
    except RecursionError:
        faults.add("file", "not valid TOML: nested too deeply")
    return None


def subtable(raw: Mapping[str, Any], key: str, faults: Faults) -> dict[str, Any]:
    """Return a table of tables, or an empty one if it is absent or no table (a fault)."""
    value = raw.get(key, {})
    if isinstance(value, dict):
        return value
    faults.add(key, "must be a table")
    return {}


def check_name(key: str, name: str, faults: Faults) -> bool:
    """Say whether a name may be used; if not, that is a fault at `key`."""
    if NAME.fullmatch(name):
        return True
    faults.add(
        key,
        "the name must begin with a lower-case letter and hold only lower-case letters, digits "
        "and hyphens, at most 31 characters",
    )
    return False


def unknown_key(name: str, known: Iterable[str]) -> str:
    """Say that a key is not known, with the nearest one that is."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"is not a known key; did you mean {near[0]}?" if near else "is not a known key"


def dotted(*parts: str | int) -> str:
    """Join parts of a key as TOML writes them; list positions in brackets, counted from 0."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not text:
            text = part
        else:
            # A key may hold anything in quotes, even line ends: keep each fault on one line.
            text += "." + (part if _BARE_KEY.fullmatch(part) else repr(part))
    return text


def _words(error: ErrorDetails, names: list[str]) -> str:
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(str(error["loc"][-1]), names)
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "too_short":
        return "must not be empty"
    if kind in _BOUNDS:
        return f"must be {_BOUNDS[kind][0]} {context[_BOUNDS[kind][1]]:g}"
    return _WORDS.get(kind) or f"is wrong: {error['msg'].lower()}"
