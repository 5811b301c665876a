"""What this machine itself may still have of disposed studies, beside the store and the catalog.

Pictures on the contact sheets of drills, and catalogs that a rebuild has put aside: they know paths
and identities. Both are cleared whenever a disposal is brought forward; it does not end before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.actions.drills.pictures import drop_pictures
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, disposed
from orchestrator.catalog.disposals import GOING
from orchestrator.errors import OrchestratorError, StoppedError

ASIDE = "catalog.*Z.sqlite"
"""Catalogs that a rebuild has replaced, in the state folder."""


def clear(site: Site, name: str) -> list[str]:
    """Remove what is left on this machine of the studies of a disposal that have gone.

    Args:
        site: The site.
        name: The disposal.

    Returns:
        What could not be cleared, in words.

    Raises:
        StoppedError: The work was told to stop.
        OrchestratorError: The catalog fails.
    """
    with site.catalog.reading() as session:
        gone: dict[str, list[str]] = {}
        for one in disposals.studies(session, name, states=GOING):
            gone.setdefault(one.store, []).append(one.study_key)
    problems = []
    for store, studies in sorted(gone.items()):
        try:
            drop_pictures(site, store, studies)
        except StoppedError:
            raise
        except OrchestratorError as error:
            problems.append(f"disposal {name}: pictures in the reports of drills: {error.message}")
    problems += [f"disposal {name}: {words}" for words in _catalogs(site, gone)]
    return problems


def _catalogs(site: Site, gone: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Let catalogs that were put aside forget the studies; say which cannot."""
    if site.config.catalog.url is not None:
        return
    for path in sorted(site.state_dir.glob(ASIDE)):
        try:
            aside = site.open_catalog(create=False, file=path.name)
            try:
                with aside.transaction() as session:
                    for store, studies in gone.items():
                        disposed.reduce(session, store, studies)
            finally:
                aside.dispose()
        except StoppedError:
            raise
        except OrchestratorError:
            yield (
                f"{path.name} in the state folder, which a rebuild has put aside, names disposed "
                "studies and cannot be opened: remove it"
            )
