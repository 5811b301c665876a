"""Every wrong command, file, path, credential or repository: one message, the right exit code.

Nothing is half-written and nothing is lost: the copies and what the catalog says of the store are
compared before and after.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from tests.support import cheap_key
from tests.support.command_line import CommandLine, LabSite, lab_site
from tests.support.loop import loop_file_system
from tests.support.restic import ROOT, tree
from tests.support.warm import shared


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, object_lock_server: ObjectLockServer
) -> Iterator[LabSite]:
    folder = tmp_path_factory.mktemp("bad-input")
    with lab_site(folder, server=object_lock_server, media={"red": 48}, warm=shared()) as made:
        made.cli.ask("backup")
        yield made


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory, site: LabSite) -> Iterator[LabSite]:
    folder = tmp_path_factory.mktemp("fresh")
    with lab_site(folder, build_images=False, warm=site.cli.warm) as made:
        yield made


@pytest.fixture
def fresh(tmp_path: Path, made_once: LabSite) -> LabSite:
    """A site that was never backed up, with the primary alone and one file in the store."""
    folder = tmp_path / "fresh"
    shutil.copytree(made_once.folder, folder)
    made = replace(
        made_once,
        folder=folder,
        images=folder / "images",
        file=folder / "site/site.toml",
        cli=made_once.cli.with_env(ORCHESTRATOR_SITE=str(folder / "site/site.toml")),
    )
    text = made.file.read_text()
    made.file.write_text(text.replace(str(made_once.folder), str(folder)))
    (made.images / "one.txt").write_text("one")
    return made


@contextmanager
def nothing_changes(site: LabSite) -> Iterator[None]:
    def facts() -> list[object]:
        # Not its index: after a run that failed restic makes that anew from the packs.
        folders = [site.primary / part for part in ("data", "keys", "snapshots")]
        folders += [site.state / "keys", site.folder / "media/red", site.images]
        return [
            *(tree(folder) for folder in folders if folder.exists()),
            site.cli.ask("snapshots"),
            site.cli.ask("store", "list"),
            site.file.read_bytes(),
        ]

    before = facts()
    yield
    after = facts()
    assert after == before


@contextmanager
def moved_away(path: Path) -> Iterator[Path]:
    away = path.with_name(f"{path.name}.away")
    path.rename(away)
    try:
        yield away
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        away.rename(path)


def variant(site: LabSite, **changes: str) -> CommandLine:
    """The command line with a site file in which some lines are others."""
    text = site.file.read_text()
    for key, value in changes.items():
        lines = [line for line in text.splitlines() if line.startswith(f"{key} = ")]
        assert len(lines) == 1, key
        text = text.replace(lines[0], f"{key} = {value}")
    other = site.file.with_name("variant.toml")
    other.write_text(text)
    return site.cli.with_env(ORCHESTRATOR_SITE=str(other))


class TestWords:
    @pytest.mark.parametrize(
        "words",
        [
            "",
            "nonsense",
            "bucket",
            "bucket nonsense",
            "backup --nonsense",
            "backup xrays again",
            "restore xrays",
            "check --slice 3/2",
            "check --slice 0/4",
            "check --slice half",
            "study list --limit 0",
            "medium add rotation /nowhere --label x",
            "bucket probe disk",
            "medium mount vault",
            "medium mount rotation-that-cannot",
            "--as nobody status",
        ],
    )
    def test_what_makes_no_sense_is_refused_as_usage(self, site: LabSite, words: str) -> None:
        code = 10 if words.endswith("cannot") else 2
        body = site.cli.fail(*words.split(), code=code)
        assert len(body["message"].splitlines()) == 1

    def test_no_command_shows_people_the_help(self) -> None:
        answer = CommandLine().run()  # the installed script itself
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("Usage: orchestrator")
        assert "\n  backup " in answer.err

    @pytest.mark.parametrize(
        "words",
        [
            "backup nowhere",
            "rotate nowhere",
            "check nowhere",
            "check --store nowhere",
            "restore nowhere --to TARGET",
            "restore xrays --to TARGET --copy nowhere",
            "restore xrays --to TARGET --snapshot ffffffff",
            "restore xrays --to TARGET --study nobody",
            "study show nobody",
            "job run nothing",
            "medium receive nothing",
            "medium release nothing",
            "medium retire nothing",
            "bucket coverage nowhere",
            "store show nowhere",
            "key unwrap --repository nothing",
            "catalog rebuild --copy nowhere",
            "catalog rebuild --copy disk --store nowhere",
        ],
    )
    def test_what_there_is_not_is_not_found(
        self, site: LabSite, tmp_path: Path, words: str
    ) -> None:
        target = tmp_path / "target"
        typed = [str(target) if word == "TARGET" else word for word in words.split()]
        body = site.cli.fail(*typed, code=10)
        assert body["error"] == "NotFoundError"
        assert len(body["message"].splitlines()) == 1
        assert not target.exists() or not any(target.iterdir())


class TestSiteFile:
    def test_every_fault_at_once_with_file_and_key(self, fresh: LabSite) -> None:
        text = fresh.file.read_text()
        text = text.replace('rpo = "24h"', 'rpo = "24 hours"').replace('rto = "4h"', 'rto = "-1h"')
        text = text.replace('kind = "folder"', 'kind = "tape"').replace(
            "[actors.it]", "[actors.It]"
        )
        fresh.file.write_text(text + '\n[copies.disk2]\nrole = "local"\npath = "x"\npth = "y"\n')
        answer = fresh.cli.run("status")
        assert answer.code == 2
        faults = [line for line in answer.err.splitlines() if line.startswith("error: ")]
        for key in (
            "stores.xrays.rpo",
            "stores.xrays.rto",
            "stores.xrays.kind",
            "copies.disk2.pth",
        ):
            assert any(f"{fresh.file}: {key}: " in line for line in faults), (key, faults)
        assert len(faults) >= 5
        assert fresh.cli.fail("status", code=2)["error"] == "ConfigError"

    @pytest.mark.parametrize(
        "content", [b"", b"[site\nname = ", b"name = '\xff\xfe'", b"[site]\nname = 3\n", None]
    )
    def test_a_file_that_is_none_is_said_to_be(self, tmp_path: Path, content: bytes | None) -> None:
        file = tmp_path / "site.toml"
        if content is None:
            file.mkdir()
        else:
            file.write_bytes(content)
        body = CommandLine().fail("--site", file, "status", code=2)
        assert str(file) in body["message"]

    def test_a_broken_job_file_is_named(self, fresh: LabSite) -> None:
        jobs = fresh.file.parent / "jobs"
        jobs.mkdir()
        (jobs / "mine.toml").write_text('action = "dance"\nschedule = "61 2 * * *"\n')
        body = fresh.cli.fail("job", "list", code=2)
        assert body["message"].count("mine.toml: ") == 2

    def test_a_state_folder_that_cannot_be_made(self, fresh: LabSite, tmp_path: Path) -> None:
        cli = variant(fresh, state_dir='"/proc/orchestrator"')
        (tmp_path / "b").mkdir()
        shutil.move(cli.env["ORCHESTRATOR_SITE"], tmp_path / "b/site.toml")
        body = cli.fail("init", tmp_path / "b", code=1)
        assert "/proc/orchestrator" in body["message"]
        assert [p.name for p in (tmp_path / "b").iterdir()] == ["site.toml"]

    def test_init_leaves_a_folder_of_another_site_alone(
        self, site: LabSite, fresh: LabSite
    ) -> None:
        text = fresh.file.read_text().replace('"copies/disk"', f'"{site.primary.parent}"')
        fresh.file.write_text(text)
        with nothing_changes(site):
            assert "another" in fresh.cli.fail("init", fresh.file.parent, code=5)["message"]


class TestKeys:
    def test_a_key_file_that_does_not_fit(self, site: LabSite) -> None:
        key = site.state / "keys/site.key"

        def fails(code: int) -> str:
            return str(site.cli.fail("key", "list", code=code)["message"])

        with moved_away(key) as away:
            assert "missing" in fails(12)
            key.write_bytes(away.read_bytes())
            key.chmod(0o640)
            assert "by others" in fails(12)
            key.write_bytes(bytes(32))
            key.chmod(0o600)
            assert "does not belong" in fails(12)
            key.write_bytes(b"short")
            assert "32 bytes" in fails(4)
        assert site.cli.ask("key", "list")

    def test_a_keyring_that_is_damaged_or_gone(self, site: LabSite) -> None:
        keyring = site.state / "keys/keyring.json"
        with moved_away(keyring) as away:
            assert "missing" in site.cli.fail("status", code=12)["message"]
            keyring.write_bytes(away.read_bytes().replace(b'"sealed": "', b'"sealed": "A', 1))
            keyring.chmod(0o600)
            assert keyring.read_bytes() != away.read_bytes()
            body = site.cli.fail("status", code=4)
            assert "keyring" in body["message"]

    def test_a_repository_that_our_password_does_not_open(self, fresh: LabSite) -> None:
        password = fresh.cli.run("key", "unwrap", "--repository", "xrays").out.strip()
        change_password(fresh.primary, password, "another password")
        before = tree(fresh.primary)
        body = fresh.cli.fail("backup", code=12)
        assert "disk" in body["message"]
        assert password not in str(body)
        assert tree(fresh.primary) == before
        assert fresh.cli.fail("key", "check", code=12)

    def test_a_secret_that_is_not_where_the_site_file_says(self, site: LabSite) -> None:
        bare = replace(site.cli, env={"ORCHESTRATOR_SITE": str(site.file)})
        body = bare.fail("bucket", "coverage", "vault", code=12)
        assert "VAULT_ACCESS_KEY" in body["message"]


class TestPrimary:
    def test_a_primary_that_is_not_there(self, site: LabSite) -> None:
        disk = site.primary.parent
        with nothing_changes(site), moved_away(disk):
            assert site.cli.fail("backup", code=10)["hint"]
            disk.mkdir()  # as an unmounted mount point looks
            body = site.cli.fail("backup", code=10)
            assert "not mounted" in body["message"]
            assert list(disk.iterdir()) == []
            (copy, *_) = site.cli.ask("status")["stores"][0]["copies"]
            assert copy["state"] == "absent"

    def test_a_primary_without_the_repository(self, fresh: LabSite) -> None:
        with moved_away(fresh.primary):
            body = fresh.cli.fail("backup", code=10)
            assert "no repository" in body["message"]
            assert not fresh.primary.exists()


class TestBucket:
    def test_a_bucket_that_does_not_exist(self, site: LabSite) -> None:
        cli = variant(site, bucket='"nobody-made-this"')
        assert "bucket" in cli.fail("bucket", "coverage", "vault", code=10)["message"]

    def test_a_wrong_key(self, site: LabSite) -> None:
        cli = site.cli.with_env(VAULT_SECRET_KEY="wrong-secret-that-must-not-show")
        body = cli.fail("bucket", "coverage", "vault", code=12)
        assert "wrong-secret" not in str(body)

    def test_an_endpoint_that_refuses(self, site: LabSite) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            cli = variant(site, endpoint=f'"http://127.0.0.1:{nobody.getsockname()[1]}"')
            body = cli.fail("bucket", "coverage", "vault", code=1)
            assert body["error"] == "UnreachableError"
            with nothing_changes(site):
                assert cli.fail("catalog", "rebuild", "--copy", "vault", code=1)


class TestRestore:
    def test_a_target_that_may_not_be_used(self, site: LabSite, tmp_path: Path) -> None:
        full = tmp_path / "full"
        full.mkdir()
        (full / "mine.txt").write_text("mine")
        link = tmp_path / "link"
        link.symlink_to(site.images)
        with nothing_changes(site):
            for target, code in (
                (full, 5),
                (site.images / "below", 5),
                (link / "below", 5),
                (site.primary / "below", 5),
                (site.state / "below", 5),
                (site.folder, 5),
                (full / "mine.txt", 1),
                (full / "mine.txt/below", 1),
                (Path("/proc/below"), 1),
            ):
                body = site.cli.fail("restore", "xrays", "--to", target, code=code)
                assert len(body["message"].splitlines()) == 1, target
        assert [p.name for p in full.iterdir()] == ["mine.txt"]

    def test_a_store_that_was_never_backed_up(self, fresh: LabSite, tmp_path: Path) -> None:
        body = fresh.cli.fail("restore", "xrays", "--to", tmp_path / "t", code=10)
        assert "orchestrator backup" in body["hint"]


class TestPeople:
    def test_only_a_role_opens_a_door(self, site: LabSite, tmp_path: Path) -> None:
        with nothing_changes(site):
            for words in (
                ["backup"],
                ["restore", "xrays", "--to", str(tmp_path / "t")],
                ["medium", "retire", "red"],
                ["key", "unwrap", "--repository", "xrays"],
                ["catalog", "rebuild", "--copy", "disk"],
                ["rotate", "--execute"],
            ):
                body = site.cli.fail("--as", "privacy", *words, code=5)
                assert "role" in body["message"]
        assert not (tmp_path / "t").exists()

    def test_a_user_without_rights(self, site: LabSite) -> None:
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        cli = replace(site.cli, prefix=nobody, cwd=Path("/"))
        body = cli.fail("status", code=2)
        assert "ermission" in body["message"] or "read" in body["message"]


class TestMedia:
    def test_a_place_that_is_no_empty_medium(self, site: LabSite) -> None:
        search = site.folder / "media"
        bare = search / "bare"
        bare.mkdir()
        outside = site.folder / "outside"
        outside.mkdir()
        with loop_file_system(site.folder, mount_point=search / "used") as used:
            (used.mount_point / "somebody's.doc").write_text("keep me")
            with nothing_changes(site):
                for place, code in ((bare, 5), (outside, 2), (used.mount_point, 5)):
                    site.cli.fail("medium", "add", "rotation", place, "--label", "x", code=code)
            assert (used.mount_point / "somebody's.doc").read_text() == "keep me"
        assert list(bare.iterdir()) == []
        bare.rmdir()

    def test_what_the_site_file_does_not_say_how_to_do(self, site: LabSite) -> None:
        red = site.media["red"]
        red.unmount()
        body = site.cli.fail("medium", "mount", "rotation", code=2)
        absent = site.cli.fail("medium", "release", "rotation", code=1)
        red.mount()
        assert "mount" in body["hint"]
        assert "no medium" in absent["message"]


class TestMachine:
    def test_restic_missing_or_too_old(self, site: LabSite, tmp_path: Path) -> None:
        hidden = _in_namespace('mount -t tmpfs none "$0"', ROOT / ".tools")
        path = tmp_path / "bin"
        path.mkdir()
        cli = replace(site.cli.with_env(PATH=str(path)), prefix=hidden)
        with nothing_changes(site):
            body = cli.fail("backup", code=1)
            assert body["message"] == "restic is not installed"
            assert "0.18" in body["hint"]
            old = path / "restic"
            old.write_text('#!/bin/sh\necho \'{"version":"0.16.4"}\'\n')
            old.chmod(0o755)
            assert "restic 0.16.4 is too old" in cli.fail("backup", code=1)["message"]
            findings = cli.ask("doctor", code=1)["checks"]
            assert "fail" in [f["state"] for f in findings if f["name"] == "restic"]

    def test_a_state_folder_that_cannot_be_written(self, site: LabSite) -> None:
        script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
        cli = replace(site.cli, prefix=_in_namespace(script, site.state))
        with nothing_changes(site):
            answer = cli.run("--json", "backup")
            assert answer.code in (1, 12)
            assert answer.error["message"]
            assert cli.run("--json", "status").code in (0, 12)


class TestStore:
    def test_a_store_that_is_not_really_there_changes_nothing(self, site: LabSite) -> None:
        with nothing_changes(site), moved_away(site.images):
            assert "does not exist" in site.cli.fail("backup", code=1)["message"]
            site.images.mkdir()
            assert "no files" in site.cli.fail("backup", code=1)["message"]
        with nothing_changes(site):
            text = site.file.read_text()
            site.file.write_text(
                text.replace('kind = "folder"', 'kind = "folder"\nsentinel = ".mounted"')
            )
            try:
                assert ".mounted" in site.cli.fail("backup", code=1)["message"]
            finally:
                site.file.write_text(text)

    def test_a_sudden_loss_is_not_taken_for_the_truth(self, site: LabSite) -> None:
        folders = [path for path in site.images.iterdir() if path.is_dir()]
        folders.sort(key=lambda path: sum(one.is_file() for one in path.rglob("*")))
        away = site.folder / "lost"
        away.mkdir()
        with nothing_changes(site):
            for part in folders[len(folders) // 2 :]:
                part.rename(away / part.name)
            try:
                body = site.cli.fail("backup", code=1)
            finally:
                for part in away.iterdir():
                    part.rename(site.images / part.name)
        assert "are gone" in body["message"]
        assert "--accept-loss" in body["hint"]

    def test_a_store_that_is_a_file(self, fresh: LabSite) -> None:
        shutil.rmtree(fresh.images)
        fresh.images.write_text("a file")
        assert "not a folder" in fresh.cli.fail("backup", code=1)["message"]


def _in_namespace(script: str, argument: Path) -> tuple[str, ...]:
    """Run a command where a mount of its own hides or protects a folder from it alone."""
    unshare, shell = (shutil.which(name) or name for name in ("unshare", "sh"))
    mount = shutil.which("mount") or "/bin/mount"
    line = script.replace("mount ", f"{mount} ") + ' && exec "$@"'
    return (unshare, "--mount", shell, "-c", line, str(argument))


def change_password(repository: Path, old: str, new: str) -> None:
    """Give a repository's only key another password, as restic would."""
    (path,) = (repository / "keys").iterdir()
    fields = json.loads(path.read_bytes())
    master = cheap_key._decrypt(cheap_key._derive(fields, old), base64.b64decode(fields["data"]))
    sealed = cheap_key._encrypt(cheap_key._derive(fields, new), master)
    content = json.dumps(fields | {"data": base64.b64encode(sealed).decode()}).encode()
    path.unlink()
    (repository / "keys" / hashlib.sha256(content).hexdigest()).write_bytes(content)
