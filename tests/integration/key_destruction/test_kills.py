"""Killed at any durable write, the destruction of a key has claimed nothing and goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.actions.key_destruction import destroy
from orchestrator.actions.key_destruction.record import BEGUN, DESTROYED, get, kept
from orchestrator.actions.ledger.record import settle
from orchestrator.errors import CredentialError
from orchestrator.keys.kit import load_kit
from orchestrator.ledger import entry
from orchestrator.wiring import open_site
from tests.integration.key_destruction.conftest import NEW, Replaced, acting
from tests.support.site import STORE

CHILD = Path(__file__).with_name("killed.py")
ROOT = Path(__file__).parents[3]


def test_kill_between_any_two_writes_loses_nothing_and_converges(
    replaced: Replaced, tmp_path: Path
) -> None:
    site = replaced()
    with acting(site, "it") as opened:
        name = destroy.propose(opened, STORE, reason="replaced").id
    with acting(site, "privacy") as opened:
        destroy.approve(opened, name)
    work = tmp_path / "work"
    work.mkdir()
    ended = subprocess.run(
        [sys.executable, str(CHILD), str(site.folder), str(work), name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    died = dict(line.split(maxsplit=1) for line in ended.stdout.splitlines())
    assert {"keyring.json", "checkpoint", "recovery-kit.txt", "through"} <= set(died.values())
    met = set()
    for number, at in died.items():
        met.add(goes_on(work / number, name, at))
    # The key was there, or it was gone and nobody had said so, or all was done.
    assert met == {"there", "gone", "done"}


def goes_on(folder: Path, name: str, at: str) -> str:
    """Let the next command do its work; return how it found the key."""
    site = open_site(folder / "site.toml", actor="it")
    try:
        settle(site)
        one = get(site, name)
        (before,) = (each for each in site.keyring.entries() if each.name == STORE)
        if one.state != DESTROYED:
            assert one.state in ("approved", BEGUN), at
            assert one.verification is None, at
        how = "there" if before.destroyed_at is None else "gone"
        if how == "there":
            site.keyring.password(STORE)
        done = one if one.state == DESTROYED else destroy.execute(site, name)
        assert (done.state, done.verification) == (DESTROYED, "unverified"), at
        with pytest.raises(CredentialError):
            site.keyring.password(STORE)
        kit = load_kit(site.state_dir / "recovery-kit" / "recovery-kit.txt")
        assert [row.name for row in kit.repositories] == [NEW], at
        assert kept(site, done.before)["copies"] == ["disk"], at
        found = [entry.parse(raw.data) for raw in site.ledger.reader().entries()]
        acts = [each for each in found if each.type == "key.destroy"]
        outcomes = [each for each in found if each.type.startswith("key.destroy.")]
        assert [each.id for each in acts] == [each.intent for each in outcomes], at
        assert [each.type for each in outcomes][-1] == "key.destroy.done", at
        assert sum(each.type == "key.destroy.done" for each in outcomes) == 1, at
        return "done" if one.state == DESTROYED else how
    finally:
        site.catalog.dispose()
