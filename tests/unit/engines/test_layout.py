"""Names, paths and orders of a restic repository's files."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engines.layout import (
    LIST_ORDER,
    REMOVE_ORDER,
    WRITE_ORDER,
    Kind,
    RepositoryFile,
    file_path,
    is_content_name,
    is_temporary_name,
    parse_path,
)

NAME = hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize("kind", WRITE_ORDER)
def test_path_and_name_give_each_other(kind: Kind) -> None:
    name = "config" if kind == "config" else NAME
    assert parse_path(file_path(kind, name)) == (kind, name)
    assert RepositoryFile(kind, name, 3).key == (kind, name)


@pytest.mark.parametrize(
    "path",
    [
        f"locks/{NAME}",
        f"data/{NAME}",
        f"data/00/{NAME}",
        f"data/{NAME[:2]}/{NAME}-tmp-123",
        f"index/{NAME.upper()}",
        f"index/{NAME[:-1]}",
        f"keys/x/{NAME}",
        f"/keys/{NAME}",
        f"keys/{NAME}\n",
        "config/",
        "Config",
        "",
        "README",
    ],
)
def test_anything_not_named_by_its_content_is_no_part_of_a_replica(path: str) -> None:
    assert parse_path(path) is None


@given(st.text())
def test_no_path_whatever_breaks_the_parser(path: str) -> None:
    parsed = parse_path(path)
    assert parsed is None or file_path(*parsed) == path


def test_writing_ends_and_removing_begins_with_what_makes_data_visible() -> None:
    assert set(LIST_ORDER) == set(WRITE_ORDER)
    assert WRITE_ORDER.index("data") < WRITE_ORDER.index("index") < WRITE_ORDER.index("snapshots")
    removed = REMOVE_ORDER
    assert removed.index("snapshots") < removed.index("index") < removed.index("data")
    assert LIST_ORDER.index("snapshots") < LIST_ORDER.index("index") < LIST_ORDER.index("data")
    assert "config" not in REMOVE_ORDER


def test_temporary_names_of_restic_are_known() -> None:
    assert is_temporary_name(f"{NAME}-tmp-42")
    assert not is_temporary_name(NAME)
    assert is_content_name(NAME)
    assert not is_content_name(f"{NAME}-tmp-42")
