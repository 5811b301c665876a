"""What can be decoded here is told from what cannot."""

from __future__ import annotations

import pytest
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from orchestrator.dicom import decoders


def test_the_installed_extra_decodes_what_devices_commonly_write() -> None:
    assert decoders.missing() == []


@pytest.mark.parametrize("kind", ["JPEG Lossless", "JPEG-LS"])
def test_a_kind_without_any_decoder_is_named(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    decoder = get_decoder(UID(decoders.KINDS[kind]))
    # As pydicom does it where the package of a decoder is not installed.
    monkeypatch.setattr(decoder, "_available", {})
    assert decoders.missing() == [kind]
