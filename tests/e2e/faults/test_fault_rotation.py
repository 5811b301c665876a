"""A rotation that is killed when it has begun to remove files."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from tests.support.site import LabSite, MakeSite, wait_for

ROTATION = """
[rotation]
keep_last = 2
keep_daily = 0
keep_weekly = 0
keep_monthly = 0
keep_yearly = 0
minimum = 2
"""


def _kill_while_removing(site: LabSite) -> None:
    """Kill the rotation and its restic as soon as the first snapshot is gone."""
    for number in range(5):
        before = set(os.listdir(site.primary / "snapshots"))
        process = site.start("rotate", "--execute", warm=True)
        wait_for(lambda: before - set(os.listdir(site.primary / "snapshots")), pause_s=0.0005)  # noqa: B023
        process.kill()
        for pid in site.restic_processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            return
        # It was done before the kill came: once more, with something to remove.
        (site.images / f"again{number}.dcm").write_bytes(os.urandom(200_000))
        site.ask("backup")
    raise AssertionError("it was always done before the kill came")


@pytest.mark.parametrize(
    "next_run", [("backup",), ("replicate",), ("rotate", "--execute")], ids=lambda words: words[0]
)
def test_cut_off_rotation_is_finished_by_the_next_run(
    make_site: MakeSite, next_run: tuple[str, ...]
) -> None:
    site = make_site(medium=True, more=ROTATION)
    for number in range(3):
        (site.images / f"new{number}.dcm").write_bytes(os.urandom(200_000))
        if number:
            (site.images / f"new{number - 1}.dcm").unlink()
        site.ask("backup")
    _kill_while_removing(site)
    assert site.verdict() != "met"
    if next_run == ("backup",):  # somebody looks first: what he sees must not stand in the way
        site.run("check", "disk", expect=(0, 4))

    site.ask(*next_run)

    assert "interrupted" in [one["outcome"] for one in site.runs("rotate")]
    if next_run != ("replicate",):
        site.ask("replicate")
    for found in site.ask("check")["copies"]:
        assert (found["state"], found["structure"], found["damaged"]) == ("proven", "sound", [])
    on_disk = {path.name for path in site.primary.rglob("*") if path.is_file()}
    on_medium = {path.name for path in site.on_medium.rglob("*") if path.is_file()}
    assert on_disk == on_medium
    shown = {one["snapshot"] for one in site.ask("snapshots")["snapshots"]}
    assert shown <= on_disk, "a snapshot that is gone is not offered"
    assert site.ask("backup")["outcome"] == "succeeded"
