"""Nothing goes, and nothing is decided, by a clock that was years ahead for a night."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from orchestrator.actions import clock_trust
from orchestrator.actions.backup import back_up
from orchestrator.actions.clock_trust import confirm, look_at_clock
from orchestrator.actions.disposal.decide_batch import approve
from orchestrator.actions.disposal.execute import execute
from orchestrator.actions.disposal.listing import show
from orchestrator.actions.disposal.propose import propose
from orchestrator.actions.retention.plan import plan
from orchestrator.actions.rotate import rotate
from orchestrator.actions.site import Site
from orchestrator.actions.sweep import sweep
from orchestrator.catalog import suppressions
from orchestrator.errors import RefusedError, UsageError
from tests.integration.disposal.conftest import MORE, acting
from tests.support.due_studies import BATCH, OLD
from tests.support.site import STORE, LabSite

YEARS = timedelta(days=3650)
BY_SERVER = "copy vault: its server's clock differs"
BY_RECORDS = "behind what was recorded before"


def refused(act: Callable[[], object], words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        act()


def is_untouched(site: Site, lab: LabSite) -> bool:
    with site.catalog.reading() as session:
        hidden = list(suppressions.every(session))
    return not hidden and all((lab.images / one.folder).exists() for one in OLD)


def test_a_clock_that_a_bucket_contradicts_lets_nothing_go(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(vault=True, more=MORE)
    with acting(lab, "it", ahead=YEARS) as site:
        refused(lambda: propose(site), BY_SERVER)
        refused(lambda: plan(site), BY_SERVER)
    with acting(lab, "it") as site:  # set right: the server says so, whatever was recorded
        propose(site)
    with acting(lab, "privacy", ahead=YEARS) as site:
        refused(lambda: approve(site, BATCH), BY_SERVER)
    with acting(lab, "privacy") as site:
        until = approve(site, BATCH).row.quarantine_until
        assert until is not None
        assert until < site.clock.now() + timedelta(days=15)
    with acting(lab, "it", ahead=YEARS) as site:
        assert site.clock.now() > until, "by this clock its quarantine is over"
        for dry_run in (True, False):
            refused(lambda dry=dry_run: execute(site, BATCH, dry_run=dry), BY_SERVER)
        refused(lambda: sweep(site, "vault", [STORE]), BY_SERVER)
        refused(lambda: rotate(site, [STORE], dry_run=False), BY_SERVER)
        assert show(site, BATCH).row.state == "approved"
        assert is_untouched(site, lab)
    with acting(lab, "it") as site:
        assert {one.state for one in look_at_clock(site)} == {"fail"}
        refused(lambda: execute(site, BATCH, dry_run=False), "in quarantine until")
        assert plan(site).verdicts["dispose"].studies == len(OLD)
        rotate(site, [STORE], dry_run=False)


def test_without_a_bucket_a_person_answers_for_a_clock_that_was_set_right(lab: LabSite) -> None:
    with acting(lab, "system", ahead=YEARS) as site:
        (night,) = back_up(site, [STORE])
        assert night.error is None
    with acting(lab, "it") as site:
        for act in (lambda: propose(site), lambda: plan(site)):
            refused(act, BY_RECORDS)
        (told,) = look_at_clock(site)
        assert (told.state, clock_trust.CONFIRM in str(told.hint)) == ("fail", True)
        refused(lambda: confirm(site, note="by the radio"), "role compliance")
    done = lab.ask("--as", "privacy", "catalog", "clock", "--note", "compared with the radio")
    assert done["recorded_until"] > "2035"
    (entry,) = lab.ask("ledger", "list", "--type", "clock.confirmed")["entries"]
    assert (entry["actor"], entry["note"]) == ("privacy", "compared with the radio")
    with acting(lab, "it") as site:
        assert [one.state for one in look_at_clock(site)] == ["ok"]
        assert propose(site).studies == len(OLD)
    with acting(lab, "privacy") as site, pytest.raises(UsageError, match="nothing to confirm"):
        confirm(site, note="again")

    # What was explained once explains no other night.
    with acting(lab, "system", ahead=2 * YEARS) as site:
        (night,) = back_up(site, [STORE])
        assert night.error is None
    with acting(lab, "privacy") as site:
        refused(lambda: approve(site, BATCH), "what was recorded")
        assert is_untouched(site, lab)
