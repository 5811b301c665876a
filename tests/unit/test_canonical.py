"""One sequence of bytes for one value, for the ledger and for certificates alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import canonical


def test_the_standards_example_is_encoded_as_published() -> None:
    # RFC 8785 section 3.2.3: order by UTF-16 units.
    value = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical.encode(value))) == order
    # Section 3.2.2.2 and 3.2.4: escapes.
    text = "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/"
    assert canonical.encode([text, None, True, False, []]) == (
        '["\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/",null,true,false,[]]'.encode()
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_canonical_bytes_come_back_as_the_same_value(value: Any) -> None:
    data = canonical.encode(value)
    assert canonical.decode(data) == value == json.loads(data)


def test_too_deep_a_value_is_refused() -> None:
    value: Any = 1
    for _ in range(70):
        value = [value]
    with pytest.raises(ValueError, match="deep"):
        canonical.encode(value)


@pytest.mark.parametrize("value", [1.5, 2**53, {1: "a"}, {"a": "\ud800"}, {"\ud800": 1}, b"x", {1}])
def test_what_has_no_exact_form_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.encode({"value": value})


@pytest.mark.parametrize(
    "raw", [b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1,"a":1}', b"1.0", b"NaN", b"{", b"1\n", b"\xff"]
)
def test_what_is_not_in_canonical_form_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.decode(raw)
