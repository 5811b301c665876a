"""What a bucket copy is told to be: where it is, who speaks to it, how long it locks.

Small values handed in by wiring; knows neither the site file nor where secrets come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol


class SecretText(Protocol):
    """A secret that shows itself only when asked to."""

    def reveal(self) -> str:
        """Return the secret itself."""
        ...


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """One immutable copy.

    Attributes:
        copy: Name of the copy, for messages.
        endpoint: ``https://host[:port]`` of the S3 server.
        region: Region name the server signs with (``us-east-1`` on most own servers).
        bucket: Bucket name.
        prefix: Key prefix without slashes at its ends; may be empty.
        lock_period: How long a new object is locked from its upload on, more than 0.
        access_key: The writer's access key.
        secret_key: The writer's secret key.
        ca_file: Certificate authority of the server; None for the public ones.
        sweeper: Access and secret key that remove versions whose lock has ended; None if the
            bucket's own life-cycle rule does it.
        connect_timeout_s: Seconds to wait for a connection, more than 0.
        read_timeout_s: Seconds to wait for each piece of an answer, more than 0.
        attempts: How often a request is tried in all, 1 or more.
        backoff_s: Seconds before the second attempt; doubled for each further one, 10 at most.
        workers: How many uploads may run at once, 1 or more.
    """

    copy: str
    endpoint: str
    region: str
    bucket: str
    prefix: str
    lock_period: timedelta
    access_key: str = field(repr=False)
    secret_key: SecretText = field(repr=False)
    ca_file: Path | None = None
    sweeper: tuple[str, SecretText] | None = field(default=None, repr=False)
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    attempts: int = 4
    backoff_s: float = 0.5
    workers: int = 4

    def key_base(self, folder: str) -> str:
        """Return the start of all keys of a repository (or of ``.probe``), with its slash."""
        return f"{self.prefix}/{folder}/" if self.prefix else f"{folder}/"
