from __future__ import annotations

import pytest

from orchestrator.config.presets import shipped_dir, shipped_files
from orchestrator.errors import ConfigError


def test_files_inside_the_package_win(tmp_path):
    package = tmp_path / "orchestrator"
    inside = package / "_shipped" / "jobs"
    inside.mkdir(parents=True)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "pyproject.toml").touch()
    assert shipped_dir("jobs", package=package) == inside


def test_files_beside_the_package_count_only_in_a_source_tree(tmp_path):
    package = tmp_path / "orchestrator"
    package.mkdir()
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    (jobs / "theirs.toml").touch()
    with pytest.raises(ConfigError, match="installation is incomplete") as caught:
        shipped_files("jobs", package=package)
    assert caught.value.hint
    (tmp_path / "pyproject.toml").touch()
    assert shipped_files("jobs", package=package) == [jobs / "theirs.toml"]
