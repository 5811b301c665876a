"""A site with due studies, and the ways in which it loses its catalog."""

from __future__ import annotations

import shutil
from typing import Any

from orchestrator.actions.site import Site
from orchestrator.catalog import media
from tests.integration.disposal.conftest import (
    due_site,
    due_template,
    make_site,
    object_lock_server,
    site_template,
)
from tests.support.site import LabSite

__all__ = ["due_site", "due_template", "make_site", "object_lock_server", "site_template"]

ROTATION = """
[copies.rotation]
role = "offline"
search = ["media"]
due_every = "7d"
"""


def lose_catalog(lab: LabSite) -> None:
    """Lose the catalog and what lies of its work on the machine; ledger and evidence stay."""
    for path in lab.state.glob("catalog.sqlite*"):
        path.unlink()
    shutil.rmtree(lab.state / "manifests", ignore_errors=True)


def rebuilt(lab: LabSite, copy: str = "disk") -> dict[str, Any]:
    """Lose the catalog and make it anew; what does not come back is not passed over."""
    lose_catalog(lab)
    done = lab.run("catalog", "rebuild", "--copy", copy, expect=(0, 3))
    answer = dict(done.document)
    assert (done.code == 3) is bool(answer["not_brought_back"] or answer["unasked"])
    return answer


def media_of(site: Site) -> dict[str, media.Medium]:
    with site.catalog.reading() as session:
        return {row.id: row for row in media.of_copy(session, None, retired=True)}
