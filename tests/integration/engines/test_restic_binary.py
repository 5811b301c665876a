"""Which restic is used, and where one comes from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.engines.restic.binary import Binary, find_binary, read_version
from orchestrator.errors import EngineError
from tests.support.restic import ROOT, binaries

SCRIPT = ROOT / "deploy/lab/get-restic.sh"


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def fetch(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", **environment}
    argv = ["bash", str(SCRIPT), *args]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)


def test_a_real_restic_says_its_version(restic: Binary) -> None:
    assert find_binary(restic.path) == restic
    assert restic.version >= (0, 18, 0)


def test_a_restic_that_is_too_old_is_refused_with_a_way_out(tmp_path: Path) -> None:
    old = program(tmp_path / "restic", "restic 0.14.0 compiled with go1.19 on linux/amd64")
    with pytest.raises(EngineError, match=r"restic 0\.14\.0 is too old") as caught:
        find_binary(old)
    assert "0.18" in (caught.value.hint or "")


def test_one_that_is_new_enough_is_taken_before_an_old_one_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, current_restic: Binary
) -> None:
    program(tmp_path / "bin" / "restic", "restic 0.14.0 compiled with go1.19 on linux/amd64")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = find_binary(tools_dir=current_restic.path.parents[3])
    assert found.version == current_restic.version
    with pytest.raises(EngineError, match="too old"):
        find_binary(tools_dir=tmp_path / "nothing here")


def test_no_restic_at_all_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="restic is not installed") as caught:
        find_binary(tools_dir=tmp_path)
    assert caught.value.hint
    with pytest.raises(EngineError, match="not there"):
        find_binary(tmp_path / "restic")


def test_another_program_of_that_name_is_no_restic(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="does not say its version"):
        find_binary(program(tmp_path / "restic", "hello"))


def test_the_version_is_asked_for_once_and_again_after_an_upgrade(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    path = program(tmp_path / "restic", f"restic 0.18.1 on x'; echo x >> '{asked}")
    for _ in range(3):
        assert read_version(path).version == (0, 18, 1)
    assert asked.read_text() == "x\n"
    program(path, "restic 0.19.1 compiled with go1.24 on linux/amd64")
    assert read_version(path).version == (0, 19, 1)


def test_the_script_prints_what_is_there_without_fetching_again() -> None:
    wanted = str(binaries()["current"].path)
    done = fetch("--both")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == wanted
    assert "fetching" not in done.stderr


def test_the_script_uses_a_restic_on_the_path_if_it_is_new_enough(tmp_path: Path) -> None:
    good = program(tmp_path / "good" / "restic", "restic 0.18.0 compiled with go1.24 on x/y")
    old = program(tmp_path / "old" / "restic", "restic 0.14.0 compiled with go1.19 on x/y")
    system = "/usr/sbin:/usr/bin:/sbin:/bin"
    assert fetch(PATH=f"{good.parent}:{system}").stdout == f"{good}\n"
    assert fetch(PATH=f"{old.parent}:{system}").stdout == f"{binaries()['current'].path}\n"


def apt_with(tmp_path: Path, name: str, content: str) -> dict[str, str]:
    """Return an environment in which apt has only this source."""
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / name).write_text(content)
    config = tmp_path / "apt.conf"
    config.write_text(f'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{parts}";\n')
    return {"APT_CONFIG": str(config), "TOOLS_DIR": str(tmp_path / "tools")}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.list", "# deb http://mirror.invalid/debian bookworm main\n"),
        ("other.list", "deb http://mirror.invalid/debian bookworm-pgdg main\n"),
        ("off.sources", "Types: deb\nURIs: http://mirror.invalid/debian\nSuites: trixie\n"
                        "Components: main\nEnabled: no\n"),
    ],
)  # fmt: skip
def test_the_script_says_that_there_is_no_source_to_derive_one_from(
    tmp_path: Path, name: str, content: str
) -> None:
    done = fetch(**apt_with(tmp_path, name, content))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no Debian source" in done.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.list", "deb [arch=amd64 signed-by={key}] file://{empty} bookworm main contrib\n"),
        (
            "a.sources",
            "# a comment\nTypes: deb deb-src\nURIs: file://{empty}\nSuites: trixie x\n"
            "Components: contrib main\nSigned-By:\n {key}\n",
        ),
    ],
)
def test_the_script_reads_both_notations_and_a_source_without_restic_is_a_clear_failure(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / "empty").mkdir()
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    source = content.format(empty=tmp_path / "empty", key=key)
    done = fetch(**apt_with(tmp_path, name, source))
    assert done.returncode == 1
    assert "no Debian source of this machine gave restic from forky" in done.stderr
    assert str(tmp_path / "empty") in done.stderr, "the derived source was asked"
    assert list((tmp_path / "tools").glob("[!.]*")) == []
    assert list((tmp_path / "tools").glob(".fetch*")) == []


def test_the_script_names_no_host_and_needs_no_root() -> None:
    text = SCRIPT.read_text()
    assert "://" not in text
    assert "sudo" not in text
    assert os.access(SCRIPT, os.X_OK)
