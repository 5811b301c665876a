"""The suppression list as a file."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.retention.suppression import Suppressed, SuppressionList, decode, encode

KEY = bytes(range(32))
AT = dt.datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=dt.UTC)
LISTS = st.lists(
    st.builds(
        Suppressed, st.sampled_from(["xrays", "scans"]), st.text("ab27", min_size=1), st.just(AT)
    ),
    unique=True,
)


@given(LISTS, st.integers(0, 2**40))
def test_what_was_written_is_read(listed: list[Suppressed], number: int) -> None:
    data = encode(number, listed, keyring="k", key=KEY)
    assert decode(data, keyring="k", key=KEY) == SuppressionList(number, tuple(sorted(listed)))
    assert encode(number, reversed(listed), keyring="k", key=KEY) == data


def whole() -> bytes:
    return encode(3, [Suppressed("xrays", "abc", AT)], keyring="k", key=KEY)


def test_every_changed_byte_is_noticed() -> None:
    data = whole().rstrip()
    for place in range(len(data)):
        for flip in (1, 0x20, 0x80):
            changed = bytearray(data)
            changed[place] ^= flip
            with pytest.raises(ValueError, match="list"):
                decode(bytes(changed), keyring="k", key=KEY)


def test_every_cut_is_noticed() -> None:
    data = whole().rstrip()
    for length in range(len(data)):
        with pytest.raises(ValueError, match="list"):
            decode(data[:length], keyring="k", key=KEY)


@pytest.mark.parametrize(
    ("keyring", "key", "why"),
    [("other", KEY, "another site's"), ("k", bytes(32), "without its key")],
)
def test_nobody_else_can_suppress_a_study(keyring: str, key: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode(whole(), keyring=keyring, key=key)


def test_a_list_of_a_newer_form_is_not_guessed_at() -> None:
    body = json.loads(whole()) | {"suppression": 2}
    with pytest.raises(ValueError, match="format 2"):
        decode(json.dumps(body).encode(), keyring="k", key=KEY)
