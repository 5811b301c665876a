"""How single values of ``site.toml`` are read: text, periods, paths, URLs, secret references.

Each reader takes the value as TOML gave it and raises `ValueError` with words a person can act
on. A value that may be a secret is never repeated in those words. Knows pydantic, no table.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from orchestrator.config import references
from orchestrator.config.period import LONGEST, format_period, parse_period

_YEAR = timedelta(days=365)
_JURISDICTION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
# Amazon S3 User Guide, "General purpose bucket naming rules"; other servers allow no less.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_REFERENCES = '{ env = "NAME" }, { file = "path" }, { command = [...] } or { systemd = "name" }'


def _printable(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if len(text) > 200 or not text.isprintable():
        raise ValueError("must be one line of at most 200 characters")
    return text


def _matching(pattern: re.Pattern[str], wrong: str) -> AfterValidator:
    def check(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(wrong)
        return text

    return AfterValidator(check)


def _period(longest: timedelta = _YEAR) -> BeforeValidator:
    def read(value: object) -> timedelta:
        if not isinstance(value, str):
            raise ValueError('must be a period in quotes, such as "24h"')
        length = parse_period(value)
        if length > longest:
            raise ValueError(f"{value} is longer than {format_period(longest)}, the most allowed")
        return length

    return BeforeValidator(read)


def _zone(value: object) -> ZoneInfo:
    if not isinstance(value, str):
        raise ValueError("must be text")
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{value!r} is not a known time zone; write one such as America/Chicago"
        ) from None


def _path(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str):
        raise ValueError("must be a path in quotes")
    if not value or not value.isprintable():
        raise ValueError("must be a path, not empty and without control characters")
    if value.startswith("~"):
        raise ValueError("~ is not expanded here; write the whole path")
    base: Path = (info.context or {})["base"]
    # Lexical, so that what is shown and stored is what was written; `checks` follows links.
    return Path(os.path.normpath(base / value))


def _relative(text: str) -> str:
    path = PurePosixPath(text)
    if not text.isprintable() or path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError("must be a relative name of a file below the store's path")
    return str(path)


def _pattern(text: str) -> str:
    if not text.isprintable() or "/" in text or not text.strip("*?."):
        raise ValueError("must be a pattern of file names such as *.tmp, not of all of them")
    return text


def _prefix(text: str) -> str:
    if not text:
        return text
    if text.startswith("/") or text.endswith("/"):
        raise ValueError("must not begin or end with a slash")
    if any(part in ("", ".", "..") for part in text.split("/")):
        raise ValueError("must not hold empty parts, . or ..")
    if not text.isascii() or not text.isprintable() or len(text) > 512:
        raise ValueError("must be at most 512 plain characters")
    return text


def _argv(value: list[str]) -> list[str]:
    if not value or not value[0]:
        raise ValueError("must name a program")
    if any("\0" in word for word in value):
        raise ValueError("must not hold NUL characters")
    return value


def _unique(value: list[str]) -> list[str]:
    if len(set(value)) != len(value):
        raise ValueError("names something twice")
    return value


def is_loopback(endpoint: str) -> bool:
    """Say whether a URL points to this machine itself."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(url: str) -> SplitResult:
    if not url.isprintable() or " " in url:
        raise ValueError("is not a URL")
    try:
        parts = urlsplit(url)
        _ = parts.port  # Raises when it is no number or out of range.
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.username is not None or parts.password is not None:
        # The value may hold a password: never repeat it.
        raise ValueError("must not hold a user or a password; use a secret reference")
    if not parts.hostname:
        raise ValueError("names no host; write it as https://host or https://host:port")
    return parts


def _endpoint(url: str) -> str:
    parts = _split(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with https://")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must end after host and port; bucket and prefix have keys of their own")
    if parts.scheme == "http" and not is_loopback(url):
        raise ValueError("must begin with https://; http is allowed to this machine only")
    return url.rstrip("/")


def _web_address(url: str) -> str:
    parts = _split(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with https:// or http://")
    return url


def _database(url: str) -> str:
    if "://" not in url:
        raise ValueError("must be a URL such as postgresql://host/database")
    scheme = url.split("://", 1)[0]
    if scheme not in ("postgresql", "postgresql+psycopg"):
        raise ValueError("must begin with postgresql://")
    if re.search(r"://[^/@]*:[^/@]*@", url) or "password=" in url:
        raise ValueError("must not hold the password; give it as password = { env = ... }")
    return url


def _secret(value: object, info: ValidationInfo) -> references.SecretRef:
    if not isinstance(value, dict):
        raise ValueError(f"a secret never stands in this file; refer to it by {_REFERENCES}")
    if len(value) != 1 or not set(value) <= set(_SECRET_READERS):
        raise ValueError(f"must be exactly one of {_REFERENCES}")
    ((kind, where),) = value.items()
    return _SECRET_READERS[kind](where, info)


def _read_env(where: object, _info: ValidationInfo) -> references.SecretRef:
    if not isinstance(where, str) or not _ENVIRONMENT.fullmatch(where):
        raise ValueError("env must be the name of an environment variable")
    return references.EnvSecret(where)


def _read_file(where: object, info: ValidationInfo) -> references.SecretRef:
    try:
        return references.FileSecret(_path(where, info))
    except ValueError as error:
        raise ValueError(f"file {error}") from None


def _read_command(where: object, _info: ValidationInfo) -> references.SecretRef:
    if not isinstance(where, list) or not all(isinstance(word, str) for word in where):
        raise ValueError("command must be a list of texts: the program and its arguments")
    try:
        return references.CommandSecret(tuple(_argv(where)))
    except ValueError as error:
        raise ValueError(f"command {error}") from None


def _read_systemd(where: object, _info: ValidationInfo) -> references.SecretRef:
    if not isinstance(where, str) or not _CREDENTIAL.fullmatch(where):
        raise ValueError("systemd must be the name of a credential")
    return references.SystemdSecret(where)


_SECRET_READERS: dict[str, Callable[[object, ValidationInfo], references.SecretRef]] = {
    "env": _read_env,
    "file": _read_file,
    "command": _read_command,
    "systemd": _read_systemd,
}

Text = Annotated[str, AfterValidator(_printable)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]
PathField = Annotated[Path, BeforeValidator(_path)]
Pattern = Annotated[str, AfterValidator(_pattern)]
RelativeName = Annotated[str, AfterValidator(_relative)]
Period = Annotated[timedelta, _period()]
ShortPeriod = Annotated[timedelta, _period(timedelta(hours=24))]
LongPeriod = Annotated[timedelta, _period(LONGEST)]
Jurisdiction = Annotated[str, _matching(_JURISDICTION, "must be a code such as US-TX")]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Region = Annotated[str, _matching(_REGION, "must be a name such as us-east-1")]
Bucket = Annotated[
    str, _matching(_BUCKET, "must be 3 to 63 lower-case letters, digits, dots and hyphens")
]
Prefix = Annotated[str, AfterValidator(_prefix)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
Unique = AfterValidator(_unique)
# `Any` keeps pydantic from building schemas of the dataclasses; the validator gives the type.
Secret = Annotated[Any, BeforeValidator(_secret)]
Argv = Annotated[list[str], AfterValidator(_argv)]
Count = Annotated[int, Field(ge=0, le=100_000)]
