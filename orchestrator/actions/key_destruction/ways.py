"""Trying every way to a repository's password that is known: before, when it must open, and after.

An attempt that fails after the destruction proves something only if the same one succeeded
before. What cannot be tried is counted as such, never as closed. Holds no rule of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.actions.engine_view import engine_on
from orchestrator.actions.key_destruction import contents
from orchestrator.actions.manifests import entry_lines, lines_of
from orchestrator.actions.places import open_copy
from orchestrator.actions.site import Site, key_file_path, keyring_path
from orchestrator.actions.state import KEYRING, members
from orchestrator.errors import (
    AbsentCopyError,
    CredentialError,
    DamageError,
    NotFoundError,
    OrchestratorError,
    StoppedError,
    UnreachableError,
)
from orchestrator.keys.keyring import Keyring
from orchestrator.keys.kit import TEXT_NAME, load_kit
from orchestrator.keys.secret import Secret

if TYPE_CHECKING:
    from orchestrator.actions.key_destruction.contents import Contents
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.restic.repository import Repository
    from orchestrator.engines.restic.values import Snapshot

OPENED, SHUT, UNTRIED = "opened", "refused", "not tried"

_WHY: tuple[tuple[type[OrchestratorError], str], ...] = (
    (AbsentCopyError, "it was not there"),
    (UnreachableError, "it was out of reach"),
    (NotFoundError, "it holds no such repository"),
    (CredentialError, "access was refused, or the password did not open it"),
    (DamageError, "it is damaged"),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to get at the password, or into the repository.

    Attributes:
        where: The keyring, or which copy.
        how: What was tried, in words.
        result: `OPENED`, `SHUT` or `UNTRIED`.
        detail: What was read, or why it could not be tried.
    """

    where: str
    how: str
    result: str
    detail: str | None = None

    def __str__(self) -> str:
        more = f" ({self.detail})" if self.detail else ""
        return f"{self.where}: {self.how}: {self.result}{more}."


@dataclass(slots=True)
class Before:
    """What was measured while the key was there.

    Attributes:
        attempts: One for the keyring, one for each copy.
        strangers: Ids of key files in copies that nobody here has made.
        held: What the repository holds; None if no copy could be read.
    """

    attempts: list[Attempt] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    held: Contents | None = None

    @property
    def copies(self) -> list[str]:
        """Names of the copies that opened."""
        return [a.where.removeprefix("copy ") for a in self.attempts[1:] if a.result == OPENED]

    def document(self) -> dict[str, Any]:
        """Return it as JSON values; contents as counts."""
        held = self.held
        return {
            "attempts": [asdict(one) for one in self.attempts],
            "copies": self.copies,
            "snapshots": held.snapshots if held is not None else None,
            "contents": len(held.studies) if held is not None else None,
            "studies": len(set(held.studies.values()) - {""}) if held is not None else None,
            "first_at": _instant(held.first_at if held is not None else None),
            "last_at": _instant(held.last_at if held is not None else None),
        }


def try_before(site: Site, repository: RepositoryRow) -> Before:
    """Open the repository in every copy that is there, and read what it holds.

    Raises:
        CredentialError: The keyring does not give the password.
        StoppedError: The work was told to stop.
    """
    found = Before()
    site.keyring.password(repository.name)
    found.attempts.append(Attempt("keyring", "unwrapping the password", OPENED))
    entry = site.keyring.find_repository(repository.name)
    known = set() if entry is None else set(entry.key_ids)
    for name in site.config.copies:
        try:
            with _engine(site, name, repository) as engine:
                strangers = [one.id for one in engine.keys() if one.id not in known]  # noqa: SIM118
                found.strangers += strangers
                detail = _read_newest(engine)
                if found.held is None:
                    found.held = contents.read(site, repository, engine)
        except StoppedError:
            raise
        except OrchestratorError as error:
            found.attempts.append(_untried(name, _OPENING, error))
        else:
            found.attempts.append(Attempt(f"copy {name}", _OPENING, OPENED, detail))
    return found


_OPENING = "restic with the password reads a file"


def try_after(site: Site, repository: RepositoryRow, copies: list[str]) -> list[Attempt]:
    """Try again what opened before, with everything that the site still has.

    Args:
        site: The site.
        repository: The repository.
        copies: Copies that opened before.

    Raises:
        StoppedError: The work was told to stop.
    """
    found = [_live(site, repository), *_kit(site, repository)]
    for name in copies:
        for how, secret in _secrets(site, repository.name):
            try:
                with _engine(site, name, repository) as engine:
                    attempt = _open(engine, f"copy {name}", how, secret)
            except StoppedError:
                raise
            except OrchestratorError as error:
                attempt = _untried(name, how, error)
            found.append(attempt)
    return found


def try_state(site: Site, source: RepositoryRow, snapshot: str, wanted: str) -> Attempt:
    """Try to unwrap the password from a keyring that was stored beside another's images.

    Args:
        site: The site.
        source: The repository, in the primary, that holds the stored state.
        snapshot: The state's full id.
        wanted: Name of the repository whose key was destroyed.
    """
    where = f"state {snapshot[:8]} in repository {source.name}"
    how = "unwrapping the password with this site's key file"
    try:
        engine = site.copy_engine(
            source.name, str(site.primary_root(source.name)), site.config.primary.name
        )
        raw = members(engine.dump(snapshot, "/state.tar"), (KEYRING,)).get(KEYRING, b"")
        with tempfile.TemporaryDirectory(dir=site.state_dir) as folder:
            path = Path(folder, KEYRING)
            path.write_bytes(raw)
            Keyring.open(path, key_file_path(site.state_dir)).password(wanted)
    except (CredentialError, NotFoundError):
        return Attempt(where, how, SHUT)
    except OrchestratorError as error:
        return Attempt(where, how, UNTRIED, _why(error))
    return Attempt(where, how, OPENED)


def _live(site: Site, repository: RepositoryRow) -> Attempt:
    how = "unwrapping the password, from the file as it is on the disk"
    try:
        ring = Keyring.open(keyring_path(site.state_dir), key_file_path(site.state_dir))
        ring.password(repository.name)
    except CredentialError:
        return Attempt("keyring", how, SHUT)
    return Attempt("keyring", how, OPENED)


def _kit(site: Site, repository: RepositoryRow) -> Iterator[Attempt]:
    """Look for the password in the kit that lies in the state folder, if one does."""
    path = site.state_dir / "recovery-kit" / TEXT_NAME
    if path.exists():
        names = {one.name for one in load_kit(path).repositories}
        result = OPENED if repository.name in names else SHUT
        yield Attempt("recovery kit in the state folder", "reading the password", result)


def _secrets(site: Site, besides: str) -> Iterator[tuple[str, Secret]]:
    """Yield every key that is left and could be a password."""
    yield "restic with the site key", site.keyring.site_key()
    for entry in site.keyring.entries():
        usable = entry.purpose == "repository" and entry.destroyed_at is None
        if usable and entry.name != besides:
            yield (
                f"restic with the password of repository {entry.name}",
                site.keyring.password(entry.name),
            )


def _open(engine: Repository, where: str, how: str, secret: Secret) -> Attempt:
    try:
        replace(engine, password=lambda: secret).config_id()
    except CredentialError:
        return Attempt(where, how, SHUT)
    return Attempt(where, how, OPENED)


@contextmanager
def _engine(site: Site, name: str, repository: RepositoryRow) -> Iterator[Repository]:
    with (
        open_copy(site, name, repository) as opened,
        engine_on(site, opened, repository.name) as view,
    ):
        yield view.engine


def _read_newest(engine: Repository) -> str:
    """Read the newest manifest whole: it goes through index, tree and pack.

    Raises:
        DamageError: There is none, or it is not whole.
        OrchestratorError: restic failed.
    """
    newest: Snapshot | None = None
    for one in engine.snapshots(tags=["manifest"]):
        newest = one
    if newest is None:
        raise DamageError(f"{engine.name}: it holds no manifest that could be read")
    lines = sum(1 for _ in entry_lines(lines_of(engine.dump(newest.id, "/manifest.jsonl"))))
    return f"manifest {newest.id[:8]}, {lines} entries"


def _untried(copy: str, how: str, error: OrchestratorError) -> Attempt:
    return Attempt(f"copy {copy}", how, UNTRIED, _why(error))


def _why(error: OrchestratorError) -> str:
    """Say why by the kind of error only: a message may name a folder."""
    for kind, words in _WHY:
        if isinstance(error, kind):
            return words
    return "it could not be opened"


def _instant(at: Any) -> str | None:
    return at.isoformat() if at is not None else None
