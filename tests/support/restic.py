"""Real restic for tests: the oldest supported version and the current one.

Fixtures are named in the conftest of the tests that use them.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from orchestrator.engines.restic.binary import Binary, find_binary
from orchestrator.engines.restic.repository import Repository
from orchestrator.keys.secret import Secret
from tests.support.cheap_key import make_cheap

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = Secret("a-test-password-that-must-stay-secret")
Which = Literal["oldest", "current"]
MakeRepository = Callable[..., Repository]


@functools.cache
def binaries() -> dict[Which, Binary]:
    """Return restic of the oldest supported line and of the current one, fetched if needed."""
    done = subprocess.run(
        [str(ROOT / "deploy/lab/get-restic.sh"), "--both"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    oldest, current = (find_binary(Path(line)) for line in done.stdout.splitlines())
    assert oldest.version[:2] == (0, 18)
    assert current.version >= (0, 19, 1)
    return {"oldest": oldest, "current": current}


def without_read_override(binary: Binary, where: Path) -> Binary:
    """Return the same restic, which may not read what its user has no permission for.

    Root may read anything; that one capability is given up.
    """
    if os.geteuid() != 0:
        return binary
    script = where / "restic"
    drop = "-dac_override,-dac_read_search"
    script.write_text(
        f'#!/bin/sh\nexec setpriv --bounding-set={drop} --inh-caps={drop} {binary.path} "$@"\n'
    )
    script.chmod(0o755)
    return Binary(script, binary.version)


@pytest.fixture(params=["oldest", "current"])
def restic(request: pytest.FixtureRequest) -> Binary:
    """Restic, once in each version."""
    return binaries()[request.param]


@pytest.fixture
def current_restic() -> Binary:
    """The current restic only, where versions cannot differ."""
    return binaries()["current"]


@pytest.fixture
def make_repository(tmp_path: Path) -> MakeRepository:
    """Return a function that makes a new, empty repository and opens it."""

    def make(binary: Binary, **options: Any) -> Repository:
        location = tmp_path / "repository"
        shutil.copytree(template(binary), location)
        return open_repository(binary, location, tmp_path, **options)

    return make


def open_repository(binary: Binary, location: Path, where: Path, **options: Any) -> Repository:
    """Open a repository as a primary, with cache and work directory below `where`."""
    settings: dict[str, Any] = {
        "name": "copy disk of store xrays",
        "cache_dir": where / "cache",
        "work_dir": where / "work",
        "lock_wait_s": 0,
    }
    return Repository(binary, str(location), lambda: PASSWORD, **settings | options)


@functools.cache
def template(binary: Binary) -> Path:
    """Return an empty repository to copy: making one costs seconds of key derivation.

    Its key is cheap to derive, too, see `cheap_key`.
    """
    templates = ROOT / ".tools" / "repositories"
    templates.mkdir(parents=True, exist_ok=True)
    made = templates / ".".join(str(number) for number in binary.version)
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=templates) as where:
            new = Path(where) / "new"
            open_repository(binary, new, Path(where)).init()
            make_cheap(new, PASSWORD.reveal())
            try:
                new.rename(made)
            except OSError:  # another session was quicker
                assert made.exists()
    return made


def tree(root: Path) -> dict[bytes, bytes | None]:
    """Return what a folder holds: content of files, None for directories."""
    found: dict[bytes, bytes | None] = {}
    base = os.fsencode(root)
    for folder, names, files in os.walk(base):
        for name in names:
            found[os.path.relpath(os.path.join(folder, name), base)] = None
        for name in files:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, base)] = file.read()
    return found
