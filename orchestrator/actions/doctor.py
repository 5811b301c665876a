"""Checking everything that can be checked without changing anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from orchestrator.actions import attach, keys, media
from orchestrator.actions.clock_trust import look_at_clock
from orchestrator.actions.disposal.doctor import look_at_disposals, look_at_suppression
from orchestrator.actions.drills.doctor import look_at_decoders, look_at_kit, look_at_sandbox
from orchestrator.actions.finding import Finding
from orchestrator.actions.holds.doctor import look_at_holds
from orchestrator.actions.key_destruction.doctor import look_at_destroyed_keys
from orchestrator.actions.ledger.doctor import (
    look_at_anchors,
    look_at_certificates,
    look_at_ledger,
    look_at_sanitizations,
    look_at_vendors,
)
from orchestrator.actions.ledger.verifying import look_at_verification
from orchestrator.actions.place_register.doctor import look_at_places
from orchestrator.actions.places import read_marker
from orchestrator.actions.retention.doctor import look_at_retention
from orchestrator.actions.site import Site
from orchestrator.catalog import buckets, runs
from orchestrator.config.site import Copy, FolderStore, ImmutableCopy, LocalCopy, OfflineCopy
from orchestrator.errors import OrchestratorError

LOW_SPACE_SHARE = 0.1
PROBE_MAX_AGE = timedelta(days=8)


def examine(site: Site) -> list[Finding]:
    """Check a site from the program it needs to the last bucket."""
    found: list[Finding] = []
    for name, look in _CHECKS:
        found += _guarded(name, partial(look, site))
    for store in site.config.stores.values():
        found += _guarded(f"store {store.name}", partial(_store, site, store))
    for copy in site.config.copies.values():
        found += _guarded(f"copy {copy.name}", partial(_copy, site, copy))
    return found


def _copy(site: Site, copy: Copy) -> Iterator[Finding]:
    if isinstance(copy, LocalCopy):
        return _local(site, copy)
    if isinstance(copy, OfflineCopy):
        return _offline(site, copy)
    return _immutable(site, copy)


def _guarded(name: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """A check that cannot be made is a finding, and keeps no other from its turn."""
    try:
        return list(look())
    except OrchestratorError as error:
        return [Finding(name, "fail", error.message, error.hint)]


def _engine(site: Site) -> Iterator[Finding]:
    binary = site.restic
    yield Finding("restic", "ok", f"version {'.'.join(map(str, binary.version))}")


def _keyring(site: Site) -> Iterator[Finding]:
    count = sum(entry.purpose == "repository" for entry in site.keyring.entries())
    yield Finding("keyring", "ok", f"opens; {count} repositories")


def _catalog(site: Site) -> Iterator[Finding]:
    damage = site.catalog.find_damage()
    if damage:
        yield Finding(
            "catalog", "fail", f"damaged: {damage[0]}", "orchestrator catalog rebuild --copy COPY"
        )
    else:
        yield Finding("catalog", "ok", site.catalog.where)
    with site.catalog.reading() as session:
        open_runs = list(runs.unfinished(session))
    for run in open_runs:
        yield Finding(
            "runs", "warn", f"run {run.id} ({run.action}) is not finished: at work, or killed"
        )


def _keys(site: Site) -> Iterator[Finding]:
    for one in keys.check_keys(site):
        if one.opens is None:
            yield Finding(f"keys of {one.name}", "unknown", str(one.detail), one.hint)
        elif one.unexpected:
            yield Finding(
                f"keys of {one.name}",
                "fail",
                f"{len(one.unexpected)} key files that nobody here has made: an incident",
                "find out who added them; a suspected leak needs a new repository",
            )
        else:
            yield Finding(f"keys of {one.name}", "ok", "the password opens it; no stranger's key")


def _store(site: Site, store: FolderStore) -> Iterator[Finding]:
    name = f"store {store.name}"
    site.store(store.name).check_present()
    yield Finding(name, "ok", "is there and can be listed")
    if store.sentinel is None and os.path.ismount(store.path):
        yield Finding(
            name,
            "warn",
            "is a mount point without a sentinel: unmounted it looks like an empty folder",
            f'put a file there and name it: sentinel = ".mounted" in [stores.{store.name}]',
        )


def _local(site: Site, copy: LocalCopy) -> Iterator[Finding]:
    name = f"copy {copy.name}"
    marker = read_marker(copy.path)
    if marker is None:
        yield Finding(
            name,
            "fail",
            "its folder is not there, or its disk is not mounted",
            f"mount it; for a new copy: orchestrator init {site.config.path.parent}",
        )
        return
    if marker.get("site") != site.keyring.id:
        yield Finding(name, "fail", "the folder belongs to another site", "correct its path")
        return
    usage = shutil.disk_usage(copy.path)
    share = usage.free / usage.total
    detail = f"{usage.free / 1e9:.1f} GB free ({share:.0%})"
    low = share < LOW_SPACE_SHARE
    yield Finding(
        name, "warn" if low else "ok", detail, "make room, or use a larger disk" if low else None
    )
    device = os.stat(copy.path).st_dev
    for store in site.config.stores.values():
        if store.path.exists() and os.stat(store.path).st_dev == device:
            yield Finding(
                name,
                "warn",
                f"is on the same disk as store {store.name}: one broken disk takes both",
                "use another disk",
            )


def _offline(site: Site, copy: OfflineCopy) -> Iterator[Finding]:
    name = f"copy {copy.name}"
    known = [one for one in media.listing(site) if one.row.copy_ == copy.name]
    if not known:
        yield Finding(name, "fail", "has no medium", f"orchestrator medium add {copy.name} PATH")
    for one in known:
        where = "connected" if one.connected else "away"
        due = f", due {one.row.due_at:%Y-%m-%d}" if one.row.due_at else ""
        yield Finding(
            f"medium {one.row.label}",
            "fail" if one.overdue else "ok",
            f"{where}{due}" + (": overdue" if one.overdue else ""),
            "bring it back and connect it" if one.overdue else None,
        )
    for mounted in attach.look(site, copy):
        if not mounted.separate:
            yield Finding(
                f"medium {mounted.identity.label}",
                "warn",
                f"does not count: it {mounted.reason}",
                "use a mounted file system on a disk of its own",
            )


def _immutable(site: Site, copy: ImmutableCopy) -> Iterator[Finding]:
    name = f"copy {copy.name}"
    with site.bucket(copy.name) as bucket:
        seen = bucket.facts()
    if not seen.exists:
        yield Finding(
            name, "fail", "the bucket does not exist", f"orchestrator bucket create {copy.name}"
        )
        return
    if not seen.versioning:
        yield Finding(name, "fail", "versioning is off", "make a new bucket with Object Lock")
    if not seen.lock_enabled:
        yield Finding(
            name,
            "fail",
            "Object Lock is off: nothing in it is protected",
            f"make a new bucket: orchestrator bucket create {copy.name}",
        )
    else:
        yield Finding(name, "ok", "Object Lock is on")
    default = seen.default_retention
    if default is not None and default.period > copy.lock_period:
        yield Finding(
            name,
            "warn",
            f"its default retention of {default.period.days} days is longer than lock_period",
            "every object is locked longer than the site file says",
        )
    elif default is not None and default.period < copy.lock_period:
        yield Finding(
            name,
            "warn",
            f"its default retention of {default.period.days} days is shorter than lock_period",
            "each object gets its own lock; as a net for what others put, the default is too weak",
        )
    elif default is not None and default.mode != "COMPLIANCE":
        yield Finding(name, "warn", "its default retention is GOVERNANCE: it can be bypassed")
    yield from _clock_of(site, name, seen.skew)
    yield from _probe_of(site, copy)


def _clock_of(site: Site, name: str, skew: timedelta | None) -> Iterator[Finding]:
    if skew is None:
        yield Finding(name, "unknown", "the server does not tell the time")
    elif abs(skew) > site.config.targets.max_clock_skew:
        yield Finding(
            name, "fail", f"its server's clock differs by {abs(skew)}", "set the clock: timedatectl"
        )


def _probe_of(site: Site, copy: ImmutableCopy) -> Iterator[Finding]:
    name = f"tamper probe of {copy.name}"
    hint = f"orchestrator bucket probe {copy.name}"
    with site.catalog.reading() as session:
        probe = buckets.last_probe(session, copy.name)
    if probe is None:
        yield Finding(name, "unknown", "was never made", hint)
    elif probe.verdict == "breached":
        bad = [a["action"] for a in probe.attempts if a["ok"] is False]
        yield Finding(name, "fail", f"breached: {', '.join(bad)}", "see deploy/policies")
    elif probe.verdict != "held" or site.clock.now() - probe.at > PROBE_MAX_AGE:
        yield Finding(name, "warn", f"{probe.verdict}, {probe.at:%Y-%m-%d}", hint)
    else:
        yield Finding(name, "ok", f"held, {probe.at:%Y-%m-%d %H:%M} UTC")
    if copy.sweeper is None:
        yield Finding(
            f"copy {copy.name}",
            "warn",
            "has no sweeper: what is no longer needed stays for ever",
            f"[copies.{copy.name}.sweeper], or a life-cycle rule on the bucket",
        )


_CHECKS: tuple[tuple[str, Callable[[Site], Iterator[Finding]]], ...] = (
    ("restic", _engine),
    ("keyring", _keyring),
    ("catalog", _catalog),
    ("clock", look_at_clock),
    ("recovery kit", look_at_kit),
    ("keys", _keys),
    ("destroyed keys", look_at_destroyed_keys),
    ("folder for drills", look_at_sandbox),
    ("ledger", look_at_ledger),
    ("ledger verification", look_at_verification),
    ("ledger anchors", look_at_anchors),
    ("certificates", look_at_certificates),
    ("sanitizations", look_at_sanitizations),
    ("vendors", look_at_vendors),
    ("retention", look_at_retention),
    ("holds", look_at_holds),
    ("former places", look_at_places),
    ("disposals", look_at_disposals),
    ("disposed studies", look_at_suppression),
    ("decoders", look_at_decoders),
)
