"""Checking that every repository opens with its key, and with no key of a stranger."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.actions import primary
from orchestrator.actions.kit import covered
from orchestrator.actions.site import Site


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What was found of one repository's keys.

    Attributes:
        name: Repository name.
        opens: Its password opens it.
        unexpected: Ids of key files in it that the keyring does not know: an incident.
    """

    name: str
    opens: bool
    unexpected: list[str]


def check_keys(site: Site) -> list[KeyCheck]:
    """Open every repository in the primary and compare its key files with the keyring.

    One whose key was destroyed opens no more, by intention, and is left out.

    Raises:
        CredentialError: A password opens nothing.
        NotFoundError: A repository is not there.
    """
    with site.catalog.reading() as session:
        rows = covered(site, session)
    known = {entry.name: set(entry.key_ids) for entry in site.keyring.entries()}
    found = []
    for row in rows:
        primary.check_there(site, row)
        engine = site.primary_engine(row.store, row.name)
        there = [one.id for one in engine.keys()]  # noqa: SIM118 - a method of restic's driver
        strangers = [one for one in there if one not in known.get(row.name, set())]
        found.append(KeyCheck(row.name, opens=True, unexpected=strangers))
    return found
