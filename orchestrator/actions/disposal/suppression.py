"""Keeping the suppression list where it survives the site, and finding the newest one again.

The catalog's rows are what restores obey. The same list lies beside the state in every repository,
in the recovery kit's folder and, locked, in every bucket; of several the one with the highest
number holds. This knows nothing of why a study is on the list.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.site import Site
from orchestrator.catalog import facts, suppressions
from orchestrator.config.site import ImmutableCopy
from orchestrator.errors import EngineError, OrchestratorError, RefusedError, StoppedError
from orchestrator.retention.suppression import (
    FILE_NAME,
    LARGEST_BYTES,
    Suppressed,
    SuppressionList,
    decode,
    encode,
)

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.engines.bucket.records import Records
    from orchestrator.engines.bucket.versions import VersionFact

FOLDER = "_suppression"
"""Where a bucket keeps the lists; no repository can have this name."""

NUMBER = "suppression:number"
_PUBLISHED = "suppression:published:"
_UNASKED = "suppression:unasked:"
_KIT = "kit"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the list.

    Attributes:
        number: Its number.
        studies: How many studies are on it.
        outstanding: Buckets that have not got it.
        unasked: Buckets that may hold a newer one.
    """

    number: int
    studies: int
    outstanding: list[str]
    unasked: list[str]


@dataclass(slots=True)
class Published:
    """Where the list lies now.

    Attributes:
        number: The list's number.
        studies: How many studies are on it.
        outstanding: Copies that could not be given it, with the reason, by name.
    """

    number: int
    studies: int
    outstanding: dict[str, str] = field(default_factory=dict)


def suppress(site: Site, session: Session, store: str, studies: Iterable[str]) -> None:
    """Put studies on the list, within the transaction in which their disposal begins.

    Raises:
        RefusedError: A bucket may hold a newer list, which this one would contradict.
    """
    _demand_newest(session)
    suppressions.add(session, store, studies, now=site.clock.now())
    _raise_number(site, session)


def withdraw(site: Site, session: Session, store: str, studies: Iterable[str]) -> None:
    """Take studies off the list that are to be kept after all.

    Raises:
        RefusedError: A bucket may hold a newer list, which this one would contradict.
    """
    _demand_newest(session)
    suppressions.remove(session, store, studies)
    _raise_number(site, session)


def current(site: Site, session: Session) -> SuppressionList:
    """Return the list as the catalog has it."""
    studies = (Suppressed(*row) for row in suppressions.every(session))
    return SuppressionList(_number(session), tuple(studies))


def list_file(site: Site, session: Session) -> bytes:
    """Return the list as a file."""
    listed = current(site, session)
    return encode(
        listed.number, listed.studies, keyring=site.keyring.id, key=site.keyring.pseudonym_key()
    )


def publish(site: Site) -> Published:
    """Bring the list to the kit's folder and to every bucket, and keep it locked there.

    A bucket that cannot be reached is outstanding, not an error: the catalog obeys the list.

    Raises:
        StoppedError: The work was told to stop.
    """
    with site.catalog.reading() as session:
        listed = current(site, session)
        data = list_file(site, session)
    done = Published(listed.number, len(listed.studies))
    if listed.number == 0:
        return done
    folder = site.state_dir / "recovery-kit"
    if folder.is_dir():  # else it was moved away, as it should be
        try:
            write_list(site, folder)
        except OrchestratorError as error:
            done.outstanding[_KIT] = error.message
    for name, copy in site.config.copies.items():
        if isinstance(copy, ImmutableCopy):
            try:
                _to_bucket(site, name, listed, data)
            except StoppedError:
                raise
            except OrchestratorError as error:
                _log.warning("copy %s has not got the suppression list: %s", name, error.message)
                done.outstanding[name] = error.message
                continue
            with site.catalog.transaction() as session:
                facts.put(
                    session, _PUBLISHED + name, value=str(listed.number), now=site.clock.now()
                )
    return done


def write_list(site: Site, folder: Path) -> None:
    """Write the list into a recovery kit's folder, if a study was ever disposed of.

    Raises:
        EngineError: The disk refuses.
        LockedError: Another process is writing it.
    """
    from orchestrator.keys.private_file import PrivateFile

    with site.catalog.reading() as session:
        if _number(session) == 0:
            return
        data = list_file(site, session)
    with PrivateFile(folder / FILE_NAME) as out:
        out.write(data)


def outstanding(site: Site, session: Session) -> list[str]:
    """Return the buckets that have not got the newest list."""
    number = _number(session)
    if number == 0:
        return []
    published = facts.starting_with(session, _PUBLISHED)
    return [
        name
        for name, copy in site.config.copies.items()
        if isinstance(copy, ImmutableCopy) and published.get(_PUBLISHED + name) != str(number)
    ]


def recover(site: Site) -> list[str]:
    """Take the newest list of kit and buckets into a catalog that was rebuilt.

    Returns:
        Buckets that could not be asked: they may hold a newer list.

    Raises:
        StoppedError: The work was told to stop.
    """
    with site.catalog.reading() as session:
        newest = current(site, session)
    unasked = []
    found = [_of_kit(site, site.state_dir / "recovery-kit" / FILE_NAME)]
    for name, copy in site.config.copies.items():
        if isinstance(copy, ImmutableCopy):
            try:
                found.append(of_bucket(site, name))
            except StoppedError:
                raise
            except OrchestratorError as error:
                _log.warning("copy %s: its suppression list is not known: %s", name, error.message)
                unasked.append(name)
    for one in found:
        if one is not None and one.number > newest.number:
            newest = one
    now = site.clock.now()
    with site.catalog.transaction() as session:
        _take(site, session, newest)
        for key in facts.starting_with(session, _UNASKED):
            facts.drop(session, key)
        for name in unasked:
            facts.put(session, _UNASKED + name, value="rebuilt", now=now)
    return unasked


def standing(site: Site) -> Standing:
    """Return what is known of the list, without asking anybody."""
    with site.catalog.reading() as session:
        listed = current(site, session)
        return Standing(
            listed.number, len(listed.studies), outstanding(site, session), unasked(session)
        )


def unasked(session: Session) -> list[str]:
    """Return the buckets that may hold a newer list than a rebuilt catalog."""
    return [key.removeprefix(_UNASKED) for key in facts.starting_with(session, _UNASKED)]


def of_bucket(site: Site, name: str) -> SuppressionList | None:
    """Return the newest list that lies in a bucket; None if there is none.

    Raises:
        OrchestratorError: The bucket cannot be asked.
    """
    with site.bucket(name) as bucket:
        records = bucket.records(FOLDER)
        for version in sorted(_lists(site, records), key=lambda one: one.path, reverse=True):
            # A foreign object under our name changes nothing: the next one is tried.
            found = _decoded(site, records.read(version, limit=LARGEST_BYTES), f"copy {name}")
            if found is not None:
                return found
    return None


def of_kit(site: Site, kit: Path) -> SuppressionList | None:
    """Return the list that lies beside a kit's file; None if there is none that is this site's."""
    return _of_kit(site, kit.parent / FILE_NAME)


def decoded(site: Site, data: bytes, where: str) -> SuppressionList | None:
    """Read a list; None, with a word in the log, if it is not one of this site."""
    return _decoded(site, data, where)


def _demand_newest(session: Session) -> None:
    names = unasked(session)
    if names:
        raise RefusedError(
            f"the catalog was rebuilt, and copy {', '.join(names)} may hold a newer list of "
            "disposed studies: no disposal goes on before it was asked",
            hint="orchestrator catalog suppression --recover",
        )


def _number(session: Session) -> int:
    fact = facts.get(session, NUMBER)
    return int(fact.value) if fact is not None else 0


def _raise_number(site: Site, session: Session) -> None:
    facts.put(session, NUMBER, value=str(_number(session) + 1), now=site.clock.now())


def _take(site: Site, session: Session, listed: SuppressionList) -> None:
    suppressions.clear(session)
    for one in listed.studies:
        suppressions.add(session, one.store, [one.study], now=one.since)
    facts.put(session, NUMBER, value=str(listed.number), now=site.clock.now())


def _to_bucket(site: Site, name: str, listed: SuppressionList, data: bytes) -> None:
    path = _path(site, listed.number)
    config = site.bucket_config(name)
    now = site.clock.now()
    with site.bucket(name) as bucket:
        records = bucket.records(FOLDER)
        later = [one.path for one in _lists(site, records) if one.path > path]
        if later:
            raise EngineError(
                f"copy {name} holds a newer suppression list than this site",
                hint="orchestrator catalog suppression --recover",
            )
        kept = records.put(path, data)
        enough = now + config.lock_period * site.config.targets.extend_below
        if kept.retain_until is None or kept.retain_until < enough:
            records.extend(path, kept.version_id, now + config.lock_period)


def _lists(site: Site, records: Records) -> Iterator[VersionFact]:
    below = f"{site.keyring.id}/"
    return (one for one in records.versions(below) if not one.is_marker)


def _path(site: Site, number: int) -> str:
    return f"{site.keyring.id}/{number:010d}.json"


def _of_kit(site: Site, path: Path) -> SuppressionList | None:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return None
        return _decoded(site, path.read_bytes(), "the recovery kit")
    except OSError:
        return None


def _decoded(site: Site, data: bytes, where: str) -> SuppressionList | None:
    try:
        return decode(data, keyring=site.keyring.id, key=site.keyring.pseudonym_key())
    except ValueError as error:
        _log.warning("%s: %s", where, error)
        return None
