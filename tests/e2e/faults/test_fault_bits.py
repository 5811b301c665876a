"""One flipped bit in each kind of repository file, on each copy."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.actions import check as checking
from orchestrator.actions.status import status
from tests.support.object_lock import new_vault, s3
from tests.support.restic import tree
from tests.support.site import STORE, LabSite, MakeSite

KINDS = ("config", "keys", "data", "index", "snapshots")


def _files(root: Path, kind: str) -> list[Path]:
    if kind == "config":
        return [root / "config"]
    return sorted(path for path in (root / kind).rglob("*") if path.is_file())


def _flip(path: Path) -> None:
    """Flip one bit in the middle, as a tired disk does: length, mode and times stay."""
    facts = path.stat()
    with path.open("r+b") as file:
        file.seek(facts.st_size // 2)
        (byte,) = file.read(1)
        file.seek(facts.st_size // 2)
        file.write(bytes([byte ^ 4]))
        file.flush()
        os.fsync(file.fileno())
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@contextmanager
def _flipped(path: Path) -> Iterator[str]:
    """Flip a bit and flip it back; gives the file's name in the repository."""
    _flip(path)
    try:
        name = path.name
        yield name if name == "config" else f"{_kind(path)}/{name}"
    finally:
        _flip(path)


def _kind(path: Path) -> str:
    return next(part for part in reversed(path.parts) if part in KINDS)


def _snapshots(site: LabSite) -> set[str]:
    return {one["snapshot"] for one in site.ask("snapshots")["snapshots"]}


def test_flipped_bit_is_found_and_named_and_never_good(make_site: MakeSite) -> None:
    site = make_site(medium=True)
    site.ask("backup")
    snapshots = _snapshots(site)
    for copy, root in (("disk", site.primary), ("rotation", site.on_medium)):
        paths = [_files(root, kind)[0] for kind in KINDS]
        with site.opened() as opened:
            for path in paths:  # each alone, by its hash alone: no key is needed for that
                with _flipped(path) as name:
                    _, (found,) = checking.check(opened, [STORE], names=[copy], structure=False)
                    assert [one.file for one in found.damaged] == [name]
                    assert set(found.damaged[0].snapshots) <= snapshots
                    (stand,) = status(opened, [STORE])
                    states = {one.facts.copy: one.state for one in stand.copies}
                    assert (stand.verdict == "met", states[copy]) == (False, "damaged"), name
        with ExitStack() as stack:  # all together, as a person asks
            names = {stack.enter_context(_flipped(path)) for path in paths}
            (seen,) = site.ask("check", copy, expect=4)["copies"]
            assert names <= {one["file"] for one in seen["damaged"]} <= names | {"structure"}
            assert (seen["state"], seen["structure"]) == ("damaged", "damaged")
            assert site.copies()[copy]["state"] == "damaged"
        (healed,) = site.ask("check", copy)["copies"]
        assert (healed["state"], healed["structure"]) == ("proven", "sound")
    assert site.verdict() == "not_met"  # two copies are not three
    assert {one["state"] for one in site.copies().values()} == {"proven"}


def test_damaged_replica_is_healed_by_replicate(make_site: MakeSite) -> None:
    site = make_site(medium=True)
    site.ask("backup")
    whole = tree(site.on_medium)
    names = set()
    for kind in KINDS:
        path = _files(site.on_medium, kind)[-1]
        _flip(path)
        names.add("config" if kind == "config" else f"{kind}/{path.name}")
    gone = _files(site.on_medium, "data")[0]
    gone.unlink()
    names.add(f"data/{gone.name}")

    (found,) = site.ask("check", "rotation", expect=4)["copies"]
    assert names <= {one["file"] for one in found["damaged"]}

    (sent,) = site.ask("replicate", "rotation")["copies"]
    assert sent["files_sent"] == len(names)
    assert sent["state"] == "proven"
    assert tree(site.on_medium) == whole
    site.run("check", "rotation")


def test_damage_that_only_the_engine_sees_is_never_good(make_site: MakeSite) -> None:
    site = make_site(medium=True)
    site.ask("backup")
    pack = _files(site.on_medium, "data")[0]
    pack.unlink()
    with closing(sqlite3.connect(site.state / "catalog.sqlite")) as catalog, catalog:
        catalog.execute("DELETE FROM copy_file WHERE copy = 'rotation' AND name = ?", [pack.name])

    (found,) = site.ask("check", "rotation", expect=4)["copies"]

    assert (found["structure"], found["state"]) == ("damaged", "damaged")
    assert site.copies()["rotation"]["state"] == "damaged"
    site.ask("replicate")
    assert site.copies()["rotation"]["state"] == "damaged", "sending is no proof: a check is"
    (found,) = site.ask("check", "rotation")["copies"]
    assert found["state"] == site.copies()["rotation"]["state"] == "proven"


@pytest.mark.parametrize("kind", ["data", "snapshots", "index"])
def test_damaged_primary_stops_at_the_door(make_site: MakeSite, kind: str) -> None:
    site = make_site(medium=True)
    site.ask("backup")
    bad = _files(site.primary, kind)[0]
    (on_medium,) = site.on_medium.rglob(bad.name)
    on_medium.unlink()  # so that it must be sent again
    before = tree(site.on_medium)
    _flip(bad)
    (site.images / "new.dcm").write_bytes(os.urandom(50_000))

    done = site.run("backup", expect=4)

    assert done.error["error"] == "DamageError"
    row = site.runs("backup")[-1]
    assert row["outcome"] == "failed"
    if kind != "index":  # restic itself refuses an index it cannot read: then nothing was sent
        assert f"{kind}/{bad.name}" in done.error["message"]
        assert f"{kind}/{bad.name}" in row["metrics"]
    after = tree(site.on_medium)
    assert {name: after.get(name) for name in before} == before, "the replica is untouched"
    assert not list(site.on_medium.rglob(bad.name)), "damage does not spread"
    states = {name: one["state"] for name, one in site.copies().items()}
    assert states["disk"] == "damaged"
    assert states["rotation"] != "proven"
    assert site.verdict() != "met"
    (found,) = site.ask("check", "disk", expect=4)["copies"]
    assert f"{kind}/{bad.name}" in {one["file"] for one in found["damaged"]}


def test_overwritten_and_hidden_objects_are_found_and_the_locked_ones_come_back(
    make_site: MakeSite, object_lock_server: ObjectLockServer, tmp_path: Path
) -> None:
    site = make_site(medium=True, vault=True)
    site.write(vault=new_vault(object_lock_server, policy=False))  # a careless site's bucket
    site.ask("backup")
    assert site.verdict() == "met"
    assert site.values.vault is not None
    bucket = site.values.vault.bucket
    names = set()
    with s3(object_lock_server, "writer") as thief:
        for kind in KINDS:
            path = _files(site.primary, kind)[0]
            key = f"{STORE}/{path.relative_to(site.primary).as_posix()}"
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 4
            thief.put_object(Bucket=bucket, Key=key, Body=bytes(content))
            names.add("config" if kind == "config" else f"{kind}/{path.name}")
        hidden = _files(site.primary, "snapshots")[-1]
        thief.delete_object(Bucket=bucket, Key=f"{STORE}/snapshots/{hidden.name}")
        names.add(f"snapshots/{hidden.name}")

    (found,) = site.ask("check", "vault", expect=4)["copies"]
    assert names == {one["file"] for one in found["damaged"]}
    assert found["structure"] == "sound", "what is locked is still whole"
    assert (found["state"], site.verdict() == "met") == ("damaged", False)

    (site.images / "new.dcm").write_bytes(os.urandom(50_000))
    backup = site.ask("backup", expect=3)["stores"][0]
    vault = backup["copies"][2]
    assert (vault["copy"], vault["state"]) == ("vault", "damaged")
    assert "somebody" in vault["detail"]
    assert site.verdict() != "met"
    site.run("bucket", "coverage", "vault", expect=4)
    assert site.verdict() != "met"

    done = site.ask("restore", STORE, "--copy", "vault", "--to", tmp_path / "restored")
    assert done["verified"]
    assert tree(tmp_path / "restored") == tree(site.images)
