"""Looking at every place of a disposal in turn, and recording what is seen there."""

from __future__ import annotations

import logging

from orchestrator.actions.disposal import ending, judging
from orchestrator.actions.disposal.places import Place, places
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, disposed
from orchestrator.catalog.disposal_tables import LIVE, DisposalCopy
from orchestrator.catalog.disposals import ABSENT, GOING, LEFT, CopyKey
from orchestrator.errors import AbsentCopyError, OrchestratorError, StoppedError

_log = logging.getLogger(__name__)


class Visits:
    """One round through the places of a disposal.

    Args:
        site: The site.
        name: The disposal.
        problems: What goes wrong is added here, in words.

    Attributes:
        back: The store itself or its primary, where remains were found that the engine must
            remove.
        unsure: A place that was proved free before could not be looked at again.
    """

    def __init__(self, site: Site, name: str, problems: list[str]) -> None:
        self._site = site
        self._name = name
        self._problems = problems
        self._fresh: set[CopyKey] = set()
        self._returned: set[str] = set()
        self.back: list[CopyKey] = []
        self.unsure = False

    def look(self, *, again: bool) -> None:
        """Look at every place that is not proved free; or, again, at those that were before."""
        with self._site.catalog.reading() as session:
            known = list(disposals.copies(session, self._name))
            where = {
                (place.store, place.copy, place.medium): place
                for store in sorted({row.store for row in known})
                for place in places(self._site, session, store)
            }
        for row in known:
            self._site.check_stop()
            if again != (row.state == ABSENT) or CopyKey.of(row) in self._fresh:
                continue
            self._look_at(row, where.get((row.store, row.copy_, row.medium)))

    def _look_at(self, row: DisposalCopy, place: Place | None) -> None:
        """Look at one place, and record what is seen; a proof stays where nobody can look now."""
        key = CopyKey.of(row)
        seen = judging.by_rule(self._site, row, place)
        if seen is None:
            if self._is_near(row) and self._has_returned(row):
                return
            seen = self._proof(row, key)
            if seen is not None and seen.state == LEFT and self._is_near(row):
                self.back.append(key)
            if row.state == ABSENT and (seen is None or seen.state not in (ABSENT, LEFT)):
                self.unsure |= row.role != "offline" or seen is not None  # a medium is rarely here
                if seen is not None:
                    self._problems.append(
                        f"disposal {self._name}: store {row.store}, copy {row.copy_ or 'live'}: "
                        f"it was free, and cannot be proved to be now: {seen.detail}"
                    )
                return
        elif row.state == ABSENT:
            return  # it was proved free before it was taken away
        if seen is None:
            return
        self._fresh.add(key)
        with self._site.catalog.transaction() as session:
            disposals.update_copy(
                session,
                key,
                state=seen.state,
                residual_until=None if seen.state == ABSENT else seen.residual_until,
                proved_at=seen.at if seen.state == ABSENT else None,
                detail=seen.detail,
                evidence=seen.evidence,
            )

    def _is_near(self, row: DisposalCopy) -> bool:
        """Say whether a place is the store itself or its primary, which the engine empties."""
        return row.copy_ in (LIVE, self._site.config.primary.name)

    def _has_returned(self, row: DisposalCopy) -> bool:
        """Say whether a store has a disposed study again, and make it known.

        Somebody put it there: perhaps the patient came back. It is not removed without a person,
        and its new backups are no remains of the old ones.
        """
        with self._site.catalog.reading() as session:
            studies = disposals.studies(session, self._name, store=row.store, states=GOING)
            keys = [one.study_key for one in studies]
            there = disposed.in_catalog(session, row.store, keys)
        if not there or row.store in self._returned:
            return bool(there)
        self._returned.add(row.store)
        self._problems.append(
            f"disposal {self._name}: {len(there)} disposed studies are in store {row.store} again, "
            "or were since; to remove them: orchestrator --as ACTOR disposal execute "
            f"{self._name} --execute"
        )
        ending.tell_returned(self._site, row, len(there))
        return True

    def _proof(self, row: DisposalCopy, key: CopyKey) -> judging.Seen | None:
        from orchestrator.actions.disposal.absence import prove_copy

        started = self._site.clock.now()
        try:
            proof = prove_copy(self._site, self._name, key)
        except StoppedError:
            raise
        except AbsentCopyError as error:
            return judging.away(self._site, row, error.message)
        except OrchestratorError as error:
            _log.warning("disposal %s: copy %s: %s", self._name, key.copy or "live", error.message)
            self._problems.append(
                f"disposal {self._name}: store {key.store}, copy {key.copy or 'live'}: "
                f"{error.message}"
            )
            return judging.failed(self._site, row, error.message)
        return judging.looked(self._site, proof, started)
