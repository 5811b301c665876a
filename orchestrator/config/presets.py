"""Finds the data that ships with the product: ``jobs`` and ``retention_policies``.

In an installed wheel they lie inside the package, in a source tree or an editable installation
beside it. Nothing else is ever taken for them, least of all some other package's ``jobs``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from orchestrator.errors import ConfigError

Shipped = Literal["jobs", "retention_policies"]

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped_dir(kind: Shipped, *, package: Path = _PACKAGE) -> Path:
    """Return the folder with the shipped files of one kind.

    Args:
        kind: Which files.
        package: The folder of the package ``orchestrator``.

    Raises:
        ConfigError: The installation is incomplete.
    """
    inside = package / "_shipped" / kind
    if inside.is_dir():
        return inside
    beside = package.parent / kind
    if (package.parent / "pyproject.toml").is_file() and beside.is_dir():
        return beside
    raise ConfigError(
        [f"{inside}: file: the shipped {kind} are missing, so this installation is incomplete"],
        hint="install the product again: pip install --force-reinstall imaging-orchestrator",
    )


def shipped_files(kind: Shipped, *, package: Path = _PACKAGE) -> list[Path]:
    """Return the shipped TOML files of one kind, by name.

    Raises:
        ConfigError: The installation is incomplete.
    """
    return sorted(shipped_dir(kind, package=package).glob("*.toml"))
