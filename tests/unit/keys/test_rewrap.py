"""A new key file: either one opens the keyring while it changes, and the old one not after."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import CredentialError
from orchestrator.keys import rewrap as module
from orchestrator.keys.keyring import Keyring
from orchestrator.keys.rewrap import rewrap

Paths = tuple[Path, Path]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return tmp_path / "keys" / "keyring.json", tmp_path / "keys" / "site.key"


@pytest.fixture
def keyring(paths: Paths) -> Keyring:
    made = Keyring.create(*paths)
    made.add_repository("xrays")
    made.add_repository("scans")
    made.add_site_secret("ledger-1", b"seed")
    return made


def secrets(keyring: Keyring) -> list[object]:
    return [
        keyring.id,
        keyring.password("xrays"),
        keyring.catalog_key(),
        keyring.pseudonym_key(),
        keyring.stream_key(),
        keyring.site_secret("ledger-1"),
    ]


def test_every_key_is_the_same_under_a_new_key_file(paths: Paths, keyring: Keyring) -> None:
    before, old = secrets(keyring), paths[1].read_bytes()
    done = rewrap(*paths)
    again = Keyring.open(*paths)
    assert secrets(again) == before
    assert paths[1].read_bytes() != old
    assert stat.S_IMODE(paths[1].stat().st_mode) == 0o600
    assert done.earlier == (keyring.key_file,)
    assert done.key_file == again.key_file != keyring.key_file
    assert {w.key_file for one in again.entries() for w in one.wraps} == {done.key_file}
    assert sorted(path.name for path in paths[1].parent.iterdir()) == [
        ".keyring.json.lock",
        "keyring.json",
        "site.key",
    ]


def test_old_key_file_opens_old_keyrings_only(
    paths: Paths, keyring: Keyring, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(paths[0].parent, kept)
    rewrap(*paths)
    with pytest.raises(CredentialError):
        Keyring.open(paths[0], kept / "site.key")
    with pytest.raises(CredentialError):
        Keyring.open(kept / "keyring.json", paths[1])
    assert Keyring.open(kept / "keyring.json", kept / "site.key").id == keyring.id


class CutError(Exception):
    """The process is gone."""


STEPS = ("create_key_file", "_write", "_take_place", "_write")


@pytest.mark.parametrize("ended", range(len(STEPS)))
def test_a_cut_after_any_write_leaves_a_keyring_that_opens_and_can_be_ended(
    paths: Paths, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, ended: int
) -> None:
    before = secrets(keyring)
    done: list[str] = []

    def cutting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any) -> Any:
            result = real(*args)
            done.append(name)
            if len(done) == ended + 1:
                raise CutError
            return result

        return step

    with monkeypatch.context() as patched:
        for name in set(STEPS):
            patched.setattr(module, name, cutting(name, getattr(module, name)))
        with pytest.raises(CutError):
            rewrap(*paths)
    assert tuple(done) == STEPS[: ended + 1]
    assert secrets(Keyring.open(*paths)) == before
    rewrap(*paths)
    again = Keyring.open(*paths)
    assert secrets(again) == before
    assert again.key_file != keyring.key_file
    assert {w.key_file for one in again.entries() for w in one.wraps} == {again.key_file}
    assert not paths[1].with_name("site.key.next").exists()


def test_a_destroyed_key_gets_no_wrap_again(paths: Paths, keyring: Keyring) -> None:
    keyring.destroy("scans", at=datetime(2026, 1, 2, tzinfo=UTC))
    rewrap(*paths)
    with pytest.raises(CredentialError, match="destroyed on 2026-01-02"):
        Keyring.open(*paths).password("scans")
