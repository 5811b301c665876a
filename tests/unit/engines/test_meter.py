"""Counting and capping what is asked of a place."""

from __future__ import annotations

import pytest

from orchestrator.engines.meter import CappedMeter, Traffic
from orchestrator.errors import RefusedError


def test_what_is_within_the_caps_passes_and_is_counted() -> None:
    meter = CappedMeter(max_requests=2, max_bytes=10)
    meter.fetch()
    meter.fetched(4)
    meter.fetch()
    meter.fetched(6)
    assert meter.traffic() == Traffic(0, 0, 0, 0, fetches=2, fetched_bytes=10)


def test_one_request_or_one_byte_too_many_is_refused_and_the_cap_is_named() -> None:
    meter = CappedMeter(max_requests=2, max_bytes=10)
    meter.fetch()
    meter.fetch()
    with pytest.raises(RefusedError, match="cap of 2 requests"):
        meter.fetch()
    with pytest.raises(RefusedError, match="cap of 10 bytes"):
        meter.fetched(11)


def test_nothing_at_all_can_be_allowed() -> None:
    with pytest.raises(RefusedError, match="cap of 0 requests"):
        CappedMeter(max_requests=0).fetch()


def test_a_meter_without_caps_only_counts() -> None:
    meter = CappedMeter()
    for _ in range(100):
        meter.fetch()
        meter.fetched(1 << 30)
    assert meter.traffic().fetched_bytes == 100 << 30
