"""Removing from a bucket what the primary gave up, once its lock has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.actions import observe
from orchestrator.actions.run import BY_HAND, Occasion, Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, facts
from orchestrator.engines.layout import REMOVE_ORDER
from orchestrator.errors import RefusedError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.bucket.versions import VersionFact

_ORDER: dict[str, int] = {kind: number for number, kind in enumerate(REMOVE_ORDER)}


@dataclass(slots=True)
class Sweep:
    """What the removal of outdated versions came to.

    Attributes:
        store: Store name.
        removed: Versions whose lock had ended and that are gone, by a second listing.
        locked: Versions that stay until their lock ends.
    """

    store: str
    removed: int
    locked: int


def sweep(site: Site, name: str, stores: list[str], *, occasion: Occasion = BY_HAND) -> list[Sweep]:
    """Remove versions the primary no longer needs once their lock has ended.

    Removal is proved by a second listing. The newest rightful version of anything the primary
    needs is never touched. Packs stay as long as an index does that may name them.

    Raises:
        RefusedError: No sweeper credential is configured.
    """
    if site.bucket_config(name).sweeper is None:
        raise RefusedError(
            f"copy {name}: no sweeper credential is configured",
            hint=f"add [copies.{name}.sweeper], or use a life-cycle rule on the bucket",
        )
    results = []
    for store in stores:
        with (
            run(site, "sweep", store=store, occasion=occasion) as current,
            current.step("sweep", copy=name),
        ):
            results.append(_sweep(current, name, site.repository(store)))
    return results


def _sweep(current: Run, name: str, repository: RepositoryRow) -> Sweep:
    site = current.site
    key = (name, "", repository.id)
    obsolete = observe.removed_from_primary(site, repository.id)
    locked = 0
    with site.bucket(name) as bucket:
        outdated = [v for v in bucket.versions(repository.name) if v.parsed in obsolete]
        outdated.sort(key=lambda version: _ORDER.get(_kind(version), -1))
        held_back = False
        for version in outdated:
            site.check_stop()
            kind = _kind(version)
            if kind == "data" and held_back:
                locked += 1
                continue
            try:
                bucket.sweep(version)
            except RefusedError:
                locked += 1
                held_back = held_back or kind == "index"
        left = [v for v in bucket.versions(repository.name) if v.parsed in obsolete]
    names = {version.parsed for version in left}
    gone = {v.parsed for v in outdated if v.parsed is not None and v.parsed not in names}
    removed = len({v.version_id for v in outdated} - {v.version_id for v in left})
    with site.catalog.transaction() as session:
        copies.mark_removed(session, key, gone, now=site.clock.now())
        facts.put(session, f"sweep:{name}", value=str(removed), now=site.clock.now())
    current.metrics.update(removed=removed, locked=locked)
    return Sweep(repository.store, removed, locked)


def _kind(version: VersionFact) -> str:
    return version.parsed[0] if version.parsed is not None else ""
