"""Entries: what may be written into the ledger, and in which bytes.

Pure. An entry is canonical JSON below 65,536 bytes with a type out of a closed set. It names
nobody: what it is about stands in it as commitments, each with a salt of its own; whoever has the
salt can show what was committed to (`Disclosure`), and with the salt deleted nobody can.

Every entry has ``v`` (1), ``type``, ``id`` (UUIDv7), ``at`` (UTC, milliseconds) and ``actor``;
then, if there are any, ``subjects`` (kind -> commitments), ``evidence`` (name -> hash), ``note``,
``intent`` (id of the entry that announced this outcome), and the fields that belong to the type.

Source: RFC 8785; RFC 9562 section 5.7; RFC 3339.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator import canonical
from orchestrator.ledger import entry_types
from orchestrator.ledger.tiles import LARGEST_ENTRY

VERSION = 1
LONGEST_NOTE = 200
SALT_SIZE = 16

ACTS = entry_types.ACTS
OUTCOMES = entry_types.OUTCOMES
TYPES = entry_types.TYPES

RESERVED = frozenset({"v", "type", "id", "at", "actor", "subjects", "evidence", "note", "intent"})
"""Fields that every type shares; a type's own fields have other names."""

_TAG = b"orchestrator ledger subject v1\0"
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ACTOR = re.compile(r"[^\s\x00-\x1f\x7f]{1,100}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, taken apart.

    Attributes:
        type: One of `TYPES`.
        id: A UUIDv7, as `new_id` makes them.
        at: When it was written, aware; stored in milliseconds.
        actor: Key of who acted, or ``system``.
        body: The type's own fields: JSON values without floats.
        subjects: Commitments by kind, as `commitment` makes them.
        evidence: ``sha256:`` and 64 hex digits, by name, of what lies beside the ledger.
        note: Text of at most 200 characters, one line; None for none.
        intent: Id of the intent whose outcome this is; None for none.
    """

    type: str
    id: str
    at: datetime
    actor: str
    body: Mapping[str, Any] = field(default_factory=dict)
    subjects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What opens one commitment.

    Attributes:
        kind: What it is, such as ``study``.
        salt: 16 random bytes, used once.
        value: What was committed to.
    """

    kind: str
    salt: bytes
    value: str

    @property
    def commitment(self) -> str:
        """The commitment that it opens."""
        return commitment(self.kind, self.salt, self.value)

    def opens(self, entry: Entry) -> bool:
        """Say whether an entry is about this."""
        return self.commitment in entry.subjects.get(self.kind, ())


def build(entry: Entry) -> bytes:
    """Return the bytes that stand in the ledger.

    Raises:
        ValueError: A field is not what it must be, or the whole has more than 65,535 bytes.
    """
    _demand_valid(entry)
    fields: dict[str, Any] = dict(entry.body)
    fields |= {
        "v": VERSION,
        "type": entry.type,
        "id": entry.id,
        "at": _instant(entry.at),
        "actor": entry.actor,
    }
    if entry.subjects:
        fields["subjects"] = {kind: list(values) for kind, values in entry.subjects.items()}
    if entry.evidence:
        fields["evidence"] = dict(entry.evidence)
    if entry.note is not None:
        fields["note"] = entry.note
    if entry.intent is not None:
        fields["intent"] = entry.intent
    data = canonical.encode(fields)
    if len(data) > LARGEST_ENTRY:
        raise ValueError(f"{entry.type}: {len(data)} bytes are more than {LARGEST_ENTRY}")
    return data


def parse(data: bytes) -> Entry:
    """Return the entry in stored bytes.

    Raises:
        ValueError: They are no entry that `build` would have made.
    """
    fields = canonical.decode(data)
    if not isinstance(fields, dict) or type(fields.get("v")) is not int or fields["v"] != VERSION:
        raise ValueError(f"is not an entry of version {VERSION}")
    at = fields.get("at")
    if not isinstance(at, str) or _INSTANT.fullmatch(at) is None:
        raise ValueError("at is not an instant in UTC with milliseconds")
    entry = Entry(
        type=fields.get("type", ""),
        id=fields.get("id", ""),
        at=datetime.fromisoformat(at),
        actor=fields.get("actor", ""),
        body={name: value for name, value in fields.items() if name not in RESERVED},
        subjects=fields.get("subjects", {}),
        evidence=fields.get("evidence", {}),
        note=fields.get("note"),
        intent=fields.get("intent"),
    )
    if build(entry) != data:
        raise ValueError("has an empty field that is left out otherwise")
    return entry


def new_id(at: datetime, *, random: bytes | None = None) -> str:
    """Return a UUIDv7: it sorts by time, and says nothing else.

    Args:
        at: Its time, aware.
        random: 10 bytes; fresh ones if not given.
    """
    tail = int.from_bytes(secrets.token_bytes(10) if random is None else random, "big")
    number = (_milliseconds(at) & (1 << 48) - 1) << 80 | tail & (1 << 80) - 1
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def commitment(kind: str, salt: bytes, value: str) -> str:
    """Return what an entry says in place of a value.

    Args:
        kind: What it is, such as ``study``.
        salt: 16 random bytes, used for nothing else.
        value: A pseudonym or identifier.

    Raises:
        ValueError: The kind or the salt is malformed.
    """
    if len(salt) != SALT_SIZE:
        raise ValueError(f"a salt has {SALT_SIZE} bytes")
    _demand(_FIELD.fullmatch(kind), "a kind of subject is a short word")
    tag = _TAG + kind.encode() + b"\0"
    return f"sha256:{hashlib.sha256(tag + salt + value.encode()).hexdigest()}"


def disclosure(kind: str, value: str) -> Disclosure:
    """Return a new commitment's opening, with a fresh salt."""
    return Disclosure(kind, secrets.token_bytes(SALT_SIZE), value)


def _demand_valid(entry: Entry) -> None:
    is_known = isinstance(entry.type, str) and entry.type in TYPES
    _demand(is_known, f"{entry.type!r} is not a type of entry")
    _demand(_is_text(entry.id, _UUID7), "id is not a UUIDv7")
    _demand(entry.at.tzinfo is not None, "at has no time zone")
    _demand(_is_text(entry.actor, _ACTOR), "actor is not a name without spaces")
    _demand(entry.intent is None or _is_text(entry.intent, _UUID7), "intent is not a UUIDv7")
    for name in entry.body:
        _demand(_is_text(name, _FIELD), f"{name!r} is not a field's name")
        _demand(name not in RESERVED, f"{name} is a field of every entry")
    _demand_commitments(entry.subjects)
    _demand_hashes(entry.evidence)
    _demand_note(entry.note)


def _demand_commitments(subjects: Any) -> None:
    _demand(isinstance(subjects, Mapping), "subjects is not an object")
    for kind, values in subjects.items():
        _demand(_is_text(kind, _FIELD), f"{kind!r} is not a kind of subject")
        _demand(
            isinstance(values, list | tuple)
            and values
            and all(_is_text(value, _HASH) for value in values),
            f"subjects of kind {kind} are not commitments",
        )


def _demand_hashes(evidence: Any) -> None:
    _demand(isinstance(evidence, Mapping), "evidence is not an object")
    for name, value in evidence.items():
        _demand(_is_text(name, _FIELD), f"{name!r} is not a name of evidence")
        _demand(_is_text(value, _HASH), f"evidence {name} is not sha256: and 64 hex digits")


def _demand_note(note: Any) -> None:
    if note is None:
        return
    _demand(isinstance(note, str) and note.strip(), "the note is empty")
    _demand(len(note) <= LONGEST_NOTE, f"the note has more than {LONGEST_NOTE} characters")
    _demand(_CONTROL.search(note) is None, "the note is not one line of text")


def _is_text(value: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _demand(is_so: object, otherwise: str) -> None:
    if not is_so:
        raise ValueError(otherwise)


def _milliseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _instant(at: datetime) -> str:
    utc = at.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"
