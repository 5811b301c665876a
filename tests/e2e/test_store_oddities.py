"""Odd files in a store: each has its treatment, none stops the rest, none is hidden."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine, LabSite, lab_site
from tests.support.warm import shared

GIB = 1 << 30


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabSite]:
    folder = tmp_path_factory.mktemp("odd")
    with lab_site(folder, build_images=False, warm=shared()) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, template: LabSite) -> LabSite:
    folder = tmp_path / "site"
    shutil.copytree(template.folder, folder)
    file = folder / "site/site.toml"
    file.write_text(file.read_text().replace(str(template.folder), str(folder)))
    cli = template.cli.with_env(ORCHESTRATOR_SITE=str(file))
    return replace(template, folder=folder, images=folder / "images", file=file, cli=cli)


def restored(site: LabSite) -> bytes:
    """Restore the store, verified against the manifest, and return where."""
    target = site.folder / f"restored-{len(list(site.folder.glob('restored-*')))}"
    assert site.cli.ask("restore", "xrays", "--to", target)["verified"] is True
    return os.fsencode(target)


def problems(site: LabSite) -> dict[str, str]:
    shown = site.cli.ask("store", "show", "xrays", "--problems")
    return {problem["path"]: problem["state"] for problem in shown["problems"]}


def without_override(cli: CommandLine) -> CommandLine:
    """Root reads anything; give up that one capability, as a service's user does not have it."""
    drop = "-dac_override,-dac_read_search"
    return replace(cli, prefix=("setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}"))


NAMES = [
    b"r\xf6ntgen.dcm",  # latin-1
    "röntgen-日本-🦷.dcm".encode(),
    b"line\nbreak.dcm",
    b"quote'\"`$(touch x)\\.dcm",
    b" leading and trailing ",
    b"-rf",
    b"*",
    b"tab\there",
    b"\x01control",
    b"n" * 255,
    b"\xff\xfe\xfd",
]


def test_any_name_is_backed_up_and_comes_back(site: LabSite) -> None:
    root = os.fsencode(site.images)
    for number, name in enumerate(NAMES):
        with open(os.path.join(root, name), "wb") as file:
            file.write(b"content %d" % number)
    folder = os.path.join(root, b"f\xf6lder\n", b"below")
    os.makedirs(folder)
    with open(os.path.join(folder, b"x"), "wb") as file:
        file.write(b"deep")
    answer = site.cli.ask("backup")
    assert (answer["outcome"], answer["stores"][0]["files"]) == ("succeeded", len(NAMES) + 1)
    back = restored(site)
    for number, name in enumerate(NAMES):
        with open(os.path.join(back, name), "rb") as file:
            assert file.read() == b"content %d" % number, name
    # The second night knows them all again.
    again = site.cli.ask("backup")["stores"][0]
    assert (again["files_new"], again["files_changed"], again["files_gone"]) == (0, 0, 0)


def test_links_are_kept_and_never_followed(site: LabSite) -> None:
    outside = site.folder / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("not of this store")
    (site.images / "a.txt").write_text("a")
    (site.images / "to-file").symlink_to("a.txt")
    (site.images / "to-folder").symlink_to(outside)
    (site.images / "to-nothing").symlink_to("nowhere")
    (site.images / "loop").symlink_to("loop")
    os.link(site.images / "a.txt", site.images / "hard.txt")
    os.mkfifo(site.images / "pipe")
    answer = site.cli.ask("backup")["stores"][0]
    assert (answer["outcome"], answer["files"]) == ("succeeded", 2)
    back = Path(os.fsdecode(restored(site)))
    assert os.readlink(back / "to-folder") == str(outside)
    assert os.readlink(back / "to-nothing") == "nowhere"
    assert os.readlink(back / "loop") == "loop"
    assert (back / "a.txt").samefile(back / "hard.txt")
    assert not [p for p in back.rglob("secret.txt") if not p.is_relative_to(back / "to-folder")]


def test_empty_sparse_and_very_large_files(site: LabSite) -> None:
    (site.images / "empty.dcm").touch()
    large = site.images / "large.raw"
    with large.open("wb") as file:
        file.truncate(4 * GIB + 12345)
        file.seek(4 * GIB + 1)
        file.write(b"beyond 32 bits")
    answer = site.cli.ask("backup")["stores"][0]
    assert answer["outcome"] == "succeeded"
    assert site.cli.ask("store", "show", "xrays")["bytes"] == 4 * GIB + 12345
    back = Path(os.fsdecode(restored(site)))
    assert (back / "empty.dcm").stat().st_size == 0
    again = (back / "large.raw").stat()
    assert again.st_size == 4 * GIB + 12345
    # Holes come back as holes, or a full disk would be what a restore ends in.
    assert again.st_blocks * 512 < 16 << 20
    with (back / "large.raw").open("rb") as file:
        file.seek(4 * GIB + 1)
        assert file.read(14) == b"beyond 32 bits"


def test_an_unreadable_file_is_listed_and_the_rest_is_safe(site: LabSite) -> None:
    (site.images / "good.txt").write_text("good")
    locked = site.images / "locked.txt"
    locked.write_text("locked")
    locked.chmod(0)
    shut = site.images / "shut"
    shut.mkdir()
    (shut / "inside.txt").write_text("inside")
    shut.chmod(0)
    document = without_override(site.cli).ask("backup", code=3)
    (store,) = document["stores"]
    assert (document["outcome"], store["problem_count"]) == ("partial", 2)
    for problem in store["problems"]:
        assert problem["state"] == "unreadable"
        assert "locked" not in problem["file"]
    assert problems(site) == {"locked.txt": "unreadable", "shut": "unreadable"}
    # It cannot become the snapshot that status relies on.
    assert site.cli.ask("snapshots")["snapshots"][0]["complete"] is False
    assert site.cli.ask("status")["stores"][0]["verdict"] != "met"
    snapshot = store["snapshot"]
    back = site.folder / "partial"
    done = site.cli.ask("restore", "xrays", "--snapshot", snapshot, "--to", back)
    assert (done["files"], done["not_good"]) == (1, 2)
    # Once it can be read it is taken, though nothing of it has changed.
    locked.chmod(0o644)
    shut.chmod(0o755)
    healed = site.cli.ask("backup")["stores"][0]
    assert (healed["outcome"], healed["problem_count"]) == ("succeeded", 0)
    assert problems(site) == {}
    assert Path(os.fsdecode(restored(site)), "shut/inside.txt").read_text() == "inside"


def test_files_that_move_while_they_are_read_are_taken_again(site: LabSite) -> None:
    for number in range(200):
        (site.images / f"{number:03}.raw").write_bytes(bytes([number % 251]) * 100_000)
    moving = site.images / "100-moving.raw"
    moving.write_bytes(os.urandom(64 << 20))
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.wait(0.002):
            with moving.open("r+b") as file:
                file.seek(number % (64 << 20))
                file.write(b"moved")
            number += 999_983
            fleeting = site.images / f"fleeting-{number % 7}.raw"
            fleeting.write_bytes(b"x" * 1000)
            fleeting.unlink()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        document = site.cli.ask("backup", code=3)
    finally:
        done.set()
        writer.join()
    (store,) = document["stores"]
    assert document["outcome"] == "partial"
    found = problems(site)
    assert found["100-moving.raw"] == "changed"
    assert all(name.startswith(("100-moving", "fleeting-")) for name in found)
    partial = site.folder / "moved"
    back = site.cli.ask("restore", "xrays", "--snapshot", store["snapshot"], "--to", partial)
    assert back["verified"] is True
    assert back["files"] == 200
    # The next run takes it again, although size and name are the same.
    healed = site.cli.ask("backup")["stores"][0]
    assert (healed["outcome"], healed["problem_count"]) == ("succeeded", 0)
    assert problems(site) == {}
    again = Path(os.fsdecode(restored(site))) / "100-moving.raw"
    assert again.read_bytes() == moving.read_bytes()


def test_a_file_that_only_changes_its_times_or_mode_is_no_loss(site: LabSite) -> None:
    one = site.images / "one.txt"
    one.write_text("one")
    (site.images / "two.txt").write_text("two")
    site.cli.ask("backup")
    one.chmod(0o640)
    os.utime(one, (1, 1))
    one.rename(site.images / "renamed.txt")
    answer = site.cli.ask("backup")["stores"][0]
    assert (answer["files_new"], answer["files_gone"], answer["outcome"]) == (1, 1, "succeeded")
    back = Path(os.fsdecode(restored(site)))
    facts = (back / "renamed.txt").stat()
    assert (stat.S_IMODE(facts.st_mode), facts.st_mtime) == (0o640, 1)
