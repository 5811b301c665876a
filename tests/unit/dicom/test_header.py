from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.multival import MultiValue

from orchestrator.dicom import fast
from orchestrator.dicom.header import is_complete, read_header

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CHARSET_FILES = Path(pydicom.__file__).parent / "data" / "charset_files"


def read(data: bytes, head_bytes: int = 8192) -> dict[str, str] | None:
    return read_header(data[:head_bytes], lambda length, offset: data[offset : offset + length])


def takes_the_fallback(data: bytes) -> bool:
    if data[128:132] != b"DICM":
        return True
    try:
        found = fast.find_elements(data[:8192], lambda n, at: data[at : at + n])
    except fast.NotPlainError:
        return True
    return not is_complete(found)


def by_pydicom(path: Path) -> dict[str, str]:
    """Read the header the ordinary way and take pydicom's own converted values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        fields = {}
        for tag, name in fast.FIELDS.items():
            part = dataset.file_meta if tag < 0x00030000 else dataset
            value = part[tag].value if tag in part else None
            if isinstance(value, MultiValue):
                value = "\\".join(str(v) for v in value)
            text = str(value if value is not None else "").strip(" \0")
            if text:
                fields[name] = text
    if "sop_class_uid" in fields:
        fields.pop("media_storage_sop_class_uid", None)
    return fields


def test_both_readers_agree_with_pydicom_on_every_field_of_every_real_file(
    dicom_files: list[Path],
) -> None:
    compared = fallbacks = 0
    for path in dicom_files:
        data = path.read_bytes()
        fields = read(data)
        if fields is None:
            continue
        assert fields == by_pydicom(path), path.name
        compared += 1
        fallbacks += takes_the_fallback(data)
    assert compared >= 250
    # Measured with pydicom 3.0.2 and pydicom-data 1.0.0: 43 of 258. A rise means that the fast
    # reader lost a kind of file.
    assert fallbacks <= 50


def test_a_small_head_gives_the_same_as_a_large_one(dicom_files: list[Path]) -> None:
    for path in dicom_files:
        data = path.read_bytes()
        assert read(data, 200) == read(data, 1 << 20), path.name


def test_files_that_are_not_dicom_give_none(dicom_files: list[Path]) -> None:
    rejected = {path.name for path in dicom_files if read(path.read_bytes()) is None}
    assert {"README.txt", "rtplan.dump", "test1.json", "zipMR.gz", "crayons.icc"} <= rejected
    # In the first a byte was put before the data set, the second holds none of the fields.
    assert {name for name in rejected if name.endswith(".dcm")} == {
        "no_meta.dcm",
        "meta_missing_tsyntax.dcm",
    }
    for data in (b"", b"\0", b"\xff\xd8\xff\xe0" * 100, b"II*\0" * 100, b"\0" * 10_000):
        assert read(data) is None


@pytest.mark.parametrize(
    ("name", "patient_name"),
    [
        ("chrFren.dcm", "Buc^Jérôme"),
        ("chrGreek.dcm", "Διονυσιος"),
        ("chrRuss.dcm", "Люкceмбypг"),
        ("chrX1.dcm", "Wang^XiaoDong=王^小東"),
        ("chrX2.dcm", "Wang^XiaoDong=王^小东"),
        ("chrH31.dcm", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("chrI2.dcm", "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_names_are_decoded_by_the_files_character_set(name: str, patient_name: str) -> None:
    fields = read((CHARSET_FILES / name).read_bytes())
    assert fields is not None
    assert fields["patient_name"] == patient_name


def test_a_dicomdir_is_told_by_its_media_storage_class() -> None:
    fields = read((TEST_FILES / "dicomdirtests" / "DICOMDIR").read_bytes())
    assert fields is not None
    assert fields["media_storage_sop_class_uid"] == "1.2.840.10008.1.3.10"
    assert "study_instance_uid" not in fields


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    start = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr
    if vr in (b"OB", b"SQ", b"UN", b"UT"):
        return start + b"\0\0" + len(value).to_bytes(4, "little") + value
    return start + len(value).to_bytes(2, "little") + value


def file_with(*elements: bytes, syntax: bytes = b"1.2.840.10008.1.2.1\0") -> bytes:
    return b"\0" * 128 + b"DICM" + element(0x00020010, b"UI", syntax) + b"".join(elements)


CLASS = element(0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.2\0")
INSTANCE = element(0x00080018, b"UI", b"1.2.3.4.5.6.7.8\0")
STUDY = element(0x0020000D, b"UI", b"1.2.3.4\0")
SERIES = element(0x0020000E, b"UI", b"1.2.3.4.5\0")


def test_a_header_far_behind_a_large_private_group_is_found() -> None:
    private = element(0x00091001, b"OB", b"\x07" * 3_000_000)
    fields = read(file_with(CLASS, INSTANCE, private, STUDY, SERIES))
    assert fields is not None
    assert fields["series_instance_uid"] == "1.2.3.4.5"


def test_unsorted_uids_are_found_by_the_whole_scan() -> None:
    later = element(0x00280010, b"US", b"\x01\x00")
    fields = read(file_with(CLASS, INSTANCE, later, STUDY, SERIES))
    assert fields is not None
    assert fields["study_instance_uid"] == "1.2.3.4"


def test_nested_sequences_of_undefined_length_are_skipped_by_the_fast_reader() -> None:
    undefined = b"\xff\xff\xff\xff"
    item, item_end, end = (
        b"\xfe\xff\x00\xe0",
        b"\xfe\xff\x0d\xe0\0\0\0\0",
        b"\xfe\xff\xdd\xe0\0\0\0\0",
    )
    inner = b"\x08\x00\x15\x11SQ\0\0" + undefined + item + undefined + STUDY + item_end + end
    outer = b"\x08\x00\x40\x11SQ\0\0" + undefined + item + undefined + inner + item_end
    outer += item + b"\x08\0\0\0" + b"\x40\x00\x00\x40UL\0\0" + end
    data = file_with(CLASS, INSTANCE, outer, element(0x0020000D, b"UI", b"9.9.9\0"), SERIES)
    assert not takes_the_fallback(data)
    fields = read(data)
    assert fields is not None
    assert fields["study_instance_uid"] == "9.9.9"


def test_overlong_values_are_left_out_rather_than_cut() -> None:
    for length in (258, 1024, 1026, 60_000):
        patient = element(0x00100020, b"LO", b"7" * length)
        fields = read(file_with(CLASS, INSTANCE, patient, STUDY, SERIES))
        assert fields is not None
        assert "patient_id" not in fields
    fields = read(file_with(CLASS, element(0x00100020, b"LO", b"7" * 256), STUDY, SERIES))
    assert fields is not None
    assert fields["patient_id"] == "7" * 256


def test_a_value_cut_off_by_the_end_of_the_file_is_left_out() -> None:
    data = file_with(CLASS, INSTANCE, STUDY, SERIES)
    fields = read(data[:-3])
    assert fields is not None
    assert "series_instance_uid" not in fields
    assert fields["study_instance_uid"] == "1.2.3.4"


def test_padding_is_removed_and_empty_values_count_as_absent() -> None:
    data = file_with(
        CLASS,
        INSTANCE,
        element(0x00080060, b"CS", b"CT  "),
        element(0x00100020, b"LO", b" 0017 "),
        element(0x00100021, b"LO", b"    "),
        element(0x00100030, b"DA", b""),
        STUDY,
        SERIES,
    )
    fields = read(data)
    assert fields is not None
    assert fields["modality"] == "CT"
    assert fields["patient_id"] == "0017"
    assert fields["study_instance_uid"] == "1.2.3.4"
    assert "issuer_of_patient_id" not in fields
    assert "patient_birth_date" not in fields


def test_control_characters_never_reach_the_manifest() -> None:
    patient = element(0x00100020, b"LO", b"a\x1b[2Jb\nc\x7f")
    fields = read(file_with(CLASS, INSTANCE, patient, STUDY, SERIES))
    assert fields is not None
    assert fields["patient_id"].isprintable()


def test_an_unknown_character_set_never_stops_the_reading() -> None:
    for term in (b"utf_16", b"zlib_codec", b"rot13 ", b"ISO_IR 999", b"idna", b"\\\\", b"punycode"):
        fields = read(
            file_with(
                element(0x00080005, b"CS", term),
                CLASS,
                INSTANCE,
                element(0x00100010, b"PN", b"M\xfcller^J\xf6rg"),
                STUDY,
                SERIES,
            )
        )
        assert fields is not None
        assert fields["study_instance_uid"] == "1.2.3.4"
        "".join(fields.values()).encode("utf-8")


def test_a_disk_error_is_not_taken_for_a_damaged_file() -> None:
    def failing(_length: int, _offset: int) -> bytes:
        raise OSError(5, "Input/output error")

    private = element(0x00091001, b"OB", b"\x07" * 30_000)
    data = file_with(CLASS, INSTANCE, private, STUDY, SERIES)
    with pytest.raises(OSError, match="Input/output"):
        read_header(data[:8192], failing)


def test_warnings_of_pydicom_are_silenced_only_inside() -> None:
    data = (TEST_FILES / "MR_small_bigendian.dcm").read_bytes()
    before = list(warnings.filters)
    assert read(data) is not None
    assert warnings.filters == before
