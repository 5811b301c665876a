"""Turns what an S3 server or the network says into the product's errors.

Pure but for its types: knows botocore's exceptions, nothing of keys, places or locks. The server's
own message is never passed on (it may quote the request); its error code is.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from orchestrator.errors import (
    CredentialError,
    EngineError,
    EngineTimeoutError,
    NotFoundError,
    OrchestratorError,
    UnreachableError,
)

REFUSALS = frozenset({"AccessDenied", "AllAccessDisabled", "Forbidden", "403"})
"""Codes that say: I know who you are, and you may not."""

_CREDENTIAL = {
    "InvalidAccessKeyId": "the server does not know this access key",
    "InvalidClientTokenId": "the server does not know this access key",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "ExpiredToken": "the credential has expired",
    "ExpiredTokenException": "the credential has expired",
    "TokenRefreshRequired": "the credential has expired",
    "InvalidToken": "the credential is not valid",
    "NotSignedUp": "the account may not use this service",
    "AccountProblem": "the account is blocked",
    "UserSuspended": "the account is suspended",
}
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_MISSING = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "NoSuchVersion": "there is no such version",
    "404": "it is not there",
}
_TIMEOUTS = frozenset({"RequestTimeout", "RequestTimeoutException", "GatewayTimeout", "504"})
_BUSY = frozenset({"SlowDown", "ServiceUnavailable", "Throttling", "TooManyRequests"})
_SPOILED = frozenset({"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest"})


def code_of(error: BaseException) -> str | None:
    """Return the server's error code behind an error, or None if no server answered."""
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        if isinstance(response, dict) and "Error" in response:
            return str(response["Error"].get("Code", ""))
        seen = seen.__cause__
    return None


def is_passing(error: BaseException) -> bool:
    """Say whether trying the same request again may help."""
    if isinstance(error, EngineTimeoutError | UnreachableError):
        return True
    cause = error.__cause__
    response = getattr(cause, "response", None)
    if not isinstance(response, dict) or not isinstance(error, EngineError):
        return False
    code = code_of(error)
    return _status(response) >= 500 or code in _BUSY or code in _SPOILED


def server_time(response: dict[str, Any]) -> datetime | None:
    """Return the instant in the server's ``Date`` header (whole seconds, aware), if any."""
    text = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not text:
        return None
    try:
        instant = parsedate_to_datetime(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else None


def translate(error: Exception, *, copy: str, what: str, now: datetime) -> OrchestratorError:
    """Return the error to raise for a botocore exception.

    Args:
        error: What botocore raised.
        copy: Name of the copy.
        what: What was being done, in words.
        now: The machine's time, to say by how much the clocks differ.
    """
    from botocore import exceptions as raised

    start = f"copy {copy}: {what}: "
    if isinstance(error, raised.ClientError):
        return _from_answer(error.response, start=start, copy=copy, now=now)
    if isinstance(error, raised.SSLError):
        return UnreachableError(
            f"{start}the server's certificate is not trusted or TLS failed",
            hint=f"set copies.{copy}.ca_file to the authority that signed the certificate",
        )
    if isinstance(error, raised.ConnectTimeoutError):
        return UnreachableError(f"{start}no connection within the time allowed")
    if isinstance(error, raised.ReadTimeoutError):
        return EngineTimeoutError(f"{start}the server did not answer in time")
    if isinstance(error, raised.ResponseStreamingError | raised.IncompleteReadError):
        return UnreachableError(f"{start}the answer broke off")
    if isinstance(error, raised.HTTPClientError | raised.ConnectionError | OSError):
        return UnreachableError(
            f"{start}the server cannot be reached",
            hint=f"check the network and copies.{copy}.endpoint",
        )
    return EngineError(
        f"{start}the answer is not one of an S3 server ({type(error).__name__})",
        hint=f"check copies.{copy}.endpoint",
    )


def _from_answer(
    response: dict[str, Any], *, start: str, copy: str, now: datetime
) -> OrchestratorError:
    code = str(response.get("Error", {}).get("Code", ""))
    status = _status(response)
    if code in _CLOCK:
        return EngineError(
            f"{start}the server refuses because the clocks differ{_difference(response, now)}",
            hint="set this machine's clock (and the server's) by NTP",
        )
    if code in _CREDENTIAL:
        return CredentialError(
            f"{start}{_CREDENTIAL[code]} ({code})", hint=f"renew the keys of copies.{copy}"
        )
    if code in REFUSALS:
        return CredentialError(
            f"{start}access refused ({code})",
            hint="compare the bucket's policy with deploy/policies",
        )
    if code in _MISSING:
        return NotFoundError(f"{start}{_MISSING[code]}")
    if code in _TIMEOUTS:
        return EngineTimeoutError(f"{start}the server did not get or give the data in time")
    return EngineError(f"{start}the server answered {code or 'an error'} (HTTP {status})")


def _status(response: dict[str, Any]) -> int:
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _difference(response: dict[str, Any], now: datetime) -> str:
    theirs = server_time(response)
    if theirs is None:
        return " by more than it allows"
    minutes = abs((theirs - now).total_seconds()) / 60
    return f": the server's is {minutes:.0f} minutes {'ahead' if theirs > now else 'behind'}"
