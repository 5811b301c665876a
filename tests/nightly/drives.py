"""Sanitization of emulated ATA, SCSI, NVMe and USB drives, by the command line, in the machine.

Run by `run.py`; not collected by ``make test``. What QEMU's drives cannot do (ATA security, every
SANITIZE) must be seen as not offered, and what they can do is done and read back.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.certificates.signer import make_signer
from orchestrator.actions.ledger.opening import make_ledger, new_origin
from orchestrator.actions.set_up import make_state
from orchestrator.cli import boundary, root
from orchestrator.sanitization.techniques import TECHNIQUES
from orchestrator.wiring import open_site
from tests.nightly.machine import SMALL, Outside
from tests.support.site import Values

OUT = Path("/run/out")
NEVER_OFFERED = sorted(
    name for name in TECHNIQUES if name.startswith(("ata-", "nvme-sanitize-", "scsi-sanitize-"))
)
Ask = Callable[..., Any]


@pytest.fixture(scope="session")
def site_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with state, ledger and signing key, without backups."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "images").mkdir()
    file = folder / "site.toml"
    file.write_text(Values().text(), encoding="utf-8")
    site = open_site(file)
    make_state(site)
    origin = new_origin(site.config.name, site.keyring.id, 1)
    make_ledger(site.state_dir, site.keyring, origin=origin, now=site.clock.now())
    make_signer(site)
    site.catalog.dispose()
    return file


@pytest.fixture
def ask(site_file: Path, record_property: Callable[[str, object], None]) -> Ask:
    """Return a function that runs a command line and returns its document, or its error."""

    def run(*words: str | Path, actor: str = "it", expect: int | tuple[int, ...] = 0) -> Any:
        out, err = io.StringIO(), io.StringIO()
        argv = ["--json", "--site", str(site_file), "--as", actor, *map(str, words)]
        with redirect_stdout(out), redirect_stderr(err):
            code = boundary.run(root, argv)
        wanted = (expect,) if isinstance(expect, int) else expect
        assert code in wanted, f"exit code {code}: {out.getvalue()} {err.getvalue()}"
        if not out.getvalue():
            return json.loads(err.getvalue().strip().splitlines()[-1])
        found = json.loads(out.getvalue())
        if found.get("state") in ("executed", "interrupted"):
            record_property("result", f"{found['verification']}, {found['method'] or 'no method'}")
            record_property("reasons", "; ".join(found["reasons"]))
        return found

    return run


@pytest.fixture
def approved(ask: Ask) -> Ask:
    """Return a function that has a technique proposed and approved on a device."""

    def approve(device: str, technique: str, *more: str) -> str:
        found = ask("sanitize", "run", device, "--technique", technique, *more)
        name = str(found["sanitization"])
        ask("sanitize", "approve", name, actor="privacy")
        return name

    return approve


@pytest.fixture
def sanitized(ask: Ask, approved: Ask) -> Ask:
    """Return a function that takes a device from the proposal to the outcome."""

    def do(device: str, technique: str, *more: str, expect: int = 0) -> Any:
        name = approved(device, technique, *more)
        ask("sanitize", "run", "--approved", name, expect=expect)
        return ask("sanitize", "show", name)

    return do


@pytest.fixture(scope="session")
def outside() -> Outside:
    return Outside(OUT)


def devices() -> dict[str, str]:
    """Return the paths of the drives by serial number; what has none, by its model."""
    words = ("lsblk", "--json", "--nodeps", "-o", "PATH,SERIAL,MODEL,TYPE")
    said = subprocess.run(words, capture_output=True, check=True).stdout
    found: dict[str, str] = {}
    for one in json.loads(said)["blockdevices"]:
        if one["type"] == "disk":
            found.setdefault((one["serial"] or one["model"] or "").strip(), one["path"])
    return found


def wait_for(what: Callable[[], Any], *, limit_s: float = 300) -> Any:
    until = time.monotonic() + limit_s
    while not (found := what()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)
    return found


def first_bytes(device: str) -> bytes:
    with open(device, "rb") as file:
        return file.read(1 << 16)


def is_zero(device: str) -> bool:
    with open(device, "rb", buffering=0) as file:
        while part := file.read(1 << 20):
            if part.strip(b"\0"):
                return False
    return True


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ATA-HDD", "hdd"),
        ("ATA-SSD", "ata_ssd"),
        ("SCSI-HDD", "scsi_hdd"),
        ("SCSI-UNMAP", "scsi_ssd"),
        ("NVME-PLAIN", "nvme"),
        ("USB-STICK", "usb_flash"),
    ],
)
def test_a_drive_is_known_for_what_it_is_and_offers_no_more_than_it_has(
    ask: Ask, name: str, kind: str, record_property: Callable[[str, object], None]
) -> None:
    device = devices()[name]
    before = first_bytes(device)
    found = ask("sanitize", "probe", device)
    record_property("capabilities", json.dumps(found["capabilities"]))
    assert found["kind"] == kind
    assert found["serial"] == name
    assert len(found["serials"]) >= 2
    assert found["size_bytes"] == (SMALL // 2 if name == "USB-STICK" else SMALL)
    assert found["in_use"] == []
    can = found["capabilities"]
    if kind in ("hdd", "ata_ssd"):
        assert {can[one] for one in can if one.startswith("ata_")} == {False}
    if kind == "nvme":
        assert {can[one] for one in can if one.startswith("nvme_sanitize")} == {False}
        assert (can["nvme_format"], can["nvme_format_crypto"]) == (True, False)
    assert can.get("scsi_sanitize") is not True
    reach = {one["technique"]: one for one in found["techniques"]}
    assert reach["overwrite"]["allowed"]
    for technique in NEVER_OFFERED:
        assert not reach[technique]["allowed"], technique
    for technique in (NEVER_OFFERED[0], "nvme-sanitize-block", "scsi-sanitize-crypto"):
        refused = ask("sanitize", "run", device, "--technique", technique, expect=5)
        assert technique in refused["message"]
    assert first_bytes(device) == before


@pytest.mark.parametrize(
    ("name", "technique", "method"),
    [
        ("ATA-HDD", "overwrite", None),  # whether it hides something nobody can ask it
        ("ATA-SSD", "nwipe", None),
        ("SCSI-NWIPE", "nwipe", "clear"),
        ("NVME-NWIPE", "nwipe", "clear"),
        ("SCSI-HDD", "overwrite", "clear"),
        ("NVME-PLAIN", "overwrite", "clear"),
        ("USB-STICK", "overwrite", "clear"),
        ("NVME-FORMAT", "nvme-format", "clear"),
        ("ATA-TRIM", "blkdiscard", None),
        ("SCSI-UNMAP", "blkdiscard", None),
        ("NVME-TRIM", "blkdiscard", None),
    ],
)
def test_what_a_drive_can_do_is_done_and_read_back(
    ask: Ask, sanitized: Ask, name: str, technique: str, method: str | None
) -> None:
    device = devices()[name]
    done = sanitized(device, technique)
    assert (done["state"], done["verification"]) == ("executed", "verified"), done["reasons"]
    assert done["method"] == method, done["reasons"]
    seen = done["measured"]["read_back"]
    assert (seen["markers"], seen["surviving"], seen["unreadable"]) == (16, 0, 0)
    assert done["serial"] == name
    assert is_zero(device)
    if name in ("ATA-HDD", "ATA-SSD"):
        assert any("may have hidden areas" in one for one in done["reasons"])
    if name == "SCSI-HDD":
        accept = ("sanitize", "validate", done["sanitization"], "--accept")
        number = ask(*accept, actor="privacy")["certificate"]
        record = ask("certificate", "show", number)["record"]
        assert record["act"]["method"] == "clear"
        assert "zeros" in record["act"]["technique"]


def test_destroying_the_keys_of_a_luks_container_purges_a_magnetic_drive(sanitized: Ask) -> None:
    device = devices()["SCSI-LUKS"]
    cheap = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
    words = ["cryptsetup", "luksFormat", "-q", *cheap, device, "-"]
    subprocess.run(words, input=b"pass", check=True, capture_output=True)
    attested = ("encrypted_from_first_write", "no_other_key_copies")
    done = sanitized(
        device, "luks-erase", *(word for one in attested for word in ("--attest", one))
    )
    assert (done["verification"], done["method"]) == ("verified", "purge"), done["reasons"]
    words = ["cryptsetup", "open", "--test-passphrase", device, "-"]
    assert subprocess.run(words, input=b"pass", check=False, capture_output=True).returncode != 0


@pytest.mark.parametrize(
    ("name", "technique", "reason"),
    [
        ("ATA-DEAF", "blkdiscard", "16 of 16 markers are still there"),
        ("ATA-BADWRITE", "overwrite", "the device refuses to be written"),
        ("ATA-BADREAD", "overwrite", "places cannot be read"),
        ("NVME-BADFORMAT", "nvme-format", "exit code 1"),
    ],
)
def test_a_drive_that_does_not_do_it_is_not_verified(
    sanitized: Ask, name: str, technique: str, reason: str
) -> None:
    done = sanitized(devices()[name], technique, expect=1)
    assert (done["state"], done["verification"], done["method"]) == (
        "executed",
        "not_verified",
        None,
    )
    assert any(reason in one for one in done["reasons"]), done["reasons"]


def test_a_drive_that_forgets_what_was_written_claims_nothing(ask: Ask, approved: Ask) -> None:
    name = approved(devices()["SCSI-FORGETS"], "overwrite")
    error = ask("sanitize", "run", "--approved", name, expect=1)
    assert "does not give back what was written" in error["message"]
    done = ask("sanitize", "show", name)
    assert (done["state"], done["verification"], done["method"]) == (
        "interrupted",
        "unverified",
        None,
    )


@pytest.mark.parametrize(
    ("name", "technique", "why"),
    [
        ("SCSI-READONLY", "overwrite", "write-protected"),
        ("NAMELESS", "overwrite", "nothing tells this device from another"),
        ("NVME-TWO", "nvme-format", "namespaces"),
        ("NVME-TWO", "overwrite", "namespaces"),
        ("NVME-HALF", "nvme-format", "namespaces"),
        ("NVME-HALF", "overwrite", "namespaces"),
        ("NVME-PLAIN", "nvme-format-crypto", "does not offer it"),
    ],
)
def test_what_must_not_be_sanitized_is_refused(
    ask: Ask, name: str, technique: str, why: str
) -> None:
    error = ask("sanitize", "run", devices()[name], "--technique", technique, expect=5)
    assert why in error["message"]


def test_another_drive_at_the_approved_place_is_refused(
    ask: Ask, approved: Ask, outside: Outside
) -> None:
    device = devices()["SCSI-SWAPPED"]
    name = approved(device, "overwrite")
    outside.tell("device_del", id="SCSI-SWAPPED")
    wait_for(lambda: "SCSI-SWAPPED" not in devices())
    other = {"driver": "scsi-hd", "bus": "bays.0", "drive": "SCSI-OTHER", "serial": "SCSI-OTHER"}
    outside.tell("device_add", **other, id="SCSI-OTHER", rotation_rate=7200)
    assert wait_for(lambda: devices().get("SCSI-OTHER")) == device
    subprocess.run(["udevadm", "settle"], check=True)
    Path(device).write_bytes(b"keep")
    error = ask("sanitize", "run", "--approved", name, expect=5)
    assert "not the one that was approved" in error["message"]
    assert first_bytes(device)[:4] == b"keep"


def test_a_drive_pulled_out_in_the_middle_claims_nothing(
    ask: Ask, approved: Ask, outside: Outside, site_file: Path
) -> None:
    import sqlite3

    name = approved(devices()["SCSI-PULLED"], "overwrite")
    program = Path(sys.executable).with_name("orchestrator")
    words = ["--json", "--site", site_file, "--as", "it", "sanitize", "run", "--approved", name]
    started = subprocess.Popen([program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def steps() -> list[Any]:
        uri = f"file:{site_file.parent}/state/catalog.sqlite?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as catalog:
            query = (
                "SELECT 1 FROM run_step JOIN sanitization USING (run_id) "
                "WHERE run_step.name = 'technique' AND sanitization.id = ?"
            )
            return catalog.execute(query, (name,)).fetchall()

    try:
        wait_for(lambda: steps() or started.poll() is not None)
        assert started.poll() is None
        outside.tell("device_del", id="SCSI-PULLED")
        out, err = started.communicate(timeout=600)
    finally:
        started.kill()
        started.communicate()
    assert started.returncode == 1, (out, err)
    done = ask("sanitize", "show", name)
    assert done["state"] in ("executed", "interrupted")
    assert done["verification"] in ("not_verified", "unverified")
    assert done["method"] is None


def test_a_scsi_drive_that_lists_its_commands_says_that_it_cannot_sanitize(ask: Ask) -> None:
    from deploy.lab.qemu_machine import module

    busybox = next(module("scsi_debug").parents[6].glob("bin/busybox"))
    there = set(devices().values())
    words = [busybox, "insmod", module("scsi_debug"), "dev_size_mb=64"]
    subprocess.run(words, check=True, capture_output=True)
    subprocess.run(["udevadm", "settle"], check=True)
    (device,) = wait_for(lambda: set(devices().values()) - there)
    found = ask("sanitize", "probe", device)
    assert found["kind"] in ("scsi_hdd", "scsi_ssd")
    assert found["capabilities"]["scsi_sanitize"] is False
    error = ask("sanitize", "run", device, "--technique", "scsi-sanitize-block", expect=5)
    assert "does not offer it" in error["message"]


def test_the_ledger_of_all_this_verifies(ask: Ask, site_file: Path) -> None:
    assert ask("ledger", "verify")["verdict"] == "verified"


@pytest.fixture(scope="session", autouse=True)
def kept(site_file: Path) -> Iterator[None]:
    """Hand the transcripts out when all is over."""
    yield
    evidence = site_file.parent / "state" / "evidence"
    if evidence.exists():
        subprocess.run(["cp", "-r", evidence, OUT / "evidence"], check=True)
