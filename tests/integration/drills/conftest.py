"""A site with a handful of sound images, drilled in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.loop import make_loop
from tests.support.object_lock import object_lock_server
from tests.support.site import LabSite, MakeSite, make_site, site_template

__all__ = ["make_loop", "make_site", "object_lock_server", "site_template"]

SOUND = ("CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "SC_rgb.dcm", "liver_1frame.dcm")


def keep_sound_images(folder: Path) -> None:
    """Put images into the store that every installation can decode, a note and a link."""
    from pydicom.data import get_testdata_file

    shutil.rmtree(folder)
    for number, name in enumerate(SOUND):
        found = get_testdata_file(name, download=False)
        assert isinstance(found, str), name
        target = folder / f"p{number}" / "study" / f"{number:03}.dcm"
        target.parent.mkdir(parents=True)
        shutil.copyfile(found, target)
    (folder / "note.txt").write_text("a note")
    (folder / "link").symlink_to("note.txt")


@pytest.fixture(scope="session")
def backed_up_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a site with one complete backup lies, once the first test has made it."""
    return tmp_path_factory.mktemp("backed-up") / "site"


@pytest.fixture
def backed_up(make_site: MakeSite, backed_up_template: Path) -> Callable[..., LabSite]:
    """Return a function that makes a site with one complete backup."""

    def make(*, medium: bool = False, vault: bool = False, **values: Any) -> LabSite:
        site = make_site(medium=medium, vault=vault, **values)
        if medium or vault or not backed_up_template.exists():
            keep_sound_images(site.images)
            site.ask("backup")
            if not (medium or vault or values):
                shutil.copytree(site.folder, backed_up_template, symlinks=True)
        else:
            shutil.rmtree(site.folder)
            shutil.copytree(backed_up_template, site.folder, symlinks=True)
            site.moved_in()
            site.write()
        return site

    return make


@pytest.fixture
def site(backed_up: Callable[..., LabSite]) -> Iterator[LabSite]:
    """Return a site with a backup in its primary; nothing of a drill may be left behind."""
    made = backed_up()
    yield made
    sandboxes = made.state / "drills"
    assert not sandboxes.exists() or not list(sandboxes.iterdir())
    assert not made.restic_processes()
