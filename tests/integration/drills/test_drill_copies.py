"""Drills from a bucket and from a medium, after an attack, and under a cap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.actions.drills.drill import drill
from orchestrator.actions.drills.wish import Wish
from orchestrator.drills.result import DrillResult
from tests.e2e.test_attack import Attacker
from tests.support.faulty_network import FaultyNetwork, HangUp, Seen
from tests.support.site import STORE, LabSite


def make(site: LabSite, copy: str, **wish: Any) -> DrillResult:
    with site.opened() as opened:
        return drill(opened, Wish(STORE, copy, **wish))


def test_after_an_attack_only_the_drill_as_of_before_it_is_verified(
    backed_up: Callable[..., LabSite], object_lock_server: ObjectLockServer
) -> None:
    site = backed_up(vault=True)
    quiet = make(site, "vault")
    assert quiet.verdict == "verified", quiet.reason
    assert quiet.traffic.requests
    assert quiet.traffic.bytes
    capped = make(site, "vault", max_requests=1)
    assert (capped.verdict, capped.exit_code) == ("could_not_run", 5), capped.reason
    kit = site.state / "recovery-kit" / "recovery-kit.txt"
    from_kit = make(site, "vault", kit=kit)
    assert from_kit.verdict == "verified", from_kit.reason

    before = Attacker(site, object_lock_server).strike()
    plain = make(site, "vault")
    assert (plain.verdict, plain.exit_code) == ("not_verified", 4), plain.reason
    status = site.ask("status")
    assert status["stores"][0]["verdict"] == "not_met", "the drill has found damage"
    assert any(f"drill {plain.drill}" in one for one in status["warnings"])
    coverage = site.ask("bucket", "coverage", "vault", expect=4)["stores"][0]
    assert coverage["suspicious"] > coverage["files"]
    (reason,) = (
        one for one in site.ask("status")["stores"][0]["reasons"] if one.startswith("copy vault: ")
    )
    assert "have more than one version or are hidden" in reason
    then = make(site, "vault", as_of=before)
    assert then.verdict == "verified", (then.reason, then.checks)
    assert then.as_of == before
    from_kit_then = make(site, "vault", kit=kit, as_of=before)
    assert from_kit_then.verdict == "verified", from_kit_then.reason


def test_a_bucket_whose_server_is_gone_in_the_middle_could_not_run(
    backed_up: Callable[..., LabSite], object_lock_server: ObjectLockServer
) -> None:
    site = backed_up(vault=True)

    def gone(seen: Seen) -> HangUp | None:
        return HangUp() if network.is_down or ("/data/" in seen.path and network.fall()) else None

    with FallingNetwork(object_lock_server.endpoint, gone) as network:
        site.write(endpoint=network.endpoint)
        result = make(site, "vault")
        assert network.is_down
    assert (result.verdict, result.exit_code) == ("could_not_run", 1), result.reason
    assert not list((site.state / "drills").iterdir())
    assert not site.restic_processes()
    site.write(endpoint=None)
    assert make(site, "vault").verdict == "verified"


class FallingNetwork(FaultyNetwork):
    """A way to the server that is gone from one request on."""

    is_down = False

    def fall(self) -> bool:
        self.is_down = True
        return True


def test_a_medium_is_drilled_when_it_is_there(backed_up: Callable[..., LabSite]) -> None:
    site = backed_up(medium=True)
    result = make(site, "rotation")
    assert result.verdict == "verified", result.reason
    assert (result.role, result.medium) == ("offline", "red")
    kit = site.state / "recovery-kit" / "recovery-kit.txt"
    assert make(site, "rotation", kit=kit).verdict == "verified"
    assert site.medium is not None
    site.medium.unmount()
    away = make(site, "rotation")
    assert (away.verdict, away.exit_code) == ("could_not_run", 1)
