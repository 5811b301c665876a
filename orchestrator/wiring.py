"""The composition root: configuration, clock and secrets become a site.

The only room that resolves secret references. Everything below is handed small values.
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.actions.progress import Progress
from orchestrator.actions.site import SYSTEM, Site
from orchestrator.clock import Clock, SystemClock
from orchestrator.config.load import load_site
from orchestrator.config.references import CommandSecret, EnvSecret, FileSecret, SecretRef
from orchestrator.engines import process
from orchestrator.errors import ConfigError, CredentialError, OrchestratorError
from orchestrator.keys.secret import Secret

_COMMAND_TIMEOUT_S = 60.0
_SECRET_LIMIT = 64 * 1024


def open_site(
    path: Path,
    *,
    actor: str | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Site:
    """Read a site file and put the site together; nothing is opened yet.

    Args:
        path: The site file.
        actor: Who acts, by the name in the site file; None for unattended work.
        progress: Told what happens; None tells nobody.
        clock: Reads the time; None for the machine's.

    Raises:
        ConfigError: The file is wrong, or does not know the actor.
    """
    config = load_site(path)
    if actor is not None and actor != SYSTEM and actor not in config.actors:
        known = ", ".join(config.actors) or "nobody"
        raise ConfigError(
            [f"{path}: actors: there is no actor named {actor!r}; the file has: {known}"],
            hint=f"add [actors.{actor}] to the site file, or use another name with --as",
        )
    site = Site(config, clock or SystemClock(), resolve, actor=actor or SYSTEM)
    if progress is not None:
        site.progress = progress
    return site


def resolve(reference: SecretRef) -> Secret:
    """Fetch a secret from where a reference says it is.

    Raises:
        CredentialError: It is not there, empty, or may not be read.
    """
    if isinstance(reference, EnvSecret):
        return _checked(os.environ.get(reference.name), reference)
    if isinstance(reference, FileSecret):
        return _checked(_read(reference.path, reference), reference)
    if isinstance(reference, CommandSecret):
        return _checked(_ask(reference), reference)
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        raise CredentialError(
            f"a secret is missing: {reference}: this process was not started by systemd with it",
            hint="LoadCredential= in the service, or another kind of reference in the site file",
        )
    return _checked(_read(Path(folder) / reference.credential, reference), reference)


def _checked(text: str | None, reference: SecretRef) -> Secret:
    value = (text or "").rstrip("\r\n")
    if not value:
        raise CredentialError(
            f"a secret is missing: {reference} is not set or empty",
            hint="set it, or correct the reference in the site file",
        )
    return Secret(value)


def _read(path: Path, reference: SecretRef) -> str:
    try:
        with path.open() as stream:
            return stream.read(_SECRET_LIMIT)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise CredentialError(
            f"a secret is missing: {reference} cannot be read: {why}",
            hint="check that the file is there and that this user may read it",
        ) from None


def _ask(reference: CommandSecret) -> str:
    lines: list[bytes] = []
    try:
        ended = process.run(
            reference.argv,
            env=dict(os.environ),
            timeout_s=_COMMAND_TIMEOUT_S,
            on_stdout=lines.append,
        )
    except OrchestratorError as error:
        raise CredentialError(
            f"a secret is missing: {reference} failed: {error.message}",
            hint="run the command by hand",
        ) from None
    if ended.returncode != 0:
        raise CredentialError(
            f"a secret is missing: {reference} ended with exit code {ended.returncode}",
            hint="run the command by hand",
        )
    return b"\n".join(lines).decode("utf-8", "replace")
