"""Where certificates and the evidence beside the ledger lie in the state folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.actions.site import Site
from orchestrator.errors import DamageError, EngineError, LockedError, NotFoundError

_NUMBER = re.compile(r"(\d{4}-\d{4,6})\.(?:json|pdf)")
_WAIT_S = 60.0
_PAUSE_S = 0.05


def folder(site: Site) -> Path:
    """Return the folder of certificates, made if need be."""
    return _made(site.state_dir / "certificates")


def record_path(site: Site, number: str) -> Path:
    """Return where a certificate's record is."""
    return folder(site) / f"{number}.json"


def pdf_path(site: Site, number: str) -> Path:
    """Return where a certificate's PDF is."""
    return folder(site) / f"{number}.pdf"


def numbers(site: Site) -> list[str]:
    """Return the numbers of which there are files."""
    found = (_NUMBER.fullmatch(path.name) for path in folder(site).iterdir())
    return sorted({match.group(1) for match in found if match})


def evidence_path(site: Site, sha256: str) -> Path:
    """Return where evidence with this SHA-256 (hex) is or will be."""
    return site.state_dir / "evidence" / "sha256" / sha256[:2] / sha256[2:]


def keep_evidence(site: Site, content: bytes) -> str:
    """Keep bytes as evidence beside the ledger; on the disk on return.

    Returns:
        Their SHA-256 in hex.

    Raises:
        EngineError: The disk refuses.
    """
    from orchestrator.certificates.encoding import digest

    sha256 = digest(content)
    path = evidence_path(site, sha256)
    if not (path.is_file() and digest(path.read_bytes()) == sha256):
        make_folders(site, path.parent)
        write(path, content)
    return sha256


def make_folders(site: Site, folder: Path) -> None:
    """Make a folder below the state folder with those on the way to it, mode 0700.

    Raises:
        EngineError: The disk refuses.
    """
    for part in reversed((folder / "x").relative_to(site.state_dir).parents):
        _made(site.state_dir / part)


def write(path: Path, content: bytes) -> None:
    """Write a private file whole, on the disk on return.

    Raises:
        EngineError, LockedError: As `PrivateFile`.
    """
    from orchestrator.keys.private_file import PrivateFile

    with PrivateFile(path) as out:
        out.write(content)


def read(path: Path, what: str) -> bytes:
    """Return a file's bytes.

    Args:
        path: The file.
        what: What it is, for messages.

    Raises:
        NotFoundError: It is not there.
        EngineError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"{what} is not there") from None
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise EngineError(f"{what} cannot be read: {why}") from None


def read_as(path: Path, sha256: str, what: str) -> bytes:
    """Return a file's bytes, which must have this SHA-256 (hex).

    Raises:
        NotFoundError, EngineError: As `read`.
        DamageError: It has other bytes.
    """
    from orchestrator.certificates.encoding import digest

    content = read(path, what)
    if digest(content) != sha256:
        raise DamageError(f"{what} is not what was recorded", hint="restore it from a copy")
    return content


@contextmanager
def issuing(site: Site) -> Iterator[None]:
    """Hold the right to issue, revoke and import; numbers and files have one writer.

    Raises:
        LockedError: Another process holds it and does not end.
        StoppedError: The work was told to stop meanwhile.
    """
    from orchestrator.actions.lock import marked

    until = site.clock.monotonic() + _WAIT_S
    while True:
        with marked(site.lock_dir, "certificates") as held:
            if held:
                yield
                return
        if site.clock.monotonic() > until:
            raise LockedError("another process is issuing a certificate and does not end")
        site.check_stop()
        site.stop.wait(_PAUSE_S)


def _made(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise EngineError(f"the folder {path.name} cannot be made: {why}") from None
    return path
