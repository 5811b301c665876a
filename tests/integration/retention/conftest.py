"""A site with studies whose dates are known, worked on in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.actions.site import Site
from orchestrator.clock import Clock
from tests.support.due_studies import fill
from tests.support.loop import make_loop
from tests.support.site import LabSite, Values, make_site, site_template

__all__ = ["make_loop", "make_site", "site_template"]


@pytest.fixture(scope="session")
def studies_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a site with backed-up studies lies, once the first test has made it."""
    return tmp_path_factory.mktemp("studies") / "site"


@pytest.fixture
def lab(studies_template: Path, tmp_path: Path, request: pytest.FixtureRequest) -> LabSite:
    """Return a site with studies in its catalog; nothing is adopted, no list imported.

    Its copies are not there: nothing here looks at them.
    """
    if not studies_template.exists():
        made: LabSite = request.getfixturevalue("make_site")()
        fill(made)
        made.run("backup")
        shutil.copytree(made.folder, studies_template, symlinks=True)
    folder = tmp_path / "lab"
    shutil.copytree(studies_template, folder, ignore=shutil.ignore_patterns("copies", "images"))
    site = LabSite(folder, Values(), {"ORCHESTRATOR_SITE": str(folder / "site.toml")})
    site.moved_in()
    return site


@contextmanager
def acting(lab: LabSite, actor: str = "privacy", clock: Clock | None = None) -> Iterator[Site]:
    """Open a site in this process for somebody."""
    with lab.opened(clock) as site:
        site.actor = actor
        yield site


LOCAL = """
id = "{id}"
version = "{version}"
kind = "local"
title = "What this practice adds"
reviewer = "counsel"
reviewed_on = 2026-01-02
review_by = 2099-01-02

[[rule]]
id = "everything"
record_class = "patient_record"
trigger = "last_treatment"
adult = "{adult}"
images = "with_record"
confidence = "high"
[rule.minor]
form = "not_applicable"
[rule.citation]
instrument = "{instrument}"
section = "3"
read_on = 2026-01-02
"""


def local_schedule(
    lab: LabSite,
    *,
    name: str = "own-rule",
    version: str = "1",
    adult: str = "30y",
    instrument: str = "House rule",
) -> Path:
    """Write a schedule of the site's own and return its file."""
    folder = lab.folder / "retention_policies"
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.toml"
    text = LOCAL.format(id=name, version=version, adult=adult, instrument=instrument)
    file.write_text(text, encoding="utf-8")
    return file
