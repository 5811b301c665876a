"""One credential's way into an S3 server: requests with bounded retries and clear errors.

Knows how to ask; knows nothing of repositories, retention or what a request is for. boto3 is
imported at the first request only: it is heavy.
"""

from __future__ import annotations

import functools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

from orchestrator.clock import Clock
from orchestrator.engines.bucket.faults import is_passing, translate
from orchestrator.engines.bucket.settings import BucketSettings, SecretText
from orchestrator.errors import EngineError, OrchestratorError

PIECE_BYTES = 1 << 20
_LONGEST_BACKOFF_S = 10.0

_Answer = TypeVar("_Answer")

_making = threading.Lock()  # botocore makes clients in one thread at a time only

log = logging.getLogger(__name__)


class Door:
    """Requests to one server with one credential; safe to use from several threads.

    Args:
        settings: Where the server is and how patient to be.
        clock: For messages about clocks that differ.
        access_key: Whose key signs; not necessarily the one in the settings.
        secret_key: Its secret.
    """

    def __init__(
        self, settings: BucketSettings, clock: Clock, *, access_key: str, secret_key: SecretText
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._access_key = access_key
        self._secret_key = secret_key
        self._client: Any = None
        self._counting = threading.Lock()
        self._requests = 0

    @property
    def requests(self) -> int:
        """How many requests were made so far, those that failed and were repeated included."""
        return self._requests

    def call(self, operation: str, what: str, **arguments: Any) -> dict[str, Any]:
        """Make a request that may safely be made twice, on the settings' bucket.

        Args:
            operation: Name of the client's method, in snake case.
            what: What is being done, in words for a message.
            arguments: The request's parameters without the bucket.

        Raises:
            UnreachableError: No connection.
            EngineTimeoutError: No answer in time.
            CredentialError: The server refuses the credential or the request.
            NotFoundError: Bucket, object or version is not there.
            EngineError: Any other answer.
        """
        return self.patiently(lambda: self.once(operation, what, **arguments))

    def once(self, operation: str, what: str, **arguments: Any) -> dict[str, Any]:
        """Make a request once; parameters and errors as `call`."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        settings = self.settings
        with self._counting:
            self._requests += 1
        try:
            method = getattr(self._connected(), operation)
            answer: dict[str, Any] = method(Bucket=settings.bucket, **arguments)
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            now = self.clock.now()
            raise translate(error, copy=settings.copy, what=what, now=now) from error
        return answer

    def patiently(self, attempt: Callable[[], _Answer]) -> _Answer:
        """Call until it works, fails for good, or the attempts are used up.

        Raises:
            OrchestratorError: What the last attempt raised.
        """
        tried = 0
        while True:
            try:
                return attempt()
            except OrchestratorError as error:
                tried += 1
                if tried >= self.settings.attempts or not is_passing(error):
                    raise
                log.info("%s; trying again", error.message)
                self.wait(tried)

    def wait(self, tried: int) -> None:
        """Sleep as long as fits after so many failed attempts."""
        longest = min(self.settings.backoff_s * 2 ** (tried - 1), _LONGEST_BACKOFF_S)
        # spread out, so that several workers do not all come back at once
        time.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311

    def stream(
        self, key: str, what: str, *, version_id: str | None, offset: int, length: int | None
    ) -> Iterator[bytes]:
        """Yield an object's bytes in pieces of at most 1 MiB, resuming where it broke off.

        Raises:
            OrchestratorError: As `call`.
        """
        arguments: dict[str, Any] = {"Key": key}
        if version_id is not None:
            arguments["VersionId"] = version_id
        done = tried = 0
        while length is None or done < length:
            try:
                for piece in self._pieces(arguments, what, offset + done, length, done):
                    done += len(piece)
                    tried = 0
                    yield piece
                return
            except OrchestratorError as error:
                tried += 1
                if tried >= self.settings.attempts or not is_passing(error):
                    raise
                log.info("%s; going on from where it broke off", error.message)
                self.wait(tried)

    def close(self) -> None:
        """Close the connections."""
        with _making:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _pieces(
        self, arguments: dict[str, Any], what: str, start: int, length: int | None, done: int
    ) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError

        if length is not None:
            arguments = {**arguments, "Range": f"bytes={start}-{start + length - done - 1}"}
        elif start:
            arguments = {**arguments, "Range": f"bytes={start}-"}
        body = self.once("get_object", what, **arguments)["Body"]
        try:
            while piece := body.read(PIECE_BYTES):
                yield piece
        except (BotoCoreError, OSError) as error:
            now = self.clock.now()
            raise translate(error, copy=self.settings.copy, what=what, now=now) from error
        finally:
            body.close()

    def _connected(self) -> Any:
        with _making:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        from botocore.config import Config

        settings = self.settings
        if settings.ca_file is not None and not settings.ca_file.is_file():
            raise EngineError(
                f"copy {settings.copy}: the certificate authority's file is not there",
                hint=f"put it where copies.{settings.copy}.ca_file says",
            )
        config = Config(
            signature_version="s3v4",
            connect_timeout=settings.connect_timeout_s,
            read_timeout=settings.read_timeout_s,
            # this module retries: an upload may not be repeated without looking first
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=settings.workers + 4,
            # a signed payload makes the server verify the SHA-256, over TLS too
            s3={"addressing_style": "path", "payload_signing_enabled": True},
            # by default a trailer is sent, which older Ceph refuses (411)
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            address = urlsplit(settings.endpoint)
            if not address.hostname or address.port == 0:  # without one, botocore goes to Amazon
                raise ValueError("no host or port")
            return _session().client(
                "s3",
                region_name=settings.region,
                endpoint_url=settings.endpoint,
                aws_access_key_id=self._access_key,
                aws_secret_access_key=self._secret_key.reveal(),
                verify=str(settings.ca_file) if settings.ca_file else True,
                config=config,
            )
        except ValueError as error:
            raise EngineError(
                f"copy {settings.copy}: endpoint or region is not usable",
                hint=f"correct copies.{settings.copy}.endpoint: https://host[:port]",
            ) from error


@functools.cache
def _session() -> Any:
    """Return the session all clients are made from: it has read the service's model once.

    Neither a profile nor a configuration file of whoever runs this may change the requests.
    """
    import boto3.session
    import botocore.session

    return boto3.session.Session(
        botocore_session=botocore.session.Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, "/dev/null", None),
                "credentials_file": (None, None, "/dev/null", None),
            }
        )
    )
