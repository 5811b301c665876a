from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestrator.actions.certificates.signer import make_signer
from orchestrator.actions.ledger.opening import make_ledger, new_origin
from orchestrator.actions.set_up import make_state
from orchestrator.actions.site import Site
from orchestrator.wiring import open_site
from tests.support.site import Values

PEOPLE = """
[organization]
address = ["1200 Elm Street, Suite 4", "Austin, Texas 78701"]
contact = "+1 512 555 0100"

[actors.owner]
name = "Cy Castillo"
title = "Practice owner"
roles = ["compliance"]
place = "Austin, Texas"
contact = "cy@elm-street.example"
"""

OpenSite = Callable[..., Site]


@pytest.fixture(scope="session")
def certifying_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with state, ledger and signing key, without backups; not to be changed."""
    folder = tmp_path_factory.mktemp("certifying")
    (folder / "images").mkdir()
    (folder / "site.toml").write_text(Values(more=PEOPLE).text(), encoding="utf-8")
    site = open_site(folder / "site.toml")
    make_state(site)
    origin = new_origin(site.config.name, site.keyring.id, 1)
    make_ledger(site.state_dir, site.keyring, origin=origin, now=site.clock.now())
    make_signer(site)
    if "catalog" in site.__dict__:
        site.catalog.dispose()
    return folder


@pytest.fixture
def folder(certifying_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(certifying_folder, tmp_path / "site"))


@pytest.fixture
def opened(folder: Path) -> Iterator[OpenSite]:
    """Return a function that opens the site, as an actor, with further lines in its file."""
    with ExitStack() as stack:

        def open_it(actor: str = "privacy", *, more: str = "", at: Path = folder) -> Site:
            (at / "site.toml").write_text(Values(more=PEOPLE + more).text(), encoding="utf-8")
            site = open_site(at / "site.toml", actor=actor)
            stack.callback(lambda: site.__dict__.get("catalog") and site.catalog.dispose())
            return site

        yield open_it


@pytest.fixture
def site(opened: OpenSite) -> Site:
    return opened()
