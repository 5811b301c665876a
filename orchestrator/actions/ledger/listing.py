"""Reading the ledger for people: entries by type, time, actor, medium and study; disclosures."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.actions.ledger import mirror
from orchestrator.actions.person import demand_person
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, media, studies, suppressions
from orchestrator.catalog import ledger as rows
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from sqlmodel import Session

    from orchestrator.ledger.entry import Entry
    from orchestrator.ledger.reader import Reader


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; everything that is given must fit.

    Attributes:
        types: Types, or beginnings of them such as ``disposal``; empty for all.
        since: The first instant; None for the beginning.
        until: The first instant after the last; None for the end.
        actor: Who acted.
        medium: Label or id of a medium, or the beginning of an id.
        study: A study's pseudonym.
        limit: Only the newest so many, 1 or more; None for all.
    """

    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    medium: str | None = None
    study: str | None = None
    limit: int | None = None


EVERYTHING = Wanted()

_WHOLE_ID = re.compile(r"[0-9a-f]{32}")

_TAG = "6f7263686573747261746f72206c6564676572207375626a65637420763100"
"""What every commitment begins with, in hex; see `ledger.entry.commitment`."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry.

    Attributes:
        index: Its place.
        entry: Taken apart.
        data: Its stored bytes.
    """

    index: int
    entry: Entry
    data: bytes


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries, and the ledger they are of.

    Attributes:
        reader: The ledger as it was read.
        vkey: Its public key.
        entries: Those asked for, oldest first.
    """

    reader: Reader
    vkey: str
    entries: list[Listed]


def listing(site: Site, wanted: Wanted) -> Listing:
    """Return the entries asked for.

    Raises:
        NotFoundError: Neither catalog nor ledger knows a study of this pseudonym, or no such medium
            is known.
        DamageError: The ledger cannot be read.
    """
    reader = site.ledger.reader()
    found = deque(select(site, reader, wanted), maxlen=wanted.limit)
    return Listing(reader, site.ledger.verifier.vkey, list(found))


def select(site: Site, reader: Reader, wanted: Wanted) -> Iterator[Listed]:
    """Yield the entries asked for, oldest first; memory stays bounded.

    Raises:
        DamageError: The ledger cannot be read.
    """
    _demand_types(wanted.types)
    about = _about(site, wanted.study)
    media_ids = _media_ids(site, wanted.medium)
    for stored in reader.entries():
        entry = mirror.parsed(stored.index, stored.data)
        if not _fits(entry, wanted):
            continue
        if media_ids is not None and not _names_medium(entry.body, media_ids):
            continue
        if about is None or entry.id in about or entry.intent in about:
            yield Listed(stored.index, entry, stored.data)


def span(
    zone: ZoneInfo, first: str | None, last: str | None
) -> tuple[datetime | None, datetime | None]:
    """Read a period as people write it: both days belong to it, in the site's zone.

    Args:
        zone: The site's zone.
        first: ISO date or instant; None for the beginning.
        last: Likewise; None for the end.

    Raises:
        UsageError: One is neither, or the period ends before it begins.
    """
    since = None if first is None else _instant(first, zone, days=0)
    until = None if last is None else _instant(last, zone, days=1)
    if since is not None and until is not None and until <= since:
        raise UsageError("the period ends before it begins")
    return since, until


def disclose(site: Site, index: int) -> dict[str, Any]:
    """Return what an entry commits to, with the salts and the proof that it stands in the ledger.

    Whoever gets it can show that the entry is about these values, and nothing about others.

    Raises:
        RefusedError: No person of compliance acts.
        NotFoundError: There is no such entry, or what it commits to is no longer kept.
        DamageError: The ledger cannot be read.
    """
    demand_person(site, "compliance")
    reader = site.ledger.reader()
    data = reader.entry(index)
    entry = mirror.parsed(index, data)
    with site.catalog.reading() as session:
        subjects = rows.subjects_of(session, entry.id, site.catalog.keys)
    if entry.subjects and not subjects:
        raise NotFoundError(f"what entry {index} commits to is no longer kept")
    return {
        "disclosure": 1,
        "ledger": reader.checkpoint.origin,
        "vkey": site.ledger.verifier.vkey,
        "index": index,
        "entry": data.decode(),
        "proof": reader.proof_text(index).decode(),
        "rule": "sha256 of: tag, kind, a zero byte, salt, value; kind and value in UTF-8",
        "tag": _TAG,
        "subjects": [
            {"kind": one.kind, "salt": one.salt.hex(), "value": one.value} for one in subjects
        ],
    }


def checkpoint_file(site: Site) -> Path:
    """Return the file of the newest checkpoint."""
    return site.ledger.folder / "checkpoint"


def _demand_types(wanted: tuple[str, ...]) -> None:
    from orchestrator.ledger.entry_types import TYPES

    for one in wanted:
        if not any(_is_type(known, one) for known in TYPES):
            kinds = ", ".join(sorted({known.partition(".")[0] for known in TYPES}))
            raise UsageError(f"there are no entries of type {one!r}", hint=f"there are: {kinds}")


def _about(site: Site, study: str | None) -> set[str] | None:
    if study is None:
        return None
    with site.catalog.reading() as session:
        found = rows.entries_about(session, "study", study, site.catalog.keys)
        # Nothing about a study that we know is an answer; about another it would be a false one.
        if not found and not _is_known(session, study):
            raise NotFoundError(
                f"neither the catalog nor the ledger knows study {study}",
                hint="orchestrator study list",
            )
    return found


def _is_known(session: Session, study: str) -> bool:
    return (
        bool(studies.studies(session, study=study, limit=1))
        or bool(disposals.of_study(session, study))
        or any(key == study for _store, key, _since in suppressions.every(session))
    )


def _media_ids(site: Site, name: str | None) -> tuple[str, ...] | None:
    """Return the ids that a person means by a label, an id or the beginning of one."""
    if name is None:
        return None
    with site.catalog.reading() as session:
        known = media.of_copy(session, None, retired=True)
    found = [row.id for row in known if row.label == name]  # a label may be given out again
    found = found or [row.id for row in known if name and row.id.startswith(name)]
    if not found and _WHOLE_ID.fullmatch(name):
        return (name,)  # the ledger knows media that a rebuilt catalog does not
    if not found:
        raise NotFoundError(f"no medium {name} is known", hint="orchestrator medium list --retired")
    return tuple(found)


def _fits(entry: Entry, wanted: Wanted) -> bool:
    if wanted.since is not None and entry.at < wanted.since:
        return False
    if wanted.until is not None and entry.at >= wanted.until:
        return False
    if wanted.types and not any(_is_type(entry.type, one) for one in wanted.types):
        return False
    return wanted.actor is None or wanted.actor in (entry.actor, entry.body.get("by"))


def _is_type(kind: str, wanted: str) -> bool:
    return kind == wanted or kind.startswith(f"{wanted}.")


def _names_medium(value: Any, media_ids: tuple[str, ...]) -> bool:
    if isinstance(value, dict):
        if value.get("medium") in media_ids:
            return True
        return any(_names_medium(one, media_ids) for one in value.values())
    return isinstance(value, list) and any(_names_medium(one, media_ids) for one in value)


def _instant(text: str, zone: ZoneInfo, *, days: int) -> datetime:
    try:
        if len(text) == len("2026-03-01"):
            day = date.fromisoformat(text) + timedelta(days=days)
            return datetime.combine(day, time(), zone).astimezone(UTC)
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo is not None else read.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no date or instant", hint="write 2026-03-01, or 2026-03-01T18:00:00-06:00"
        ) from None
