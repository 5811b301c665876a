"""A whole site whose catalog is in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.actions.lock import StoreLock
from tests.support.postgres import CatalogUrl, postgres_server, postgres_url
from tests.support.site import LabSite, MakeSite, Values

__all__ = ["postgres_server", "postgres_url"]


class _Text(Values):
    """The same site file with its catalog elsewhere."""

    url = ""

    def text(self) -> str:
        catalog = f'catalog = {{ url = "{self.url}", password = {{ env = "PGSECRET" }} }}'
        return super().text().replace('catalog = "sqlite"', catalog)


@pytest.mark.slow
def test_site_lives_in_postgresql(
    make_site: MakeSite, postgres_url: CatalogUrl, tmp_path: Path
) -> None:
    near = make_site()
    folder = tmp_path / "pg"
    folder.mkdir(mode=0o700)
    values = _Text(more='[copies.disk2]\nrole = "local"\npath = "copies/disk2"\n')
    values.url = postgres_url.url
    env = {**near.env, "ORCHESTRATOR_SITE": str(folder / "site.toml")}
    site = LabSite(folder, values, env | {"PGSECRET": postgres_url.password or ""})
    near.images.rename(site.images)
    site.file.write_text(values.text())
    site.ask("init", folder)
    assert not (site.state / "catalog.sqlite").exists()

    done = site.ask("backup")
    assert done["outcome"] == "succeeded"
    assert {copy["state"] for copy in done["stores"][0]["copies"]} == {"proven"}
    assert site.ask("backup")["stores"][0]["files_changed"] == 0
    assert {copy["state"] for copy in site.copies().values()} == {"proven"}
    assert all(not copy["damaged"] for copy in site.ask("check")["copies"])
    assert site.ask("restore", "xrays", "--to", folder / "back")["verified"]

    refused = site.run("catalog", "rebuild", "--copy", "disk2", expect=5).error
    assert refused["error"] == "RefusedError"
    lock = StoreLock(site.state / "locks", "xrays")
    lock.acquire("20260101T000000Z-abcdef")
    try:
        locked = site.run("backup", expect=11).error
        assert "20260101T000000Z-abcdef" in locked["message"]
    finally:
        lock.release()
    ran = site.ask("daemon", "--once", expect=3)["jobs"]  # 3-2-1 is not met by local copies
    ended = {job["job"]: job["outcome"] for job in ran}
    assert ended.keys() >= {"nightly-backup", "daily-check", "status"}
    for name in ("monthly-drill", "kit-drill"):
        site.ask("job", "run", name)
    drilled = site.ask("drill", "list")["drills"]
    assert [(one["kit_only"], one["verdict"]) for one in drilled] == [
        (True, "verified"),
        (False, "verified"),
    ]
    assert site.ask("daemon", "--once") == {"jobs": []}

    site.env["PGSECRET"] = "mistyped"
    assert "mistyped" not in site.run("status", expect=12).err
