"""Builds a sample imaging folder from real DICOM files.

The images are those that ship inside the pydicom wheel and, where it is installed, pydicom-data:
CT, MR, US, CR, NM, RT and others in many transfer syntaxes. Nothing is fetched. They are laid
out as patient, study and series folders under numbers, never names, together with what a real
folder also holds: DICOMDIRs, damaged images, a picture, a scan, a note, an empty file, a link.

    python deploy/lab/sample_store.py FOLDER
    python deploy/lab/sample_store.py FOLDER --later

The same packages give the same names, contents and times. ``--later`` adds what arrived on the
next day, and needs the first part.
"""

from __future__ import annotations

import argparse
import os
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

Part = Literal["first", "later"]

SOURCES = (("pydicom", "data"), ("data_store", "data"))
DAMAGED = ("MR_truncated.dcm", "rtplan_truncated.dcm", "no_meta.dcm", "badVR.dcm")
DICOMDIRS = ("dicomdirtests/DICOMDIR",)
LATER_EVERY = 16
"""One image in so many arrives on the next day: about a dozen."""

FIRST_DAY_S = 1_735_689_600  # 2025-01-01T00:00:00Z
LATER_DAY_S = FIRST_DAY_S + 86_400


@dataclass(frozen=True)
class Image:
    source: Path
    patient: tuple[str, str]
    study: str
    series: str
    instance: str


@dataclass
class Counts:
    dicom: int = 0
    damaged: int = 0
    dicomdirs: int = 0
    other: int = 0
    links: int = 0
    size_bytes: int = 0

    @property
    def files(self) -> int:
        """Regular files; links are counted apart."""
        return self.dicom + self.damaged + self.dicomdirs + self.other


def build(target: Path, *, part: Part = "first", with_data_package: bool = True) -> Counts:
    """Put one part of the sample below `target`.

    Args:
        target: The folder; for ``first`` it must be missing or empty.
        part: ``first`` for the whole folder but for a few images, ``later`` for those.
        with_data_package: Use pydicom-data too if it is installed (58 MB instead of 3).

    Raises:
        SystemExit: The folder does not fit the part.
    """
    if part == "first" and target.is_dir() and any(target.iterdir()):
        raise SystemExit(f"{target} is not empty")
    if part == "later" and not target.is_dir():
        raise SystemExit(f"{target} does not exist; build the first part before the later one")
    target.mkdir(parents=True, exist_ok=True)
    counts = Counts()
    roots = _roots(with_data_package)
    for number, (path, image) in enumerate(_layout(_images(roots))):
        is_later = number % LATER_EVERY == LATER_EVERY - 1
        if is_later == (part == "later"):
            counts.size_bytes += _write(target / path, image.source.read_bytes(), part, number)
            counts.dicom += 1
    if part == "first":
        _add_oddities(target, roots[0], counts)
    return counts


def _roots(with_data_package: bool) -> list[Path]:
    found = []
    for package, below in SOURCES[: 2 if with_data_package else 1]:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parent / below)
    if not found:
        raise SystemExit("pydicom is not installed")
    return found


def _images(roots: list[Path]) -> Iterator[Image]:
    """Find the readable images that have their UIDs, in a fixed order."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    for root in roots:
        for path in sorted(root.rglob("*")):
            if not path.is_file() or path.name in (*DAMAGED, "DICOMDIR") or path.suffix == ".py":
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    header = dcmread(path, stop_before_pixels=True)
                    uids = [
                        str(header.get(keyword) or "")
                        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
                    ]
                    patient = (
                        str(header.get("IssuerOfPatientID") or ""),
                        str(header.get("PatientID") or ""),
                    )
                except (InvalidDicomError, OSError, ValueError, AttributeError, KeyError):
                    continue
            if all(uids):
                yield Image(path, patient, *uids)


def _layout(images: Iterator[Image]) -> Iterator[tuple[str, Image]]:
    """Give every image a path of numbers; the numbering is by order of appearance."""
    patients: dict[tuple[str, str], int] = {}
    studies: dict[tuple[int, str], int] = {}
    series: dict[tuple[int, str], int] = {}
    numbers: dict[str, int] = {}
    for image in images:
        patient = patients.setdefault(image.patient, len(patients) + 1)
        study = studies.setdefault((patient, image.study), len(studies) + 1)
        run = series.setdefault((study, image.series), len(series) + 1)
        folder = f"patients/p{patient:04}/st{study:04}/se{run:04}"
        number = numbers[folder] = numbers.get(folder, 0) + 1
        ending = (".dcm", "", ".DCM")[patient % 3]  # as different devices name their files
        yield f"{folder}/im{number:05}{ending}", image


def _add_oddities(target: Path, root: Path, counts: Counts) -> None:
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    for name in DAMAGED:
        content = files[f"test_files/{name}"].read_bytes()
        number = counts.damaged
        path = target / "import" / f"damaged{number + 1:02}.dcm"
        counts.size_bytes += _write(path, content, "first", number)
        counts.damaged += 1
    for name in DICOMDIRS:
        content = files[f"test_files/{name}"].read_bytes()
        counts.size_bytes += _write(target / "import" / "cd01" / "DICOMDIR", content, "first", 0)
        counts.dicomdirs += 1
    others = {
        "scans/consent.tif": _tiff(),
        "scans/front.jpg": files["test_files/SC_rgb_jpeg.dcm"].read_bytes(),
        "scans/front.png": _png(),
        "import/note.txt": b"Old images from the previous practice, imported by hand.\r\n",
        "import/empty.dcm": b"",
    }
    others["scans/front.jpg"] = _jpeg_inside(others["scans/front.jpg"])
    for number, (path, content) in enumerate(sorted(others.items())):
        counts.size_bytes += _write(target / path, content, "first", number)
        counts.other += 1
    link = target / "import" / "newest"
    link.symlink_to("../patients")
    os.utime(link, (FIRST_DAY_S, FIRST_DAY_S), follow_symlinks=False)
    counts.links += 1


def _jpeg_inside(dicom: bytes) -> bytes:
    """Take the JPEG stream out of a DICOM file with one compressed frame."""
    start = dicom.index(b"\xff\xd8\xff")
    return dicom[start : dicom.rindex(b"\xff\xd9") + 2]


def _tiff() -> bytes:
    """Make a grey TIFF of 64 x 64 pixels."""
    entries = [
        (256, 3, 64),
        (257, 3, 64),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (278, 3, 64),
        (279, 4, 4096),
    ]
    pixels = bytes((x * y) & 0xFF for y in range(64) for x in range(64))
    table = struct.pack("<H", len(entries))
    table += b"".join(struct.pack("<HHLL", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<L", 8 + len(pixels)) + pixels + table + bytes(4)


def _png() -> bytes:
    """Make a grey PNG of 64 x 64 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">L", zlib.crc32(kind + body))
        return struct.pack(">L", len(body)) + kind + body + checksum

    rows = b"".join(b"\0" + bytes((x ^ y) * 4 for x in range(64)) for y in range(64))
    head = struct.pack(">LLBBBBB", 64, 64, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _write(path: Path, content: bytes, part: Part, number: int) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    stamp = (FIRST_DAY_S if part == "first" else LATER_DAY_S) + number
    os.utime(path, (stamp, stamp))
    return len(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("--later", action="store_true", help="add what arrived on the next day")
    parser.add_argument("--small", action="store_true", help="without pydicom-data")
    options = parser.parse_args()
    counts = build(
        options.target,
        part="later" if options.later else "first",
        with_data_package=not options.small,
    )
    print(
        f"{counts.files} files ({counts.dicom} DICOM, {counts.damaged} damaged, "
        f"{counts.dicomdirs} DICOMDIR, {counts.other} other), {counts.links} link, "
        f"{counts.size_bytes / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    sys.exit(main())
