"""What is built holds exactly the data of the source tree, and the product finds it there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KINDS = ("jobs", "retention_policies")
FIND = """
import hashlib, json
from orchestrator.config import presets
files = [path for kind in ("jobs", "retention_policies") for path in presets.shipped_files(kind)]
print(json.dumps({
    "package": presets.__file__,
    "files": {f"{p.parent.name}/{p.name}": hashlib.sha256(p.read_bytes()).hexdigest()
              for p in files},
}))
"""


def tree_digests() -> dict[str, str]:
    return {
        f"{kind}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for kind in KINDS
        for path in (ROOT / kind).rglob("*.toml")
    }


def run(*argv: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [os.fspath(word) for word in argv],
        cwd=cwd,
        env={**os.environ, **env},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def found_by(package_parent: Path, cwd: Path) -> dict[str, str]:
    """Return the shipped files that the product finds when it is imported from a folder."""
    output = run(sys.executable, "-P", "-c", FIND, cwd=cwd, PYTHONPATH=str(package_parent))
    answer = json.loads(output)
    assert Path(answer["package"]).is_relative_to(package_parent)
    return answer["files"]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Build an sdist and, as a release is made, the wheel from it."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return out


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """A folder with a foreign ``jobs``, from which the product is started."""
    (tmp_path / "cwd" / "jobs").mkdir(parents=True)
    (tmp_path / "cwd" / "jobs" / "foreign.toml").touch()
    return tmp_path / "cwd"


def test_the_wheel_holds_exactly_the_shipped_files_of_the_tree(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        shipped = {
            name.removeprefix("orchestrator/_shipped/"): hashlib.sha256(
                wheel.read(name)
            ).hexdigest()
            for name in wheel.namelist()
            if name.endswith(".toml")
        }
        tops = {name.split("/")[0] for name in wheel.namelist()}
    assert shipped == tree_digests()
    assert any(name.startswith("jobs/") for name in shipped)
    # No top-level ``jobs`` that could clash with another package's.
    assert {top for top in tops if not top.endswith(".dist-info")} == {"orchestrator"}


def test_the_wheel_holds_every_file_of_the_package(built):
    """Templates, the certificate's schema, the page and the verifier that go with an export."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        packed = {
            name: hashlib.sha256(wheel.read(name)).hexdigest()
            for name in wheel.namelist()
            if name.startswith("orchestrator/") and "/_shipped/" not in name
        }
    package = {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (ROOT / "orchestrator").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == package
    assert {".typ", ".html", ".json"} <= {Path(name).suffix for name in packed}
    assert "orchestrator/ledger/standalone/verify_ledger.py" in packed


def test_an_installed_wheel_finds_its_files(built, tmp_path, elsewhere):
    place = tmp_path / "site-packages"
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(place)
    (place / "jobs").mkdir()
    (place / "jobs" / "foreign.toml").touch()
    assert found_by(place, elsewhere) == tree_digests()


def test_an_unpacked_sdist_finds_its_files(built, tmp_path, elsewhere):
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        sdist.extractall(tmp_path / "src", filter="data")
    (source,) = (tmp_path / "src").iterdir()
    assert found_by(source, elsewhere) == tree_digests()


def test_an_editable_installation_finds_its_files(tmp_path, elsewhere):
    build = "import hatchling.build as b, sys; print(b.build_editable(sys.argv[1]))"
    name = run(sys.executable, "-c", build, tmp_path, cwd=ROOT).strip().splitlines()[-1]
    place = tmp_path / "site-packages"
    with zipfile.ZipFile(tmp_path / name) as wheel:
        wheel.extractall(place)
    (pth,) = place.glob("*.pth")
    assert pth.read_text().strip() == str(ROOT)
    assert found_by(Path(pth.read_text().strip()), elsewhere) == tree_digests()
