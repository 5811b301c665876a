"""What the primary gave up after the last state leaves the copies, though nobody recorded it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestrator.actions.rebuild import rebuild
from orchestrator.actions.replicate import replicate
from orchestrator.actions.rotate import rotate
from tests.integration.holds.test_paths import KEEP_ONE, SECOND, night
from tests.integration.rebuilding.conftest import lose_catalog
from tests.support.site import STORE, LabSite


def test_no_copy_keeps_for_ever_what_a_lost_catalog_knew_as_given_up(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site()
    lab.write(more=SECOND + KEEP_ONE)
    lab.run("init", lab.folder)
    with lab.opened() as site:
        night(site)
        (lab.images / "new.bin").write_bytes(b"of the last night" * 100)
        night(site)
        (done,) = rotate(site, [STORE], dry_run=False)
        assert done.files_removed
    lose_catalog(lab)
    replica = lab.folder / "copies" / "disk2" / STORE
    with lab.opened() as site:
        assert rebuild(site, "disk", [STORE], rotated=True).lost == []
        assert names(replica) - names(lab.primary), "nothing goes by a rebuild"
        night(site)
        replicate(site, [STORE])
    assert names(replica) == names(lab.primary)


def names(repository: Path) -> set[str]:
    return {
        path.name
        for kind in ("data", "index", "snapshots")
        for path in (repository / kind).rglob("*")
        if path.is_file()
    }
