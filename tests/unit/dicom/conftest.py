"""The real DICOM files of the pydicom wheel and of pydicom-data, and nothing from the net."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest


def real_files() -> list[Path]:
    folders = []
    for package, below in (("pydicom", "data"), ("data_store", "data")):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        folders.append(Path(spec.origin).parent / below)
    found = [p for folder in folders for p in folder.rglob("*") if p.is_file()]
    return sorted(p for p in found if p.suffix not in (".py", ".pyc"))


@pytest.fixture(scope="session")
def dicom_files() -> list[Path]:
    files = real_files()
    assert len(files) > 200
    return files
