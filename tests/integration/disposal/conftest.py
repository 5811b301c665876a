"""A site with three studies that are due and one that is not, driven in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.site import Site
from orchestrator.clock import Clock
from tests.support.clock import ShiftedClock
from tests.support.due_studies import prepare
from tests.support.object_lock import object_lock_server
from tests.support.postgres import postgres_server, postgres_url
from tests.support.site import LabSite, MakeSite, make_site, site_template

__all__ = ["make_site", "object_lock_server", "postgres_server", "postgres_url", "site_template"]

MORE = """
[retention]
quarantine = "14d"

[actors.second]
name = "Rivacy, P."
title = "Dentist"
roles = ["compliance"]

[actors.dentist]
name = "D. Entist"
title = "Dentist"
roles = ["compliance", "operator"]
"""
"""`second` is `privacy` under another key, as a file may have it by mistake or by intent."""

Acting = Callable[..., AbstractContextManager[Site]]


@pytest.fixture(scope="session")
def due_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a site with due studies lies, once the first test has made it."""
    return tmp_path_factory.mktemp("due") / "site"


@pytest.fixture
def due_site(make_site: MakeSite, due_template: Path) -> Callable[..., LabSite]:
    """Return a function that makes a site of which `due_studies.OLD` are due."""

    def make(*, medium: bool = False, vault: bool = False, **values: Any) -> LabSite:
        wanted = {"more": MORE, **values}
        site = make_site(medium=medium, vault=vault, **wanted)
        is_plain = not medium and not vault and not values.keys() - {"more"}
        if not is_plain or not due_template.exists():
            prepare(site)
            if is_plain:
                shutil.copytree(site.folder, due_template, symlinks=True)
        else:
            shutil.rmtree(site.folder)
            shutil.copytree(due_template, site.folder, symlinks=True)
            site.moved_in()
            site.write()
        return site

    return make


@pytest.fixture
def lab(due_site: Callable[..., LabSite]) -> LabSite:
    """Return a site with its images and a primary, of which three studies are due."""
    return due_site()


@contextmanager
def acting(site: LabSite, actor: str, *, ahead: timedelta | Clock = timedelta()) -> Iterator[Site]:
    """Open a site as somebody, some time ahead."""
    clock = ShiftedClock(ahead) if isinstance(ahead, timedelta) else ahead
    with site.opened(clock) as opened:
        opened.actor = actor
        yield opened
