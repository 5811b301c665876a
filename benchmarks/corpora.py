"""Deterministic image folders for the benchmarks; standard library only.

Corpus A: many CT-like files of about 100 kB, about 40 to a study, every fifth study in implicit
VR, 3 % of the files with an 8 KiB private group. Corpus B: files of about 15 MB. The pixels are
smooth shapes with noise in the low bits, unique to each file, so that they compress like real
images and nothing is deduplicated.

    python benchmarks/corpora.py a FOLDER --count 20000
    python benchmarks/corpora.py b FOLDER --count 200

A finished folder is known by the marker ``FOLDER.corpus.json`` beside it and is not made again.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import random
import shutil
import struct
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal

FORMAT = 3
FILES_PER_STUDY = 40
STUDIES_PER_PATIENT = 3
CT_CLASS = b"1.2.840.10008.5.1.4.1.1.2"
DX_CLASS = b"1.2.840.10008.5.1.4.1.1.1.1"
EXPLICIT, IMPLICIT = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2"
UID_ROOT = b"1.2.826.0.1.3680043.9.7777"
LONG_VRS = (b"OB", b"OW", b"SQ", b"UN", b"UT")


@dataclass(frozen=True)
class Corpus:
    kind: Literal["a", "b"]
    count: int
    seed: int = 20
    format: int = FORMAT


def build(target: Path, corpus: Corpus, *, processes: int | None = None) -> Path:
    """Make the corpus below `target`, or leave it as it is if it is already there."""
    marker = target.with_name(target.name + ".corpus.json")
    if marker.exists() and json.loads(marker.read_text()) == asdict(corpus) and target.is_dir():
        return target
    marker.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    per_task = FILES_PER_STUDY if corpus.kind == "a" else 2
    starts = range(0, corpus.count, per_task)
    task = partial(_write_some, target, corpus, per_task)
    with multiprocessing.get_context("spawn").Pool(processes or os.cpu_count()) as pool:
        for _ in pool.imap_unordered(task, starts, chunksize=4):
            pass
    marker.write_text(json.dumps(asdict(corpus)))
    return target


def _write_some(target: Path, corpus: Corpus, per_task: int, start: int) -> None:
    for number in range(start, min(start + per_task, corpus.count)):
        path, content = make_file(corpus, number)
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        stamp = 1_700_000_000 + number
        os.utime(file, (stamp, stamp))


def make_file(corpus: Corpus, number: int) -> tuple[str, bytes]:
    """Return path and content of one file; the same for the same corpus and number."""
    rng = random.Random(f"{corpus.kind}:{corpus.seed}:{number}")
    study = number // FILES_PER_STUDY
    patient = study // STUDIES_PER_PATIENT
    place = number % FILES_PER_STUDY
    series = place // 20
    year = 2012 + study % 12
    folder = f"{year}/p{patient:05}/st{study:06}/se{series}"
    if corpus.kind == "a":
        side = rng.randrange(204, 237)
        rows, columns, sop_class, modality = side, side, CT_CLASS, b"CT"
        implicit = study % 5 == 4
    else:
        rows, columns = rng.randrange(2900, 3200), 2400
        sop_class, modality, implicit = DX_CLASS, b"DX", False
    head = _header(
        sop_class=sop_class,
        modality=modality,
        ids=(patient, study, series, number),
        day=f"{year}{1 + study % 12:02}{1 + study % 28:02}".encode(),
        implicit=implicit,
        private=rng.randbytes(8192) if corpus.kind == "a" and number % 33 == 0 else None,
        size=(rows, columns),
    )
    contrast = 1.2 if corpus.kind == "a" else 31.0  # levels within one block of a compressor
    return f"{folder}/im{place:04}.dcm", head + _pixels(rng, rows, columns, contrast)


def _pixels(rng: random.Random, rows: int, columns: int, contrast: float) -> bytes:
    """Give 16-bit pixels: a smooth high byte with a few noisy levels, a noisy low byte."""
    data = bytearray(rows * columns * 2)
    data[0::2] = rng.randbytes(rows * columns)
    wave = rng.uniform(0.5, 2.0)
    noise = rng.randbytes(rows * columns)
    high = bytearray()
    for row in range(rows):
        level = int(31.5 + contrast * math.sin(wave * math.pi * row / rows))
        high += noise[row * columns : (row + 1) * columns].translate(_levels(level))
    data[1::2] = high
    return bytes(data)


@cache
def _levels(level: int) -> bytes:
    """Map an even byte to a narrow bell of levels round `level`: about one bit of noise."""
    spread = [min(63, max(0, level + round(0.45 * _quantile((i + 0.5) / 256)))) for i in range(256)]
    return bytes(spread)


def _quantile(share: float) -> float:
    return math.log(share / (1 - share)) / 1.702  # the normal distribution's, nearly


def _header(
    *,
    sop_class: bytes,
    modality: bytes,
    ids: tuple[int, int, int, int],
    day: bytes,
    implicit: bool,
    private: bytes | None,
    size: tuple[int, int],
) -> bytes:
    patient, study, series, number = ids
    study_uid = UID_ROOT + f".1.{study}".encode()
    series_uid = UID_ROOT + f".2.{study}.{series}".encode()
    instance_uid = UID_ROOT + f".3.{study}.{series}.{number}".encode()
    rows, columns = size
    elements = [
        (0x00080005, b"CS", b"ISO_IR 100"),
        (0x00080008, b"CS", b"ORIGINAL\\PRIMARY\\AXIAL"),
        (0x00080012, b"DA", day),
        (0x00080016, b"UI", sop_class),
        (0x00080018, b"UI", instance_uid),
        *((0x00080020 + i, b"DA", day) for i in range(4)),
        *((0x00080030 + i, b"TM", b"101500") for i in range(4)),
        (0x00080050, b"SH", f"A{study:07}".encode()),
        (0x00080060, b"CS", modality),
        (0x00080070, b"LO", b"Benchmark Imaging"),
        (0x00080080, b"LO", b"Corpus Dental"),
        (0x00080090, b"PN", b"Referrer^Ann"),
        (0x00081030, b"LO", b"Head"),
        (0x0008103E, b"LO", b"axial 0.6"),
        (0x00081090, b"LO", b"Model 1"),
        *(
            []
            if private is None
            else [(0x00090010, b"LO", b"CORPUS"), (0x00091001, b"UN", private)]
        ),
        (0x00100010, b"PN", f"Corpus^Patient{patient}".encode()),
        (0x00100020, b"LO", f"C{patient:06}".encode()),
        (0x00100030, b"DA", b"19700101"),
        (0x00100040, b"CS", b"O"),
        (0x00180015, b"CS", b"HEAD"),
        (0x00180050, b"DS", b"0.6"),
        (0x00180060, b"DS", b"120"),
        (0x0020000D, b"UI", study_uid),
        (0x0020000E, b"UI", series_uid),
        (0x00200010, b"SH", str(study).encode()),
        (0x00200013, b"IS", str(number).encode()),
        (0x00280002, b"US", struct.pack("<H", 1)),
        (0x00280004, b"CS", b"MONOCHROME2"),
        (0x00280010, b"US", struct.pack("<H", rows)),
        (0x00280011, b"US", struct.pack("<H", columns)),
        (0x00280100, b"US", struct.pack("<H", 16)),
        (0x00280101, b"US", struct.pack("<H", 16)),
        (0x00280102, b"US", struct.pack("<H", 15)),
        (0x00280103, b"US", struct.pack("<H", 0)),
    ]
    meta = b"".join(
        _element(tag, vr, value)
        for tag, vr, value in (
            (0x00020001, b"OB", b"\0\1"),
            (0x00020002, b"UI", sop_class),
            (0x00020003, b"UI", instance_uid),
            (0x00020010, b"UI", IMPLICIT if implicit else EXPLICIT),
            (0x00020012, b"UI", UID_ROOT),
        )
    )
    group_length = _element(0x00020000, b"UL", struct.pack("<L", len(meta)))
    body = b"".join(_element(tag, vr, value, implicit=implicit) for tag, vr, value in elements)
    pixel_bytes = rows * columns * 2
    pixel_tag = struct.pack("<HH", 0x7FE0, 0x0010) + (b"" if implicit else b"OW\0\0")
    return (
        bytes(128)
        + b"DICM"
        + group_length
        + meta
        + body
        + pixel_tag
        + struct.pack("<L", pixel_bytes)
    )


def _element(tag: int, vr: bytes, value: bytes, *, implicit: bool = False) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB", b"UN") else b" "
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return start + struct.pack("<L", len(value)) + value
    if vr in LONG_VRS:
        return start + vr + struct.pack("<HL", 0, len(value)) + value
    return start + vr + struct.pack("<H", len(value)) + value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=("a", "b"))
    parser.add_argument("target", type=Path)
    parser.add_argument("--count", type=int, help="files; 20000 for a, 200 for b if left out")
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    count = options.count or {"a": 20_000, "b": 200}[options.kind]
    build(options.target, Corpus(options.kind, count, options.seed))
    files = [p for p in options.target.rglob("*") if p.is_file()]
    print(f"{len(files)} files, {sum(p.stat().st_size for p in files)} bytes")


if __name__ == "__main__":
    main()
