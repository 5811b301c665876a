"""Several stores and local copies: each with its own repository, none held up by another."""

from __future__ import annotations

import shutil

from tests.support.site import LabSite, MakeSite

MORE = """
[stores.scans]
kind = "folder"
path = "scans"
jurisdictions = ["US-TX"]
rpo = "24h"
rto = "4h"
sentinel = ".mounted"
[copies.disk2]
role = "local"
path = "copies/disk2"
"""


def two_stores(make_site: MakeSite) -> LabSite:
    site = make_site(more=MORE)
    scans = site.folder / "scans"
    scans.mkdir()
    (scans / ".mounted").write_text("")
    (scans / "one.bin").write_bytes(b"one" * 1000)
    made = site.ask("init", site.folder)
    assert made["site"]
    return site


def test_store_stopped_by_its_guard_holds_up_no_other(make_site: MakeSite) -> None:
    site = two_stores(make_site)
    first = site.ask("backup")
    assert [one["store"] for one in first["stores"]] == ["xrays", "scans"]
    for store in ("xrays", "scans"):
        for copy in ("disk", "disk2"):
            assert (site.folder / "copies" / copy / store / "config").is_file()
    ids = {row["name"]: row["id"] for row in site.rows("SELECT * FROM repository")}
    assert len(set(ids.values())) == 2

    (site.folder / "scans/.mounted").unlink()
    done = site.ask("backup", expect=3)
    outcomes = {run["store"]: run["outcome"] for run in site.runs("backup")[-2:]}
    assert outcomes == {"xrays": "succeeded", "scans": "failed"}
    assert done["outcome"] == "partial"
    verdicts = {one["store"]: one["reasons"] for one in site.ask("status")["stores"]}
    assert any("last backup ended failed" in reason for reason in verdicts["scans"])
    assert not any("last backup" in reason for reason in verdicts["xrays"])
    site.ask("backup", "xrays")
    assert "scans" in site.run("backup", "scans", expect=1).error["message"]


def test_second_local_copy_is_a_guarded_replica(make_site: MakeSite) -> None:
    site = two_stores(make_site)
    site.ask("backup")
    disk2 = site.folder / "copies/disk2"
    shutil.move(disk2, site.folder / "unplugged")
    disk2.mkdir()  # the bare mount point
    done = site.ask("backup", expect=3)
    for store in done["stores"]:
        states = {copy["copy"]: copy["state"] for copy in store["copies"]}
        assert (states["disk"], states["disk2"]) == ("proven", "absent")
    assert list(disk2.iterdir()) == []
    disk2.rmdir()
    shutil.move(site.folder / "unplugged", disk2)
    assert site.ask("replicate")["outcome"] == "succeeded"
    assert {copy["state"] for copy in site.copies().values()} == {"proven"}


def test_lost_primary_is_said_and_a_replica_still_restores(make_site: MakeSite) -> None:
    site = two_stores(make_site)
    site.ask("backup")
    shutil.rmtree(site.folder / "copies/disk")
    error = site.run("backup", "xrays", expect=10).error
    assert "copy disk" in error["message"]
    assert error["hint"]
    assert site.copies()["disk"]["state"] in ("absent", "damaged")
    to = site.folder / "back"
    assert site.ask("restore", "xrays", "--copy", "disk2", "--to", to)["verified"]
    (site.folder / "copies/disk").mkdir()
    answer = site.ask("replicate", "disk2", expect=10)
    assert {one["error"]["error"] for one in answer["stores"]} == {"NotFoundError"}
    assert list((site.folder / "copies/disk").iterdir()) == []
