"""One disposal through every kind of copy, with all that may come between, judged from outside."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.disposal.execute import execute
from orchestrator.actions.disposal.settle import settle
from orchestrator.actions.holds import place
from orchestrator.actions.replicate import replicate
from orchestrator.actions.site import Site
from orchestrator.actions.sweep import sweep
from tests.integration.disposal.conftest import acting
from tests.integration.disposal.executing import (
    BATCH,
    SOON,
    approve_all,
    batch_state,
    key_of,
    traces,
)
from tests.support.due_studies import NEW, OLD
from tests.support.object_lock import ObjectLockServer, s3
from tests.support.restic import tree
from tests.support.site import STORE, LabSite, wait_for

SECOND = """
[copies.second]
role = "local"
path = "copies/second"
"""
KEPT = {f"{NEW.folder}/{n}.dcm" for n in range(1, NEW.files + 1)}
KINDS = ("data", "index", "snapshots", "keys")


def names(folder: Path) -> set[str]:
    return {
        path.decode()
        for path, content in tree(folder).items()
        if content is not None and path.decode().split("/")[0] in KINDS
    }


class Vault:
    """The bucket, past the product, as its owner."""

    def __init__(self, lab: LabSite, server: ObjectLockServer) -> None:
        assert lab.values.vault is not None
        self._bucket, self._server = lab.values.vault.bucket, server

    def versions(self) -> dict[str, Any]:
        """Return every version of a repository's file by its path below the repository."""
        with s3(self._server, "admin") as client:
            pages = client.get_paginator("list_object_versions").paginate(Bucket=self._bucket)
            found = [one for page in pages for one in page.get("Versions", [])]
        base = f"{STORE}/"
        return {
            one["Key"].partition(base)[2]: one
            for one in found
            if one["Key"].partition(base)[2].split("/")[0] in KINDS
        }

    def locks_end(self, paths: set[str]) -> None:
        with s3(self._server, "admin") as client:
            ends = [
                client.get_object_retention(
                    Bucket=self._bucket, Key=one["Key"], VersionId=one["VersionId"]
                )["Retention"]["RetainUntilDate"]
                for path, one in self.versions().items()
                if path in paths
            ]
        wait_for(lambda: datetime.now(UTC) > max(ends), limit_s=60, pause_s=0.1)

    def lengthen(self, path: str, until: datetime) -> None:
        with s3(self._server, "admin") as client:
            client.put_object_retention(
                **self._one(path), Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until}
            )

    def _one(self, path: str) -> dict[str, str]:
        one = self.versions()[path]
        return {"Bucket": self._bucket, "Key": one["Key"], "VersionId": one["VersionId"]}


def back(lab: LabSite, to: Path, *words: str) -> tuple[int, set[str]]:
    """Restore, and return how many files were left out and which came back."""
    result = lab.ask("restore", STORE, "--to", to, *words)
    assert result["verified"], result
    return result["suppressed"], {str(p.relative_to(to)) for p in to.rglob("*") if p.is_file()}


def left(lab: LabSite) -> dict[str, Any]:
    shown = lab.ask("disposal", "show", BATCH)
    return {one["copy"]: one for one in shown["copies"] if one["state"] != "absent"}


@pytest.mark.slow
def test_no_study_comes_back_and_none_is_certified_as_gone_before_it_is(
    due_site: Callable[..., LabSite], object_lock_server: ObjectLockServer, tmp_path: Path
) -> None:
    lab = due_site(medium=True, vault=True, lock_period="8s", more=SOON)
    lab.write(more=SOON + SECOND)
    lab.run("init", lab.folder)
    vault = Vault(lab, object_lock_server)
    second = lab.folder / "copies/second" / STORE
    assert lab.medium is not None
    approve_all(lab)
    lab.run("backup")
    old = [one["snapshot"] for one in lab.ask("snapshots", STORE)["snapshots"]]
    before, was = names(lab.primary), datetime.now(UTC)
    shutil.copytree(lab.on_medium, tmp_path / "old generation")
    lab.medium.unmount()
    with acting(lab, "it") as site:
        execute(site, BATCH, dry_run=False)
        assert batch_state(site) == "residual"
        gone = before - names(lab.primary)
        assert gone <= vault.versions().keys()
    assert left(lab).keys() == {"rotation", "vault"}

    # From before the disposal: by an old snapshot, as of then, and from the medium that is late.
    lab.medium.mount()
    for number, words in enumerate(
        (
            ("--copy", "rotation", "--snapshot", old[0]),
            ("--copy", "vault", "--as-of", was.isoformat()),
            ("--copy", "disk", "--as-of", was.isoformat()),
        )
    ):
        left_out, came = back(lab, tmp_path / str(number), *words)
        assert came == KEPT, words
        assert left_out == (0 if "disk" in words else 6)

    # A hold that comes while medium and bucket still have it keeps it there.
    with acting(lab, "privacy") as site:
        wish = place.Wish("study", "24-CV-1", "a claim", study=key_of(site, OLD[0]))
        name = place.place(site, wish).hold.hold
    with acting(lab, "it") as site:
        replicate(site, [STORE])
        vault.locks_end(gone)
        (swept,) = sweep(site, "vault", [STORE])
        assert (swept.removed, swept.holds) == (0, (name,))
        assert gone <= vault.versions().keys()
        assert gone <= names(lab.on_medium)
        settle(site)
        assert batch_state(site) == "residual"
    for actor in ("privacy", "it"):
        lab.run("--as", actor, "hold", "release", name, "--reason", "settled")

    # One version stays: somebody else has lengthened its lock.
    stubborn = min(path for path in gone if path.startswith("data/"))
    with acting(lab, "it") as site:
        replicate(site, [STORE])
        vault.locks_end(gone)
        longer = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)
        vault.lengthen(stubborn, longer)
        (swept,) = sweep(site, "vault", [STORE])
        assert gone & vault.versions().keys() == {stubborn}
        settle(site)
        assert batch_state(site) == "residual"
        engines = [site.copy_engine(STORE, str(one), "x") for one in (second, lab.on_medium)]
        assert [traces(one, OLD) for one in engines] == [[], []]
    waiting = left(lab)
    assert waiting.keys() == {"vault"}
    assert datetime.fromisoformat(waiting["vault"]["residual_until"]) == longer
    vault.locks_end({stubborn})
    with acting(lab, "it") as site:
        sweep(site, "vault", [STORE])
        assert set(vault.versions()) == names(lab.primary)
        assert settle(site) == []
        assert batch_state(site) == "complete"

    # After the certificate a medium comes back as it was.
    shutil.rmtree(lab.on_medium)
    shutil.copytree(tmp_path / "old generation", lab.on_medium)
    assert back(lab, tmp_path / "late", "--copy", "rotation", "--snapshot", old[0]) == (6, KEPT)
    lab.run("backup")
    assert names(lab.on_medium) == names(lab.primary) == names(second)
    with acting(lab, "it") as site:
        _nothing_anywhere(site, [lab.primary, second, lab.on_medium])


def _nothing_anywhere(site: Site, folders: list[Path]) -> None:
    for folder in folders:
        engine = site.copy_engine(STORE, str(folder), "x")
        assert traces(engine, OLD) == []
        assert engine.check(read_data=True).errors == 0
