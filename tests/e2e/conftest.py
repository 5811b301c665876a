"""Fixtures of the end-to-end tests."""

from tests.support.object_lock import object_lock_server
from tests.support.site import make_site, site_template

__all__ = ["make_site", "object_lock_server", "site_template"]
