"""Devices that vanish, are swapped, shrink or break in the middle of a sanitization.

Real loop devices; what happens to them happens between two steps, or while a program works.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from orchestrator.actions import doctor
from orchestrator.actions.ledger import record
from orchestrator.actions.progress import Silent
from orchestrator.actions.run import run
from orchestrator.actions.sanitization import attest, sanitize
from orchestrator.actions.sanitization import execute as sanitize_run
from orchestrator.actions.sanitization.rows import settle
from orchestrator.actions.site import Site
from orchestrator.catalog import sanitizations
from orchestrator.catalog.sanitization_tables import Sanitization
from orchestrator.errors import OrchestratorError, RefusedError
from tests.support.raw_loop import MakeRaw, make_raw
from tests.support.site import LabSite, MakeSite, wait_for

__all__ = ["make_raw"]

SIZE = 8 << 20


class AtStep(Silent):
    """Does something when a step of the run begins."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self._name = name
        self._act = act

    def step(self, name: str) -> None:
        if name == self._name:
            self._act()


def losetup(*words: str | Path) -> str:
    done = subprocess.run(["losetup", *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@contextmanager
def acting(site: Site, actor: str) -> Iterator[None]:
    before, site.actor = site.actor, actor
    yield
    site.actor = before


def approved(site: Site, device: str, technique: str = "overwrite") -> str:
    with acting(site, "it"):
        name = sanitize.propose(site, sanitize.Proposal(Path(device), technique)).id
    with acting(site, "privacy"):
        return sanitize.approve(site, name).id


def demand_no_claim(site: Site, name: str) -> Sanitization:
    """Nothing is claimed of it, nobody can accept it, and the ledger says how it ended."""
    left = sanitize.show(site, name)
    assert left.method is None
    assert left.verification in ("unverified", "not_verified")
    assert left.reasons
    with acting(site, "privacy"), pytest.raises(RefusedError) as refused:
        attest.validate(site, name, accept=True, reasons=("all is well",))
    assert refused.value.hint
    assert ledger_types(site)[-1] in ("sanitization.run.done", "sanitization.run.failed")
    return left


def ledger_types(site: Site) -> list[str]:
    reader = site.ledger.reader()
    return [record.mirror.parsed(one.index, one.data).type for one in reader.entries()]


@pytest.fixture
def lab(make_site: MakeSite) -> LabSite:
    return make_site()


@pytest.fixture
def site(lab: LabSite) -> Iterator[Site]:
    with lab.opened() as opened:
        yield opened


@pytest.mark.slow
def test_a_device_that_is_gone_is_not_worked_on(site: Site, tmp_path: Path) -> None:
    image = tmp_path / "gone.img"
    image.write_bytes(os.urandom(SIZE))
    device = losetup("--find", "--show", image)
    name = approved(site, device)
    losetup("--detach", device)
    with acting(site, "it"), pytest.raises(OrchestratorError) as refused:
        sanitize_run.execute(site, name)
    assert refused.value.hint
    assert sanitize.show(site, name).state == sanitizations.APPROVED
    assert ledger_types(site)[-1] == "sanitization.approved"


@pytest.mark.parametrize("step", ["technique", "read-back", "identity"])
def test_a_device_that_loses_half_of_itself_claims_nothing(
    site: Site, tmp_path: Path, step: str
) -> None:
    image = tmp_path / "shrinks.img"
    image.write_bytes(os.urandom(SIZE))
    device = losetup("--find", "--show", image)

    def shrink() -> None:
        os.truncate(image, SIZE // 2)
        losetup("--set-capacity", device)

    try:
        name = approved(site, device)
        site.progress = AtStep(step, shrink)
        with acting(site, "it"), suppress(OrchestratorError):
            sanitize_run.execute(site, name)
        demand_no_claim(site, name)
    finally:
        losetup("--detach", device)


def test_no_other_device_takes_the_name_of_the_one_that_is_worked_on(
    site: Site, tmp_path: Path
) -> None:
    image, other = tmp_path / "right.img", tmp_path / "other.img"
    for path in (image, other):
        path.write_bytes(os.urandom(SIZE))
    before = other.read_bytes()
    device = losetup("--find", "--show", image)
    name = approved(site, device)
    refused: list[subprocess.CalledProcessError] = []

    def swap() -> None:
        losetup("--detach", device)
        try:
            losetup(device, other)
        except subprocess.CalledProcessError as error:
            refused.append(error)

    site.progress = AtStep("technique", swap)
    with acting(site, "it"):
        done = sanitize_run.execute(site, name)
    assert len(refused) == 1
    assert other.read_bytes() == before
    assert done.verification == "verified"
    assert not image.read_bytes().strip(b"\0")


def test_a_device_that_cannot_take_every_byte_claims_nothing(site: Site, tmp_path: Path) -> None:
    """A loop device of 8 MiB on a file system of 2: writing breaks off with an I/O error."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small], check=True)
    device = ""
    try:
        with open(small / "image", "wb") as file:
            file.truncate(SIZE)
        device = losetup("--find", "--show", small / "image")
        name = approved(site, device)
        with acting(site, "it"), suppress(OrchestratorError):
            sanitize_run.execute(site, name)
        demand_no_claim(site, name)
    finally:
        if device:
            losetup("--detach", device)
        subprocess.run(["umount", small], check=True)


def test_a_program_cut_off_in_the_middle_claims_nothing(site: Site, make_raw: MakeRaw) -> None:
    """Its transcript ends where it was killed."""
    device = make_raw(256 << 20)
    name = approved(site, device, "nwipe")
    cut: list[int] = []

    def cut_off() -> None:
        pid = wait_for(lambda: working_on(device))
        os.kill(pid, signal.SIGKILL)
        cut.append(pid)

    cutter = threading.Thread(target=cut_off)
    cutter.start()
    with acting(site, "it"), suppress(OrchestratorError):
        sanitize_run.execute(site, name)
    cutter.join()
    assert cut
    left = demand_no_claim(site, name)
    assert left.measured["tool"] == "failed"
    assert "nwipe ended with exit code -9" in left.reasons


def working_on(device: str) -> int | None:
    """Return the id of an nwipe that works on a device, once it has begun to write."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdecimal() else []
        except OSError:
            continue
        if words and words[0].endswith(b"nwipe") and os.fsencode(device) in words:
            return int(entry.name)
    return None


def test_what_was_measured_survives_a_kill_after_its_outcome_is_recorded(
    lab: LabSite, make_raw: MakeRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    device = make_raw(SIZE)
    with lab.opened() as site:
        name = approved(site, device)
        with monkeypatch.context() as patched:
            # What a kill leaves between the ledger's outcome and the catalog's.
            patched.setattr(sanitize_run, "conclude", die)
            patched.setattr(sanitize_run._Execution, "_give_up", lambda *_: None)
            with acting(site, "it"), pytest.raises(Killed):
                sanitize_run.execute(site, name)
        site.actor = "system"
        assert sanitize.show(site, name).state == sanitizations.EXECUTING
        assert any(one.name == "sanitizations" for one in doctor.examine(site))
        with run(site, "later"):
            assert settle(site) == []
        done = sanitize.show(site, name)
        assert (done.state, done.verification, done.method) == ("executed", "verified", "clear")
        assert done.measured["reject_conditions"]
        types = ledger_types(site)
        assert [types[one] for one in done.entries][-2:] == [
            "sanitization.run",
            "sanitization.run.done",
        ]
