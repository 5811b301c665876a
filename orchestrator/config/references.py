"""Where a secret is: plain frozen values, never the secret itself. Wiring resolves them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EnvSecret:
    """A secret in an environment variable of the orchestrator's own process."""

    name: str

    def __str__(self) -> str:
        return f"environment variable {self.name}"


@dataclass(frozen=True, slots=True)
class FileSecret:
    """A secret in a file; a newline at the end is not part of it."""

    path: Path

    def __str__(self) -> str:
        return f"file {self.path}"


@dataclass(frozen=True, slots=True)
class CommandSecret:
    """A secret that a program prints; no shell is involved.

    Attributes:
        argv: Program and arguments; may itself be sensitive and is never shown.
    """

    argv: tuple[str, ...]

    def __str__(self) -> str:
        return f"command {Path(self.argv[0]).name}"


@dataclass(frozen=True, slots=True)
class SystemdSecret:
    """A credential that systemd passed to the service, by its name."""

    credential: str

    def __str__(self) -> str:
        return f"systemd credential {self.credential}"


SecretRef = EnvSecret | FileSecret | CommandSecret | SystemdSecret
"""Where a secret is; ``str()`` says it in words, without the secret. Wiring resolves it."""
