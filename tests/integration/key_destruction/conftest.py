"""A site whose store was given another name: the old repository is still on every copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.site import Site, key_file_path, keyring_path
from orchestrator.clock import Clock
from orchestrator.keys.keyring import Keyring
from tests.support.cheap_key import make_cheap
from tests.support.object_lock import object_lock_server
from tests.support.site import STORE, LabSite, MakeSite, make_site, site_template

__all__ = ["make_site", "object_lock_server", "site_template"]

NEW = "films"

MORE = """
[actors.second]
name = "Tee I."
title = "IT administrator"
roles = ["custodian"]

[actors.twin]
name = "T. I."
title = "Owner"
roles = ["compliance"]

[actors.boss]
name = "B. Oss"
title = "Owner"
roles = ["custodian", "compliance"]
"""
"""`twin` is `it` under another key, as a file may have it by mistake or by intent."""

Replaced = Callable[..., LabSite]


@pytest.fixture(scope="session")
def replaced_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a site with a replaced repository lies, once the first test has made it."""
    return tmp_path_factory.mktemp("replaced") / "site"


@pytest.fixture
def replaced(make_site: MakeSite, replaced_template: Path) -> Replaced:
    """Return a function that makes a site whose repository ``xrays`` was replaced by ``films``."""

    def make(*, medium: bool = False, vault: bool = False, **values: Any) -> LabSite:
        site = make_site(medium=medium, vault=vault, **{"more": MORE, **values})
        is_plain = not medium and not vault and not values
        if is_plain and replaced_template.exists():
            shutil.rmtree(site.folder)
            shutil.copytree(replaced_template, site.folder, symlinks=True)
            site.moved_in()
            return site
        site.ask("backup")
        rename_store(site)
        site.ask("backup")
        if is_plain:
            shutil.copytree(site.folder, replaced_template, symlinks=True)
        return site

    return make


def rename_store(site: LabSite) -> None:
    """Give the store another name, which makes a new repository: docs/recovery.md."""
    text = site.file.read_text().replace(f"[stores.{STORE}]", f"[stores.{NEW}]")
    site.file.write_text(text)
    site.ask("init", site.folder)
    keyring = Keyring.open(keyring_path(site.state), key_file_path(site.state))
    folder = site.primary.with_name(NEW)
    make_cheap(folder, keyring.password(NEW).reveal())
    (entry,) = (one for one in keyring.entries() if one.name == NEW)
    assert entry.repository_id is not None
    keyring.bind(NEW, entry.repository_id, [path.name for path in (folder / "keys").iterdir()])


@contextmanager
def acting(site: LabSite, actor: str, clock: Clock | None = None) -> Iterator[Site]:
    """Open a site as somebody."""
    with site.opened(clock) as opened:
        opened.actor = actor
        yield opened
