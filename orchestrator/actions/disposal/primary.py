"""Taking studies out of every snapshot of a store's primary, and proving that they are gone.

Snapshots and manifests are stored anew first and compared; only then, in the transaction that asks
the holds, the old ones are forgotten, and what nothing needs any more is pruned to the last blob.
Cut off anywhere, the next run goes on: what stands beside its original is discarded, what has lost
it is adopted, and what is left to do is found by reading the manifests again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.actions import primary as primaries
from orchestrator.actions.disposal import absence, inside, sought, withdrawal
from orchestrator.actions.disposal.look import Look, look
from orchestrator.actions.disposal.manifests import Sieve
from orchestrator.actions.disposal.replacing import Replacing
from orchestrator.actions.disposal.rewriting import Anew, Manifests, rewrite
from orchestrator.actions.holds import guard
from orchestrator.actions.rotate import alone
from orchestrator.actions.run import Run
from orchestrator.actions.state import state_chunks
from orchestrator.catalog import copies, disposals, disposed, snapshots
from orchestrator.catalog.disposals import CopyKey
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.restic.repository import Repository

_WAIT_S = 600.0
"""How long readers of the store's copies are waited for."""

_MOST_TURNS = 5
"""So often may a hold be placed between reading the manifests and forgetting the snapshots."""


@dataclass(slots=True)
class PrimaryRemoval:
    """What left the primary.

    Attributes:
        studies: Studies of which the primary holds nothing any more.
        snapshots: Data snapshots that were replaced.
        kept: Why studies are kept after all, by study.
    """

    studies: int
    snapshots: int
    kept: dict[str, str]


class PrimaryDisposal:
    """The removal of one disposal's studies from the primary of one repository.

    Args:
        current: The run, which holds the store's lock.
        repository: The repository.
        engine: restic on the primary.
        disposal: Id of the disposal.
    """

    def __init__(
        self, current: Run, repository: RepositoryRow, engine: Repository, disposal: str
    ) -> None:
        self._run = current
        self._site = current.site
        self._repository = repository
        self._engine = engine
        self._store = repository.store
        self._disposal = disposal
        self._kept: dict[str, str] = {}
        self._sought = sought.Sought(current.site, repository, disposal)
        self._replacing = Replacing(current, repository, disposal)

    def perform(self) -> PrimaryRemoval:
        """Remove the studies whose files have left the store, and prove it.

        Raises:
            RefusedError: The primary holds a snapshot nobody can look into.
            DamageError: It is damaged, or what was to go is not proved to be gone.
            LockedError: Somebody reads the store's copies and does not end.
            OrchestratorError: restic failed; the next run goes on.
        """
        for _ in range(_MOST_TURNS):
            studies = self._studies()
            if not studies:
                return PrimaryRemoval(0, 0, self._kept)
            with self._run.step("look"):
                found = self._converge()
            with self._run.step("rewrite"):
                anew = self._store_anew(found, studies)
            with self._run.step("forget"), alone(self._site, self._store, _WAIT_S):
                held = self._exchange(anew, studies)
            if not held:
                return self._finish(anew, studies)
            self._engine.forget([one for new in anew for one in _new_ids(new)])
            withdrawal.tell(self._site, self._disposal, self._store, held)
            self._kept |= held
        raise EngineError(f"store {self._store}: holds are placed again and again")

    def _studies(self) -> list[str]:
        """Return what has left the store, and what has left the snapshots without a proof yet."""
        with self._site.catalog.reading() as session:
            key = CopyKey(self._disposal, self._store, self._site.config.primary.name)
            row = disposals.copy_row(session, key)
            is_proved = row is not None and row.state == disposals.ABSENT
            gone = () if is_proved else (disposals.PRIMARY_REMOVED,)
            rows = disposals.studies(
                session, self._disposal, store=self._store, states=(disposals.LIVE_REMOVED, *gone)
            )
        return [row.study_key for row in rows]

    def _converge(self) -> Look:
        """Bring the primary and its records together, whatever was cut off before."""
        primaries.make_ready(self._run, self._repository, self._engine)
        primaries.demand_pruned(self._run, self._repository)
        # Twice where something is adopted: what it replaces is to be forgotten then.
        for _ in range(_MOST_TURNS):
            found = look(self._run, self._repository, self._engine)
            if found.adopted:
                with self._site.catalog.transaction() as session:
                    self._replacing.adopt(session, found.adopted)
            useless = [*found.discard, *found.leftovers]
            if useless:
                primaries.open_rotation(self._site, self._repository)
                self._engine.forget(useless)
            if not (found.adopted or useless):
                return found
        raise EngineError(f"{self._engine.name}: snapshots appear that nobody has recorded")

    def _store_anew(self, found: Look, studies: Sequence[str]) -> list[Anew]:
        with self._site.catalog.reading() as session:
            spans = list(
                disposed.spans(session, self._store, studies, keys=self._site.catalog.keys)
            )
        sieve = Sieve(
            studies,
            self._site.catalog.keys.pseudonyms.study,
            ((span.path, span.study) for span in spans),
        )
        runs = {(span.first_run, span.gone_run) for span in spans}
        manifests = Manifests(
            self._engine,
            self._store,
            sieve,
            expected=lambda run: any(
                first <= run and (gone is None or run < gone) for first, gone in runs
            ),
            check_stop=self._site.check_stop,
        )
        anew = manifests.store_anew(found.pairs)
        if manifests.useless:
            primaries.open_rotation(self._site, self._repository)
            self._engine.forget(manifests.useless)
        self._sought.add(one.found for one in anew)
        rewrite(self._engine, anew, self._site.check_stop)
        return anew

    def _exchange(self, anew: Sequence[Anew], studies: Sequence[str]) -> dict[str, str]:
        """Forget the old snapshots, unless a hold says no; return which studies it is about."""
        old = [new.pair.data.id for new in anew if new.data is not None]
        if anew:
            primaries.open_rotation(self._site, self._repository, old)
        with guard.guarded(self._site) as session:
            held = self._withdraw_held(session, studies, is_final=not anew)
            if held:
                return held
            for new in anew:
                self._replacing.pair(session, new)
            disposals.set_studies(
                session,
                self._disposal,
                [(self._store, study) for study in studies],
                state=disposals.PRIMARY_REMOVED,
                primary_removed_at=self._site.clock.now(),
            )
            if old:
                self._engine.forget(old)
        # Only now: a data snapshot without its manifest could not be looked into any more.
        if anew:
            self._engine.forget([new.pair.manifest.id for new in anew])
        return {}

    def _withdraw_held(
        self, session: Session, studies: Sequence[str], *, is_final: bool
    ) -> dict[str, str]:
        """Keep studies that are on hold by now, as long as they are still in a snapshot.

        Raises:
            RefusedError: One that was taken out of snapshots before is on hold.
        """
        holds = guard.held_studies(self._site, session, self._store, studies)
        whole = {
            row.study_key
            for row in disposals.studies(
                session, self._disposal, store=self._store, states=(disposals.LIVE_REMOVED,)
            )
        }
        late = holds.keys() - whole
        if late and not is_final:
            guard.demand_free(
                self._site,
                session,
                guard.Removal(
                    path="disposal.execute",
                    what=f"disposal {self._disposal}",
                    store=self._store,
                    studies=late,
                ),
            )
        held = dict.fromkeys(holds.keys() & whole, withdrawal.ON_HOLD)
        withdrawal.withdraw(self._site, session, self._disposal, self._store, held)
        return held

    def _finish(self, anew: Sequence[Anew], studies: Sequence[str]) -> PrimaryRemoval:
        with self._run.step("prune"), alone(self._site, self._store, _WAIT_S):
            self._renew_state()
            primaries.remove_leftovers(self._site.primary_root(self._repository.name))
            primaries.finish_rotation(self._run, self._repository, self._engine, max_unused="0")
        with self._run.step("prove", copy=self._site.config.primary.name):
            hashes = self._sought.hashes(studies)
            evidence = inside.prove_repository(
                self._site, self._repository, self._engine, hashes=hashes, studies=studies
            )
        now = self._site.clock.now()
        with self._site.catalog.transaction() as session:
            disposed.reduce(session, self._store, studies)
            anew_data = [
                row
                for row in disposals.replacements(
                    session, disposal=self._disposal, repository_id=self._repository.id
                )
                if row.kind == "data"
            ]
            name = self._site.config.primary.name
            given_up = copies.inventory(
                session, (name, "", self._repository.id), states=("removed",)
            )
            # A clock that was set back since must not make what went before look like later.
            free = max([now, *(one.removed_at for one in given_up if one.removed_at is not None)])
            disposals.update_copy(
                session,
                CopyKey(self._disposal, self._store, name),
                state=disposals.ABSENT,
                proved_at=now,
                detail=None,
                evidence=evidence
                | {"snapshots_replaced": len(anew_data), absence.FREE_SINCE: free.isoformat()},
            )
        self._sought.drop()
        return PrimaryRemoval(len(studies), len(anew), self._kept)

    def _renew_state(self) -> None:
        """Put a state of now in the place of all earlier ones, which name what is gone."""
        with self._site.catalog.reading() as session:
            old = [
                row.id
                for row in snapshots.of_store(
                    session, self._store, kind="state", repository_id=self._repository.id
                )
            ]
        done = self._engine.backup_stream(
            "state.tar",
            state_chunks(self._site),
            tags=["state", f"store={self._store}", f"run={self._run.id}"],
        )
        with self._site.catalog.transaction() as session:
            self._replacing.states(session, done, old)
        if old:
            primaries.open_rotation(self._site, self._repository)
            self._engine.forget(old)


def _new_ids(new: Anew) -> list[str]:
    return [new.manifest] if new.data is None else [new.data.id, new.manifest]
