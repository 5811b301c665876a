"""Fixtures of the tests that run real engines."""

from tests.support.object_lock import (
    bucket,
    object_lock_server,
    object_lock_server_tls,
    vault,
)
from tests.support.restic import current_restic, make_repository, restic

__all__ = [
    "bucket",
    "current_restic",
    "make_repository",
    "object_lock_server",
    "object_lock_server_tls",
    "restic",
    "vault",
]
