"""Emptying caches of viewers and acquisition software by age, by an allow-list of names.

A matter of housekeeping: it is recorded with counts, and claims no sanitization of anything.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.actions.ledger.record import Event, announced
from orchestrator.actions.run import BY_HAND, Occasion, run
from orchestrator.actions.site import Site
from orchestrator.config.caches import Cache
from orchestrator.engines.cache_folder import Rule, Swept, place_of, sweep
from orchestrator.errors import NotFoundError, RefusedError


@dataclass(frozen=True, slots=True)
class Purged:
    """What was done in one cache.

    Attributes:
        cache: Its name.
        executed: Files were removed; otherwise this is what would be.
        swept: What was found.
    """

    cache: str
    executed: bool
    swept: Swept

    @property
    def problem(self) -> str | None:
        """What fell short; None for nothing."""
        failed = self.swept.failed
        return f"{failed} files or folders could not be read or removed" if failed else None


def purge(site: Site, name: str, *, execute: bool, occasion: Occasion = BY_HAND) -> Purged:
    """Remove old files of a cache, or say what would go.

    Args:
        site: The site.
        name: Name of the cache in the site file.
        execute: Remove them; otherwise only look.
        occasion: Why it happens.

    Raises:
        NotFoundError: There is no such cache.
        RefusedError: The cache shares a place with a store, a copy or the state folder.
        EngineError: Its folder cannot be opened, or the ledger fails: then nothing was removed.
    """
    cache = _cache(site, name)
    _demand_apart(site, cache)
    rule = Rule(cache.patterns, site.clock.now() - cache.older_than, _kept(site))
    found = sweep(cache.path, rule, remove=False, check_stop=site.check_stop)
    if not execute:
        return Purged(name, executed=False, swept=found)
    with run(site, "purge-cache", occasion=occasion) as current:
        if found.files:
            about = {"cache": name, "older_than_s": int(cache.older_than.total_seconds())}
            with announced(site, Event("cache.purge", about)) as outcome:
                found = sweep(cache.path, rule, remove=True, check_stop=site.check_stop)
                outcome.update(about, **counts(found), sanitization="none claimed")
        done = Purged(name, executed=True, swept=found)
        current.metrics.update(counts(found))
        if done.problem:
            current.fell_short(f"cache {name}: {done.problem}")
    return done


def counts(swept: Swept) -> dict[str, Any]:
    """Return the counts by name."""
    return asdict(swept)


def _cache(site: Site, name: str) -> Cache:
    try:
        return site.config.caches[name]
    except KeyError:
        known = ", ".join(site.config.caches) or "none"
        raise NotFoundError(
            f"there is no cache named {name!r}; the site has: {known}",
            hint="add [caches.NAME] to the site file",
        ) from None


def _demand_apart(site: Site, cache: Cache) -> None:
    """Refuse a cache that shares a place with what must be kept, as the disk is now."""
    real = cache.path.resolve()
    for folder in _folders(site):
        other = folder.resolve()
        if real.is_relative_to(other) or other.is_relative_to(real):
            raise RefusedError(
                f"cache {cache.name} shares a place with a store, a copy or the state folder",
                hint=f"correct [caches.{cache.name}] in the site file",
            )


def _kept(site: Site) -> set[tuple[int, int]]:
    return {place for folder in _folders(site) if (place := place_of(folder)) is not None}


def _folders(site: Site) -> list[Path]:
    return [
        site.state_dir,
        *(store.path for store in site.config.stores.values()),
        *(copy.path for copy in site.local_copies()),
    ]
