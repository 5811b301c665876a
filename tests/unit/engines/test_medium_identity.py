"""What a medium says of itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engines.medium_identity import Identity, decode, encode

IDENTITY = Identity(
    medium="ab" * 16,
    copy="rotation",
    site="site-1",
    label="Kassette Nº 3",
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    fs_uuid=None,
)


def test_what_is_written_is_what_is_read() -> None:
    assert decode(encode(IDENTITY)) == IDENTITY


def test_a_later_format_is_not_guessed_at() -> None:
    body = json.loads(encode(IDENTITY)) | {"format": 2}
    with pytest.raises(ValueError, match="format 2"):
        decode(json.dumps(body).encode())


@pytest.mark.parametrize("key", ["medium", "copy", "site", "label", "created_at", "fs_uuid"])
def test_every_field_is_needed_and_has_its_type(key: str) -> None:
    body = json.loads(encode(IDENTITY))
    for bad in ({k: v for k, v in body.items() if k != key}, body | {key: 7}):
        with pytest.raises(ValueError, match=r"identity|isoformat"):
            decode(json.dumps(bad).encode())


def test_an_instant_without_a_zone_is_refused() -> None:
    body = json.loads(encode(IDENTITY)) | {"created_at": "2026-01-02T03:04:05"}
    with pytest.raises(ValueError, match="identity"):
        decode(json.dumps(body).encode())


@given(st.binary())
def test_no_bytes_whatever_give_anything_but_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any will do
        decode(content)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_no_json_whatever_gives_anything_but_a_value_error(body: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any will do
        decode(json.dumps(body).encode())
