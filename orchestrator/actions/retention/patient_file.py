"""Reading the file of a patient list, however large or hostile, and what it says of each patient.

The file is read once, line by line; its hash is what the ledger keeps of it.
"""

from __future__ import annotations

import hashlib
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO

from orchestrator.actions.retention.numbering import birth_key
from orchestrator.actions.site import Site
from orchestrator.errors import ConfigError, UsageError
from orchestrator.retention import people
from orchestrator.retention.listed import Listed
from orchestrator.retention.patient_list import LONGEST_LINE, read_rows
from orchestrator.retention.patient_row import Row
from orchestrator.retention.people import Person, PersonKey


@dataclass(slots=True, repr=False)
class PatientFile:
    """A patient list as it was read; its repr shows nobody.

    Attributes:
        sha256: Of the whole file, in hex.
        rows: Every row, with its faults.
        people: Everybody it names, good or not.
        keys: Their pseudonyms.
        birth_keys: Keyed hashes of their birth dates.
    """

    sha256: str
    rows: list[Row]
    people: dict[PersonKey, Person]
    keys: dict[PersonKey, str]
    birth_keys: dict[date, str]

    @property
    def rejected(self) -> list[Row]:
        """The rows with a fault."""
        return [row for row in self.rows if row.faults]

    @property
    def oldest_export(self) -> datetime | None:
        """The oldest time of export that a row states; None if none does."""
        return min((row.exported_at for row in self.rows if row.exported_at), default=None)

    @property
    def newest_export(self) -> datetime | None:
        """The newest time of export that a row states; None if none does."""
        return max((row.exported_at for row in self.rows if row.exported_at), default=None)

    def faults(self) -> Counter[str]:
        """Return how many rows have which fault."""
        return Counter(fault for row in self.rows for fault in row.faults)

    def compare(self, before: Mapping[str, Listed], *, confirms: bool) -> None:
        """Reject whom the list in force has with another birth date, then follow the merges.

        Args:
            before: What the list in force says, by pseudonym.
            confirms: This list is a later one: what it says again of somebody whose birth date
                had changed is believed.
        """
        changed = []
        for key, person in self.people.items():
            known = before.get(self.keys[key])
            if known is None or known.birth_key is None or person.born is None:
                continue
            is_other = known.birth_key != self.birth_keys[person.born]
            if is_other or (known.blocked == "birth_date_contradicts" and not confirms):
                changed.append(key)
        people.block_changed(self.people, changed)
        people.follow_merges(self.people)

    def listed(self, before: Mapping[str, Listed]) -> dict[str, Listed]:
        """Return what is kept of it, by pseudonym.

        Args:
            before: What the list in force says: of whom this list says nothing that can be
                believed, the birth date is still known to be recognised.
        """
        return {
            self.keys[key]: self._listed(key, person, before.get(self.keys[key]))
            for key, person in self.people.items()
        }

    def _listed(self, key: PersonKey, person: Person, known: Listed | None) -> Listed:
        born, blocked = person.born, person.blocked
        root = None if person.root in (None, key) else self.keys[person.root]
        if blocked is not None and blocked != "birth_date_contradicts":
            known = known or Listed()
            return Listed(
                birth_year=known.birth_year,
                birth_key=known.birth_key,
                blocked=blocked,
                merged_into=root,
            )
        return Listed(
            last_treatment=person.last_treatment if blocked is None else None,
            died=person.died if blocked is None else None,
            is_incompetent=person.is_incompetent and blocked is None,
            birth_year=None if born is None else born.year,
            birth_key=None if born is None else self.birth_keys[born],
            blocked=blocked,
            merged_into=root,
        )


def read_file(site: Site, file: Path, *, issuer: str | None) -> PatientFile:
    """Read a patient list.

    Args:
        site: The site.
        file: The list.
        issuer: Issuer of ids without one; None for the one that all stores name, if they do.

    Raises:
        UsageError: It is no file, or cannot be read.
        ConfigError: It is no patient list: every fault of its header, a line without end, or
            too many rows.
    """
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            if not stat.S_ISREG(file.stat().st_mode):
                raise UsageError("the patient list is no regular file")
            rows = read_rows(
                _lines(stream, digest), now=site.clock.now(), zone=site.config.timezone
            )
    except OSError as error:
        raise UsageError(f"the patient list cannot be read: {error.strerror}") from None
    found = people.people_of(rows, issuer=_issuer(site) if issuer is None else issuer)
    names = site.catalog.keys.pseudonyms
    born = {row.born for row in rows if row.born is not None}
    births = {day: birth_key(names, day.isoformat()) for day in born}
    return PatientFile(digest.hexdigest(), rows, found, _pseudonyms(site, found), births)


def _lines(stream: IO[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise ConfigError(
                [f"patient list: line {number}: it is longer than {LONGEST_LINE:,} bytes"]
            )
        digest.update(line)
        yield line


def _pseudonyms(site: Site, found: dict[PersonKey, Person]) -> dict[PersonKey, str]:
    names = site.catalog.keys.pseudonyms
    keys = {key: names.patient(key.issuer, key.patient_id) for key in found}
    return {key: name for key, name in keys.items() if name is not None}


def _issuer(site: Site) -> str:
    """Return the issuer that every store of the site names; empty if they do not agree."""
    named = {store.issuer or "" for store in site.config.stores.values()}
    return named.pop() if len(named) == 1 else ""
