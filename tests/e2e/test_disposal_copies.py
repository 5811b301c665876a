"""A disposal through a disk, a medium that was away, and a bucket with a real lock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.actions.disposal.absence import prove_copy
from orchestrator.catalog.disposals import CopyKey
from tests.support.due_studies import BATCH, NEW, OLD, prepare
from tests.support.restic import tree
from tests.support.site import STORE, LabSite, MakeSite, wait_for

MORE = """
[retention]
quarantine = "1s"
"""


def copies(answer: dict[str, Any]) -> dict[str, str]:
    return {one["copy"]: one["state"] for one in answer["copies"]}


def repository_names(folder: Path) -> set[str]:
    kinds = ("data", "index", "snapshots", "keys")
    return {
        path.decode()
        for path, content in tree(folder).items()
        if content is not None and path.decode().split("/")[0] in kinds
    }


def bucket_names(site: LabSite) -> set[str]:
    with site.opened() as opened, opened.bucket("vault") as bucket:
        return {one.path for one in bucket.versions(STORE) if not one.is_marker} - {"config"}


def locks_end(site: LabSite) -> None:
    """Wait until the lock of everything the bucket holds of the repository has ended."""
    with site.opened() as opened, opened.bucket("vault") as bucket:
        locks = [bucket.retention(one) for one in bucket.versions(STORE) if not one.is_marker]
        last = max(one for one in locks if one is not None)
        wait_for(lambda: opened.clock.now() > last, pause_s=0.1)


def test_a_disposal_is_complete_when_the_last_copy_is_free(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site(medium=True, vault=True, lock_period="8s", more=MORE)
    prepare(site)
    site.run("--as", "it", "disposal", "propose")
    site.run("--as", "privacy", "disposal", "approve", BATCH)
    before = repository_names(site.primary)
    assert site.medium is not None
    site.run("backup")
    site.medium.unmount()
    waiting = wait_for(
        lambda: (
            (done := site.run("--as", "it", "disposal", "execute", BATCH, expect=(0, 5))).code == 0
            and done.document
        )
    )
    assert waiting["state"] == "approved", "looking changes nothing"

    done = site.ask("--as", "it", "disposal", "execute", BATCH, "--execute")
    assert done["state"] == "residual"
    assert copies(done) == {
        "live": "absent",
        "disk": "absent",
        "rotation": "residual",
        "vault": "residual",
    }
    by_copy = {one["copy"]: one for one in done["copies"]}
    assert by_copy["vault"]["residual_until"] is not None
    assert by_copy["rotation"]["label"] == "red"
    gone = before - repository_names(site.primary)
    assert gone & bucket_names(site)

    # What the medium held before the disposal is still a copy of the store, as of then.
    site.medium.mount()
    result = site.ask("drill", "run", STORE, "--copy", "rotation")
    failed = [one for one in result["checks"] if one["state"] == "failed"]
    assert result["verdict"] == "verified", failed

    site.run("replicate", "rotation")
    assert repository_names(site.on_medium) == repository_names(site.primary)
    site.run("job", "run", "disposal-settle")
    shown = site.ask("disposal", "show", BATCH)
    assert (shown["state"], copies(shown)["rotation"]) == ("residual", "absent")
    assert shown["certificate"] is None

    locks_end(site)
    site.run("bucket", "sweep", "vault")
    assert bucket_names(site) == repository_names(site.primary)
    site.run("job", "run", "disposal-settle")
    shown = site.ask("disposal", "show", BATCH)
    assert (shown["state"], set(copies(shown).values())) == ("complete", {"absent"})
    assert shown["certificate"] is not None
    with site.opened() as opened:
        for copy in ("disk", "vault", ""):
            assert prove_copy(opened, BATCH, CopyKey(BATCH, STORE, copy)).state == "absent"

    site.run("backup")
    kept = {f"{NEW.folder}/{n}.dcm" for n in (1, 2)}
    for copy in ("disk", "rotation", "vault"):
        for number, one in enumerate(site.ask("snapshots", STORE)["snapshots"]):
            to = tmp_path / f"{copy}{number}"
            back = site.ask(
                "restore", STORE, "--to", to, "--copy", copy, "--snapshot", one["snapshot"]
            )
            assert (back["verified"], back["suppressed"]) == (True, 0)
            there = {str(p.relative_to(to)) for p in to.rglob("*") if p.is_file()}
            assert there == kept
    told = json.dumps([done, shown])
    assert not any(name in told for study in OLD for name in (study.patient_id, study.uid))
