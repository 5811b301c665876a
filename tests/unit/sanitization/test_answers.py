"""What programs say of a device: unknown stays unknown, whatever their exit code is."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sanitization import answers, nvme
from orchestrator.sanitization.answers import Answer
from orchestrator.sanitization.facts import Transcript
from orchestrator.sanitization.probe import _agreed, _hidden

FILES = sorted((Path(__file__).parent / "answers").glob("*.toml"))
READERS = {**answers.READERS, "nvme": nvme.read}

IDENTIFY = """
/dev/sda:

ATA device, with non-removable media
	Model Number:       Samsung SSD 860 EVO 500GB
	Serial Number:      S3Z1NB0K
Commands/features:
	Enabled	Supported:
	*	SANITIZE feature set
	*	CRYPTO_SCRAMBLE_EXT command
	*	BLOCK_ERASE_EXT command
Security:
	Master password revision code = 65534
		supported
	not	enabled
	not	locked
	{frozen}frozen
	not	expired: security count
	{enhanced}supported: enhanced erase
Checksum: correct
"""


def said(stdout: str | dict[str, Any], *argv: str, rc: int | None = 0, err: str = "") -> Transcript:
    text = stdout if isinstance(stdout, str) else json.dumps(stdout)
    return Transcript(argv or ("x",), rc, text.encode(), err.encode())


@pytest.mark.parametrize("reader", [*READERS.values(), answers.smartctl, answers.udev])
@pytest.mark.parametrize("rc", [None, 0, 1])
def test_an_empty_answer_says_nothing(reader: Any, rc: int | None) -> None:
    answer = reader(said("", "hdparm", rc=rc))
    assert not answer.answered
    assert (answer.serial, answer.frozen, answer.hidden) == (None, None, None)
    assert not any(answer.capabilities.values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recorded_answer_says_what_it_shows_and_no_more(file: Path) -> None:
    case = tomllib.loads(file.read_text(encoding="utf-8"))
    transcript = said(case["stdout"], *case["argv"], rc=case["returncode"], err=case["stderr"])
    answer = READERS[case["argv"][0]](transcript)
    assert {name: getattr(answer, name) for name in case["answer"]} == case["answer"]
    assert {getattr(answer, name) for name in case["unknown"]} <= {None}


@pytest.mark.parametrize(("word", "frozen"), [("not\t", False), ("\t", True)])
def test_hdparm_tells_security_and_sanitize(word: str, *, frozen: bool) -> None:
    answer = answers.hdparm(said(IDENTIFY.format(frozen=word, enhanced="\t"), "hdparm", "-I"))
    assert (answer.serial, answer.frozen, answer.locked) == ("S3Z1NB0K", frozen, False)
    assert answer.capabilities == {
        "ata_security": True,
        "ata_security_enhanced": True,
        "ata_sanitize_overwrite": False,
        "ata_sanitize_block": True,
        "ata_sanitize_crypto": True,
    }
    without = IDENTIFY.format(frozen=word, enhanced="not\t")
    assert not answers.hdparm(said(without, "hdparm", "-I")).capabilities["ata_security_enhanced"]


def test_hdparm_that_was_refused_says_nothing() -> None:
    text = IDENTIFY.format(frozen="not\t", enhanced="\t")
    assert not answers.hdparm(said(text, "hdparm", err="SG_IO: bad/missing sense data")).answered


@pytest.mark.parametrize(
    ("protected", "overlay", "hidden"),
    [
        ("max sectors   = 1000/1000, HPA is disabled", "Real max sectors: 1000", False),
        ("max sectors   = 900/1000, HPA is enabled", "Real max sectors: 1000", True),
        ("max sectors   = 1000/1000, HPA is disabled", "Real max sectors: 2000", True),
        ("max sectors   = 1000/1000, HPA is disabled", "", None),
        ("", "Real max sectors: 1000", False),
        ("max sectors   = 0/1, HPA setting seems invalid", "", None),
        ("", "", None),
    ],
)
def test_hidden_areas_are_absent_only_if_both_were_looked_at(
    protected: str, overlay: str, *, hidden: bool | None
) -> None:
    found = [answers.hdparm(said(text, "hdparm")) for text in (protected, overlay)]
    native = max((one.native_bytes or 0 for one in found), default=0) or None
    assert _hidden(found, native, 1000 * 512) is hidden


@pytest.mark.parametrize(
    ("change", "name", "can"),
    [
        ({}, "nvme_format", True),
        ({"oacs": "0x17"}, "nvme_format", True),
        ({"oacs": 0}, "nvme_format", False),
        ({"unvmcap": 1024}, "nvme_format", False),
        ({"unvmcap": None}, "nvme_format", None),
        ({"oacs": None}, "nvme_format", None),
        ({"fna": 0}, "nvme_format_crypto", False),
        ({}, "nvme_sanitize_block", True),
        ({"sanicap": 1}, "nvme_sanitize_block", False),
        ({"sanicap": None}, "nvme_sanitize_block", None),
    ],
)
def test_nvme_tells_what_it_can(change: dict[str, Any], name: str, *, can: bool | None) -> None:
    body = {"sn": " S4EVNF0 ", "mn": "X", "oacs": 23, "fna": 4, "sanicap": 2, "unvmcap": 0}
    answer = nvme.read(said({**body, **change}, "nvme"))
    assert answer.serial == "S4EVNF0"
    assert answer.capabilities[name] is can


LISTED = ["nvme", "list-ns", "--all", "-o", "json"]


@pytest.mark.parametrize(
    ("most", "manages", "listed", "reason"),
    [
        (1, False, None, None),  # it can have no second one
        (256, True, [1], None),
        (256, False, [1], None),
        (256, True, [1, 2], "the drive has 2 namespaces"),
        (1, True, [1, 2], "the drive has 2 namespaces"),
        (256, True, [], "unknown"),
        (256, True, None, "unknown"),
        (None, None, None, "unknown"),
    ],
)
def test_a_namespace_is_the_drive_only_if_there_is_no_other(
    most: int | None, *, manages: bool | None, listed: list[int] | None, reason: str | None
) -> None:
    body = {"sn": "S", "nn": most, "oacs": {True: 10, False: 2, None: None}[manages]}
    found = [nvme.read(said(body, "nvme"))]
    wanted = [one for one in LISTED if one != "--all" or manages is not False]
    assert list(nvme.listing(found)) == wanted
    names = {"nsid_list": [{"nsid": one} for one in listed or ()]}
    found.append(nvme.read(said(names if listed is not None else "", *LISTED)))
    against = nvme.other_parts(found)
    assert bool(against) == (reason is not None)
    assert (reason or "") in "".join(against)


@pytest.mark.parametrize(
    ("sources", "serial"),
    [
        ({"lsblk": "A", "smartctl": "A"}, "A"),
        ({"kernel": "A", "hdparm": "A", "lsblk": "A"}, "A"),
        ({"lsblk": "A", "udevadm": "A"}, None),  # the one repeats the other
        ({"smartctl": "A"}, None),
        ({"lsblk": "A", "smartctl": "B"}, None),
        ({"lsblk": "A", "smartctl": "A", "hdparm": "B"}, None),
        ({}, None),
    ],
)
def test_a_serial_number_needs_two_sources_that_agree(
    sources: dict[str, str], serial: str | None
) -> None:
    found = [Answer(name, serial=value) for name, value in sources.items()]
    assert _agreed(found)[0] == serial


def test_lsblk_tells_mounts_of_what_lies_on_a_device() -> None:
    part = {"kname": "sda1", "type": "part", "uuid": "U", "mountpoints": [None, "/boot"]}
    top = {"kname": "sda", "type": "disk", "serial": "S  ", "children": [part]}
    found = answers.lsblk(said({"blockdevices": [top]}))
    assert (found.mounts, found.partitions, found.file_systems) == (1, ("sda1",), ("U",))
    assert found.answer.serial == "S"


@pytest.mark.parametrize(
    ("text", "can"),
    [
        ("Opcode=0x48: SANITIZE, command supported", True),
        ("command not supported", False),
        ("something else", None),
    ],
)
def test_scsi_tells_whether_it_sanitizes(text: str, *, can: bool | None) -> None:
    assert answers.sg(said(text, "sg_opcodes")).capabilities["scsi_sanitize"] is can
