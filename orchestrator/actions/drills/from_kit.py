"""A drill with nothing but the recovery kit: it proves that the kit works.

No keyring, no catalog; of the site file only where the copy is and how its server is reached. The
site is there to say where to restore to and, if it has a catalog, to record the drill.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestrator.actions.disposal import suppression
from orchestrator.actions.drills.keeping import UnprovenError, give_up, recorded, settle_killed
from orchestrator.actions.drills.kit_site import KitKeyring, KitSite
from orchestrator.actions.drills.parts import Known, Proof, Watch
from orchestrator.actions.drills.restoring import look_and_restore
from orchestrator.actions.drills.sandbox import remove_leftovers
from orchestrator.actions.drills.wish import Wish, new_result
from orchestrator.actions.drills.work import DrillWork
from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.run import BY_HAND, Occasion, run
from orchestrator.actions.site import Site
from orchestrator.actions.state import KEYRING, SUPPRESSED, members
from orchestrator.catalog import facts
from orchestrator.catalog.encryption import Pseudonyms
from orchestrator.catalog.tables import Repository as RepositoryRow
from orchestrator.config.site import ImmutableCopy, OfflineCopy
from orchestrator.drills.result import Check, DrillResult
from orchestrator.drills.scope import Scope
from orchestrator.drills.verdict import judge
from orchestrator.engines import medium, medium_search
from orchestrator.errors import (
    AbsentCopyError,
    DamageError,
    NotFoundError,
    OrchestratorError,
)
from orchestrator.keys.kit import load_kit
from orchestrator.keys.kit_contents import KitContents, checksum
from orchestrator.retention.suppression import SuppressionList

if TYPE_CHECKING:
    from orchestrator.engines.restic.repository import Repository

DRILLED = "kit_drilled"
"""The fact that a kit was drilled and works: its value is the kit's checksum."""


def drill_with_kit(
    site: Site, wish: Wish, scope: Scope, watch: Watch, *, occasion: Occasion = BY_HAND
) -> DrillResult:
    """Make a drill from the kit; see `drill.drill`.

    Raises:
        StoppedError: It was told to stop.
        OrchestratorError: It could not be recorded.
    """
    result = new_result(site, wish, scope, site.clock.now())
    work = _KitDrill(site, wish, scope, result, watch)
    if not _has_catalog(site):
        result.remarks.append("This machine has no catalog: the drill was not recorded.")
        remove_leftovers(site)
        try:
            work.perform()
            result.verdict, result.reason, result.exit_code = judge(result)
        except OrchestratorError as error:
            give_up(result, error)
        result.ended_at = site.clock.now()
        return result
    with (
        suppress(UnprovenError),
        run(site, "drill", store=wish.store, exclusive=False, occasion=occasion) as current,
    ):
        result.drill = current.id
        settle_killed(site)
        with recorded(current, result) as proof:
            work.proof = proof
            with current.step("drill from the kit", copy=result.copy):
                work.perform()
        with site.catalog.transaction() as session:
            facts.put(session, DRILLED, value=checksum(work.kit), now=site.clock.now())
    return result


class _KitDrill:
    def __init__(
        self, site: Site, wish: Wish, scope: Scope, result: DrillResult, watch: Watch
    ) -> None:
        self._site = site
        self._wish = wish
        self._scope = scope
        self._result = result
        self._watch = watch
        self.proof = Proof()
        self.kit: KitContents

    def perform(self) -> None:
        """Read the kit, open the copy with it, restore, verify.

        Raises:
            DamageError: The kit is damaged, or the copy.
            CredentialError: The kit's secrets open nothing.
            OrchestratorError: The copy cannot be reached.
        """
        if self._wish.kit is None:
            raise NotFoundError("no recovery kit was named")
        self.kit = load_kit(self._wish.kit)
        repository = self._repository()
        # Not the site's own attributes: what it has opened already must not help.
        site = KitSite(**{one.name: getattr(self._site, one.name) for one in fields(Site)})
        site.kit = self.kit
        known = Known(
            repository_id=repository.id,
            held=None,
            suppressed=None,
            pseudonyms=lambda: Pseudonyms(site.keyring.pseudonym_key()),
            rpo=site.store_config(self._wish.store).rpo,
            snapshot=self._wish.snapshot,
            random_within=self._wish.random_within,
            seed=self._wish.seed or 0,
            judge_gaps=False,
        )
        work = DrillWork(
            site, self._scope, known, result=self._result, watch=self._watch, proof=self.proof
        )
        work.before = lambda engine, folder: work.know_disposed(
            self._open_stored(site, engine, folder)
        )
        with _opened(site, self._result.copy, repository) as opened:
            self._result.medium = opened.label
            look_and_restore(site, work, opened, repository.name, self._wish)
        work.check_clock()
        self._result.remarks += [
            "Nothing but the recovery kit was used: no key and no record of this machine.",
            "Gaps between snapshots are judged by drills with the catalog.",
        ]

    def _repository(self) -> RepositoryRow:
        """Return what the kit says of the store's repository.

        Raises:
            NotFoundError: It says nothing of it.
        """
        for one in self.kit.repositories:
            if one.store == self._wish.store and one.repository_id is not None:
                return RepositoryRow(
                    id=one.repository_id,
                    store=one.store,
                    name=one.name,
                    config_sha256=one.config_sha256 or "",
                    created_at=self.kit.made_at,
                )
        raise NotFoundError(
            f"the recovery kit knows no repository of store {self._wish.store}: it is another "
            "site's, or was made before the store",
            hint="make a new one: orchestrator key kit",
        )

    def _open_stored(self, site: Site, engine: Repository, folder: Path) -> frozenset[str]:
        """Open the keyring stored beside the images: the site can be rebuilt with this kit.

        Returns:
            Pseudonyms of the store's disposed studies, by the newest list there is.
        """
        states = [one for one in engine.snapshots(tags=["state"]) if one.time <= self._until()]
        if not states:
            raise NotFoundError("the copy holds no state of a site: it cannot be rebuilt from it")
        newest = max(states, key=lambda one: (one.time, one.id))
        found = members(engine.dump(newest.id, "/state.tar"), (KEYRING, SUPPRESSED))
        if KEYRING not in found:
            raise DamageError("the stored state of the site has no keyring in it")
        path = folder / KEYRING
        with path.open("xb") as out:
            path.chmod(0o600)
            out.write(found[KEYRING])
        stored = cast("KitKeyring", site.keyring)
        stored.open_stored(path)
        self._result.checks.append(
            Check(
                "recovery kit",
                "passed",
                "its password opened the repository, and its site key the keyring stored there",
            )
        )
        return self._disposed(site, found.get(SUPPRESSED))

    def _disposed(self, site: Site, stored: bytes | None) -> frozenset[str]:
        """Return what the newest suppression list names: of state, kit or the bucket itself."""
        lists = [SuppressionList()]
        if stored is not None:
            lists.append(suppression.decoded(site, stored, "the stored state") or lists[0])
        if self._wish.kit is not None:
            lists.append(suppression.of_kit(site, self._wish.kit) or lists[0])
        if isinstance(site.copy_config(self._result.copy), ImmutableCopy):
            lists.append(suppression.of_bucket(site, self._result.copy) or lists[0])
        newest = max(lists, key=lambda one: one.number)
        return frozenset(one.study for one in newest.studies if one.store == self._wish.store)

    def _until(self) -> datetime:
        return self._result.as_of or datetime.max.replace(tzinfo=self._result.started_at.tzinfo)


@contextmanager
def _opened(site: Site, name: str, repository: RepositoryRow) -> Iterator[OpenCopy]:
    """Open a copy; a medium without the register, which is in the catalog."""
    copy = site.copy_config(name)
    if not isinstance(copy, OfflineCopy):
        with open_copy(site, name, repository) as opened:
            yield opened
        return
    ours = [
        mounted
        for mounted in medium_search.find(copy.search, name)
        if mounted.identity.site == site.keyring.id
    ]
    if not ours:
        raise AbsentCopyError(
            f"copy {name}: no medium of the kit's site is connected", hint="connect one"
        )
    with medium.open_medium(ours[0], site=site.keyring.id, allow_folder=True) as handle:
        mounted = handle.mounted
        yield OpenCopy(
            copy,
            handle.place(repository.name),
            mounted.identity.medium,
            mounted.identity.label,
            f"medium:{mounted.fs_uuid or mounted.mount_point}",
            separate=mounted.separate,
            folder=handle.path / repository.name,
        )


def _has_catalog(site: Site) -> bool:
    try:
        return site.catalog is not None
    except OrchestratorError:
        return False
