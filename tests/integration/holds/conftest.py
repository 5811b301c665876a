"""Sites with backups for the tests of holds."""

from __future__ import annotations

from tests.integration.drills.conftest import (
    backed_up,
    backed_up_template,
    make_loop,
    make_site,
    object_lock_server,
    site_template,
)
from tests.support.site import STORE

__all__ = [
    "STORE",
    "backed_up",
    "backed_up_template",
    "make_loop",
    "make_site",
    "object_lock_server",
    "site_template",
]
