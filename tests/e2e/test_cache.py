"""Emptying caches: by age and name, never through a link, never what must be kept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.actions import purge_cache
from orchestrator.actions.jobs import run_job
from orchestrator.actions.site import Site
from orchestrator.clock import SystemClock
from orchestrator.config.jobs import load_jobs
from orchestrator.config.load import load_site
from orchestrator.errors import ConfigError, RefusedError
from tests.support.site import LabSite, MakeSite


class Later(SystemClock):
    """Forty days from now: what was written just now is old."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=40)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.tmp").write_bytes(b"12345")
    (folder / "deep" / "er" / "B.TMP").write_bytes(b"123")
    (folder / "keep.txt").write_bytes(b"no pattern")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.tmp").write_bytes(b"outside")
    (folder / "away").symlink_to(outside)
    (folder / "link.tmp").symlink_to(outside / "x.tmp")
    os.link(outside / "x.tmp", folder / "hard.tmp")
    return folder


@pytest.fixture
def lab(make_site: MakeSite, cache: Path) -> LabSite:
    lines = ["[caches.viewer]", f"path = {json.dumps(str(cache))}"]
    lines += ['older_than = "30d"', 'patterns = ["*.tmp"]']
    return make_site(more="\n".join(lines))


@pytest.fixture
def site(lab: LabSite) -> Iterator[Site]:
    with lab.opened(Later()) as opened:
        yield opened


def test_young_files_and_a_dry_run_remove_nothing(lab: LabSite, cache: Path) -> None:
    (found,) = lab.ask("cache", "purge")["caches"]
    assert (found["cache"], found["files"], found["young"]) == ("viewer", 0, 2)
    (done,) = lab.ask("--as", "it", "cache", "purge", "viewer", "--execute")["caches"]
    assert done["removed"] == 0
    assert lab.run("--as", "privacy", "cache", "purge", "--execute", expect=5)
    assert lab.run("cache", "purge", "nothing", expect=10)
    assert (cache / "a.tmp").exists()


def test_old_files_go_and_links_are_never_followed(site: Site, cache: Path) -> None:
    seen = purge_cache.purge(site, "viewer", execute=False).swept
    assert (seen.files, seen.size_bytes, seen.removed) == (2, 8, 0)
    assert (cache / "a.tmp").exists()
    done = purge_cache.purge(site, "viewer", execute=True).swept
    assert (done.files, done.removed, done.linked, done.other) == (2, 2, 3, 1)
    left = sorted(path.name for path in cache.rglob("*"))
    assert left == ["away", "deep", "er", "hard.tmp", "keep.txt", "link.tmp"]
    assert (cache.parent / "outside" / "x.tmp").read_bytes() == b"outside"
    entries = [json.loads(one.data) for one in site.ledger.log.reader().entries()]
    (entry,) = [one for one in entries if one["type"] == "cache.purge.done"]
    assert (entry["removed"], entry["size_bytes"]) == (2, 8)
    assert entry["sanitization"] == "none claimed"
    assert str(cache) not in json.dumps(entries)


def test_the_shipped_job_empties_every_cache(site: Site, cache: Path) -> None:
    job = load_jobs(site.config).active["cache-purge"]
    assert run_job(site, job).outcome == "succeeded"
    assert not (cache / "a.tmp").exists()


@pytest.mark.parametrize("kept", ["images", "state", "copies/disk"])
def test_a_folder_that_must_be_kept_is_refused_by_any_name(
    site: Site, lab: LabSite, cache: Path, kept: str
) -> None:
    cache.rename(cache.with_name("gone"))
    cache.symlink_to(lab.folder / kept)  # the check of the site file saw a folder here
    before = sorted(lab.folder.rglob("*"))
    with pytest.raises(RefusedError, match="shares a place"):
        purge_cache.purge(site, "viewer", execute=True)
    assert sorted(lab.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("path", "patterns", "older_than", "wrong"),
    [
        ("images/cache", ["*.tmp"], "30d", "shares a place with stores.xrays"),
        (".", ["*.tmp"], "30d", "shares a place with"),
        ("state/x", ["*.tmp"], "30d", "shares a place with site.state_dir"),
        ("cache", ["*"], "30d", "pattern of file names"),
        ("cache", ["*.tmp"], "1h", "must be at least 1d"),
        ("cache", [], "30d", "patterns"),
    ],
)
def test_a_cache_that_could_cost_data_is_refused_in_the_site_file(
    make_site: MakeSite, path: str, patterns: list[str], older_than: str, wrong: str
) -> None:
    lines = ["[caches.viewer]", f"path = {json.dumps(path)}"]
    lines += [f"patterns = {json.dumps(patterns)}", f"older_than = {json.dumps(older_than)}"]
    lab = make_site(more="\n".join(lines))
    with pytest.raises(ConfigError, match=wrong):
        load_site(lab.file)
