"""Fixtures of the tests that run real engines."""

from tests.support.object_lock import (
    bucket,
    object_lock_server,
    object_lock_server_tls,
    vault,
)

__all__ = ["bucket", "object_lock_server", "object_lock_server_tls", "vault"]
