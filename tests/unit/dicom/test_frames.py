"""Frames of real files: what can be decoded here, what cannot, and what is damaged."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from orchestrator.dicom.frames import decode_middle
from orchestrator.dicom.preview import EDGE_PX, thumbnail

# The child process, where frames are decoded, is deaf to what pydicom remarks about odd files.
pytestmark = pytest.mark.filterwarnings("ignore")

DAMAGED = {
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "MR_truncated.dcm",
    "badVR.dcm",
    "crayons.icc",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
    "meta_missing_tsyntax.dcm",
    "nested_priv_SQ.dcm",
    "rtplan_truncated.dcm",
}
"""Truncated, of nonsense values, or no DICOM: the only ones that may be called corrupt."""

HEADERS_ONLY = {"chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm", "chrKoreanMulti.dcm"}
"""Whole files from which somebody took the pixels."""

NOT_DECODABLE_HERE = {"JPEG-lossy.dcm", "JPGExtended.dcm"}
"""JPEG Extended with 12 bits, for which no free decoder is at hand."""


def named(files: list[Path], name: str) -> bytes:
    return os.fsencode(next(path for path in files if path.name == name))


@dataclass(frozen=True)
class Seen:
    """What became of one real file."""

    name: str
    state: str
    reason: str
    picture: bytes | None


@pytest.fixture(scope="module")
def seen(dicom_files: list[Path]) -> list[Seen]:
    found = []
    for path in dicom_files:
        if path.suffix not in (".json", ".zip", ".txt", ".md"):
            frame = decode_middle(os.fsencode(path))
            assert (frame.pixels is not None) == (frame.state == "decoded")
            found.append(Seen(path.name, frame.state, frame.reason, thumbnail(frame)))
    return found


def test_every_sound_real_image_is_decoded_and_no_other(seen: list[Seen]) -> None:
    assert {one.name for one in seen if one.state == "corrupt"} == DAMAGED
    assert {one.name for one in seen if one.state == "unsupported"} == NOT_DECODABLE_HERE
    counted = Counter(one.state for one in seen)
    assert counted["decoded"] >= 167
    assert counted["no_pixels"] >= 80
    headers_only = {one.name for one in seen if one.reason.startswith("it describes an image")}
    assert headers_only == HEADERS_ONLY


def test_a_reason_never_quotes_the_file(seen: list[Seen]) -> None:
    reasons = {one.reason for one in seen if one.state != "decoded"}
    assert len(reasons) > 4
    assert not [reason for reason in reasons if re.search(r"[/\\^]|\d{3}|\.dcm", reason)]


def test_a_preview_is_small_and_of_eight_bits(seen: list[Seen]) -> None:
    modes = Counter[str]()
    for one in seen:
        if one.picture is not None:
            image = Image.open(io.BytesIO(one.picture))
            assert max(image.size) <= EDGE_PX
            modes[image.mode] += 1
    assert set(modes) == {"L", "RGB"}
    assert modes["L"] > 60
    assert modes["RGB"] >= 3


def test_the_middle_frame_of_many_is_the_one_decoded(
    dicom_files: list[Path], tmp_path: Path
) -> None:
    dataset = pydicom.dcmread(os.fsdecode(named(dicom_files, "CT_small.dcm")))
    frames = np.stack([np.full((64, 64), value, np.int16) for value in (10, 20, 30, 40, 50)])
    dataset.Rows = dataset.Columns = 64
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = frames.tobytes()
    path = tmp_path / "five.dcm"
    dataset.save_as(path)
    frame = decode_middle(os.fsencode(path))
    assert (frame.state, frame.frames, frame.modality) == ("decoded", 5, "CT")
    assert frame.pixels is not None
    assert set(np.unique(frame.pixels)) == {30}


def large(dicom_files: list[Path], path: Path, *, compressed: bool) -> pydicom.Dataset:
    dataset = pydicom.dcmread(os.fsdecode(named(dicom_files, "CT_small.dcm")))
    dataset.Rows = dataset.Columns = 512
    dataset.NumberOfFrames = 8
    noise = np.random.default_rng(7).integers(0, 4000, (8, 512, 512), np.int16)
    dataset.PixelData = noise.tobytes()
    if compressed:
        dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    return dataset


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_of_many_frames_is_not_read_whole_but_its_end_is_looked_at(
    dicom_files: list[Path], tmp_path: Path, compressed: bool
) -> None:
    path = tmp_path / "large.dcm"
    large(dicom_files, path, compressed=compressed)
    assert decode_middle(os.fsencode(path)).state == "decoded"
    os.truncate(path, path.stat().st_size - 40_000)
    cut = decode_middle(os.fsencode(path))
    assert cut.state == "corrupt"


def test_an_unknown_transfer_syntax_is_not_damage(dicom_files: list[Path], tmp_path: Path) -> None:
    dataset = pydicom.dcmread(os.fsdecode(named(dicom_files, "CT_small.dcm")))
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    path = tmp_path / "mpeg.dcm"
    dataset.PixelData = pydicom.encaps.encapsulate([b"\0\0\1\xb3" * 64])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.MPEG2MPML
    dataset.save_as(path)
    frame = decode_middle(os.fsencode(path))
    assert frame.state == "unsupported"
    assert "MPEG2" in frame.reason


def test_a_missing_file_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        decode_middle(os.fsencode(tmp_path / "none"))


def picture(path: bytes) -> Image.Image:
    frame = decode_middle(path)
    made = thumbnail(frame)
    assert made is not None
    image = Image.open(io.BytesIO(made))
    image.load()
    return image


def test_monochrome1_is_shown_inverted(dicom_files: list[Path], tmp_path: Path) -> None:
    dataset = pydicom.dcmread(os.fsdecode(named(dicom_files, "CT_small.dcm")))
    dataset.PhotometricInterpretation = "MONOCHROME2"
    plain, inverted = tmp_path / "plain.dcm", tmp_path / "inverted.dcm"
    dataset.save_as(plain)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.save_as(inverted)
    bright = np.asarray(picture(os.fsencode(plain)), np.int16)
    dark = np.asarray(picture(os.fsencode(inverted)), np.int16)
    assert int(np.abs(bright + dark - 255).max()) <= 2
    assert bright.std() > 20


def test_a_window_is_applied(dicom_files: list[Path], tmp_path: Path) -> None:
    dataset = pydicom.dcmread(os.fsdecode(named(dicom_files, "CT_small.dcm")))
    dataset.WindowCenter, dataset.WindowWidth = 40, 80
    path = tmp_path / "windowed.dcm"
    dataset.save_as(path)
    values = np.asarray(picture(os.fsencode(path)))
    assert (values == 0).mean() > 0.2  # air and fat lie under a brain window
    assert (values == 255).mean() > 0.01


@pytest.mark.parametrize(
    ("modality", "burned_in", "shown"),
    [
        ("CT", None, True),
        ("CT", "YES", False),
        ("CT", "NO", True),
        ("US", None, False),
        ("US", "YES", False),
        ("US", "NO", True),
        ("SC", None, False),
    ],
)
def test_a_picture_that_may_bear_a_name_is_not_made(
    dicom_files: list[Path], tmp_path: Path, modality: str, burned_in: str | None, shown: bool
) -> None:
    dataset = pydicom.dcmread(os.fsdecode(named(dicom_files, "CT_small.dcm")))
    dataset.Modality = modality
    if burned_in is not None:
        dataset.BurnedInAnnotation = burned_in
    path = tmp_path / "one.dcm"
    dataset.save_as(path)
    frame = decode_middle(os.fsencode(path))
    assert frame.state == "decoded"
    assert (thumbnail(frame) is not None) is shown
