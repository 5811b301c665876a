"""Any bytes may come in: no exception, no hang, no unbounded memory."""

from __future__ import annotations

import json
import time
import tracemalloc
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.dicom.header import MAX_VALUE_CHARS, read_header
from tests.unit.dicom.conftest import real_files

HEADS = [path.read_bytes()[:12_000] for path in real_files()]
HEADS = [head for head in HEADS if len(head) > 300]
MEMORY_LIMIT = 100 * 1024 * 1024
TIME_LIMIT_S = 300.0  # a guard against hanging, not a measure

UNDEFINED = b"\xff\xff\xff\xff"
ITEM = b"\xfe\xff\x00\xe0"


def check(data: bytes) -> dict[str, str] | None:
    fields = read_header(data[:8192], lambda n, at: data[at : at + n])
    if fields is not None:
        assert fields
        for name, value in fields.items():
            assert name.isidentifier()
            assert 0 < len(value) <= MAX_VALUE_CHARS
            assert value.isprintable()
        json.dumps(fields, ensure_ascii=False).encode("utf-8")
    return fields


@st.composite
def damaged_heads(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(HEADS)))
    for _ in range(draw(st.integers(1, 12))):
        at = draw(st.integers(0, max(0, min(len(data) - 1, 3000))))
        match draw(st.sampled_from(("flip", "long", "cut", "insert", "drop", "swap"))):
            case "flip":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "long":
                data[at : at + 4] = draw(
                    st.sampled_from((UNDEFINED, b"\xfe\xff\xff\xff", b"\0" * 4))
                )
            case "cut":
                del data[at + 200 :]
            case "insert":
                data[at:at] = draw(st.binary(max_size=16))
            case "drop":
                del data[at : at + draw(st.integers(1, 16))]
            case "swap":
                data[at : at + 8], data[at + 8 : at + 16] = (
                    data[at + 8 : at + 16],
                    data[at : at + 8],
                )
    return bytes(data)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged_heads())
def test_damaged_real_headers_never_raise_nor_hang(data: bytes) -> None:
    started = time.perf_counter()
    check(data)
    assert time.perf_counter() - started < TIME_LIMIT_S


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000), st.sampled_from((b"", b"\0" * 128 + b"DICM", b"\x08\x00")))
def test_random_bytes_never_raise(data: bytes, start: bytes) -> None:
    check(start + data)


def meta(syntax: bytes) -> bytes:
    return b"\0" * 128 + b"DICM\x02\x00\x10\x00UI" + len(syntax).to_bytes(2, "little") + syntax


def bombs() -> dict[str, bytes]:
    explicit, big = meta(b"1.2.840.10008.1.2.1\0"), meta(b"1.2.840.10008.1.2.2\0")
    deflated, implicit = meta(b"1.2.840.10008.1.2.1.99"), meta(b"1.2.840.10008.1.2\0")
    packer = zlib.compressobj(9, wbits=-15)
    zeros = packer.compress(bytes(200_000_000)) + packer.flush()
    un = b"\x08\x00\x40\x11UN\0\0" + UNDEFINED
    nest = un + ITEM + UNDEFINED
    return {
        "a deflated body of 200 MB": deflated + zeros,
        "nested sequences": explicit + nest * 300_000,
        "nested sequences, implicit": implicit
        + (b"\x08\x00\x40\x11" + UNDEFINED + ITEM + UNDEFINED) * 300_000,
        "empty items": explicit + un + (ITEM + b"\0\0\0\0") * 1_000_000,
        "empty elements without preamble": b"\x08\x00\x05\x00\0\0\0\0" * 1_000_000,
        "zeros behind the meta header": explicit + bytes(20_000_000),
        "zeros behind a big endian meta header": big + bytes(20_000_000),
        "one huge name": big + b"\x00\x10\x00\x10UN\0\0\x7f\xff\xff\xff" + bytes(60_000_000),
        "an endless value": explicit + b"\x08\x00\x08\x00OB\0\0" + UNDEFINED + b"x" * 50_000_000,
    }


BOMBS = bombs()


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_made_to_exhaust_memory_or_time_does_not(name: str) -> None:
    data = BOMBS[name]
    read_header(b"\x08\x00", lambda _n, _at: b"")  # import pydicom outside the measure
    tracemalloc.start()
    try:
        started = time.perf_counter()
        check(data)
        elapsed = time.perf_counter() - started
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_LIMIT
    assert elapsed < TIME_LIMIT_S  # tracing makes it several times slower than life
