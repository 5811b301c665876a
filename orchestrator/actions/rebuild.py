"""Making the catalog anew from the manifests and the state that every copy holds.

The state is of the last backup. What happened since stands in the ledger, which leads: whatever
it tells that the state does not know is brought back from there.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.actions.disposal import suppression
from orchestrator.actions.holds.recover import recover as recover_holds
from orchestrator.actions.ledger.fetch import Fetched, fetch_gently
from orchestrator.actions.lock import StoreLock
from orchestrator.actions.place_register.recover import recover as recover_places
from orchestrator.actions.rebuilding import contents
from orchestrator.actions.rebuilding.bring import bring_back
from orchestrator.actions.rebuilding.database import UNFINISHED, put_in_place, remove_database
from orchestrator.actions.rebuilding.primaries import list_primary
from orchestrator.actions.site import Site
from orchestrator.errors import OrchestratorError


@dataclass(slots=True)
class Rebuilt:
    """What was brought back.

    Attributes:
        copy: The copy that was read.
        rows: Rows of the stored state.
        snapshots: Data snapshots.
        files: Files of the newest manifests.
        put_aside: Where the old catalog is kept; None if there was none.
        unasked: Buckets that may hold a newer suppression list and could not be asked.
        fetched: Entries of the ledger that a bucket had and this machine had not; None for none.
        brought_back: How many of what the ledger knows and the state did not, by noun.
        lost: What could not be brought back whole, in sentences that say what to do.
    """

    copy: str
    rows: int = 0
    snapshots: int = 0
    files: int = 0
    put_aside: Path | None = None
    unasked: list[str] = field(default_factory=list)
    fetched: Fetched | None = None
    brought_back: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def rebuild(site: Site, name: str, stores: list[str], *, rotated: bool = False) -> Rebuilt:
    """Rebuild the catalog from one copy.

    The newest stored state gives runs, media, inventories and everything else but files; the
    newest manifest of each store gives the files; snapshots younger than the state are added
    from the repository itself; the ledger gives what happened after the state. The old catalog is
    put aside once the new one is whole.

    Args:
        site: The site; its keyring must be there.
        name: Copy name.
        stores: Stores whose repositories are read.
        rotated: A person says that a rotation took from the primary what is gone since the state.

    Raises:
        LockedError: A run of one of the site's stores is at work.
        NotFoundError: The copy holds no state or manifest.
        RefusedError: A PostgreSQL catalog is not empty.
        OrchestratorError: The copy cannot be read.
    """
    result = Rebuilt(name)
    with ExitStack() as stack:
        for store in site.config.stores:
            lock = StoreLock(site.lock_dir, store)
            lock.acquire("catalog rebuild")
            stack.callback(lock.release)
        remove_database(site.state_dir / UNFINISHED)
        try:
            site.catalog = site.open_catalog(create=True, file=UNFINISHED)
            try:
                for store in contents.newest_state_first(site, name, stores):
                    _add_store(site, store, result, rotated=rotated)
                # Before it is anybody's: what the ledger tells keeps a disposed study away.
                size = _bring_back(site, result)
            finally:
                site.catalog.dispose()
        except BaseException:
            remove_database(site.state_dir / UNFINISHED)
            raise
        result.put_aside = put_in_place(site)
        site.catalog = site.open_catalog(create=False)
        if _entries(site) != size:  # others have gone on writing meanwhile, into the old catalog
            _bring_back(site, result)
    return result


def _add_store(site: Site, store: str, result: Rebuilt, *, rotated: bool) -> None:
    repository = contents.provisional(site, store)
    with contents.reading(site, result.copy, repository) as engine:
        repository = contents.with_id(repository, engine.config_id())
        found = engine.snapshots()
        if not result.rows:
            result.rows = contents.import_state(site, engine, found)
        contents.register(site, repository)
        result.snapshots += contents.add_snapshots(site, repository, found)
        result.files += contents.load_manifest(site, repository, engine, found)
    list_primary(site, repository, rotated=rotated, lost=result.lost)


def _bring_back(site: Site, result: Rebuilt) -> int:
    """Bring back what is younger than the state, from whoever has it.

    Returns:
        How many entries the ledger had before it was asked.
    """
    lost: list[str] = []
    site.__dict__.pop("ledger", None)  # it may have come back since it was opened
    result.fetched = fetch_gently(site, lost) or result.fetched
    size = _entries(site)
    # A state older than a disposal does not know of it; the list outside it may.
    result.unasked = suppression.recover(site)
    brought = bring_back(site)
    counts = brought.counts + Counter(result.brought_back)
    counts["holds"] += len(recover_holds(site))
    counts["places"] += recover_places(site)
    result.brought_back = dict(sorted((+counts).items()))
    result.lost += [one for one in [*lost, *brought.lost] if one not in result.lost]
    return size


def _entries(site: Site) -> int:
    """Return how many entries the ledger has; none if it cannot be read, which is said."""
    try:
        return site.ledger.reader().checkpoint.size
    except OrchestratorError:
        return 0
