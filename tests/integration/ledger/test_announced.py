"""An announced act, killed or refused at each system call: never done in silence, ended once."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.actions.ledger.mirror import parsed
from orchestrator.actions.ledger.record import Event, announced, settle
from orchestrator.actions.site import Site
from orchestrator.errors import OrchestratorError
from orchestrator.ledger.verify import verify
from orchestrator.wiring import open_site
from tests.integration.certificates.conftest import certifying_folder
from tests.integration.ledger.faults import Faults

__all__ = ["certifying_folder"]

ACT = "medium.retire"
CALLS = ("open", "write", "fsync", "mkdir", "replace", "rename", "link")


class Ended(NamedTuple):
    """How a process ended: how far it came (0 the whole way, 1 an error, 2 killed)."""

    how: int
    struck: bool


def act_in(folder: Path, at: int, *, kill: bool) -> Ended:
    """Let a process announce an act and do it, with the n-th system call going wrong."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = _act(folder, at, kill=kill)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Ended(2, struck=True)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 1, 10, 11), (at, code)
    return Ended(code % 10, struck=code >= 10)


def _act(folder: Path, at: int, *, kill: bool) -> int:
    def strike() -> BaseException:
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)
        return OSError(28, "No space left on device")

    site = open_site(folder / "site.toml")
    _ = site.catalog, site.ledger.log
    failed, done = 0, folder / "done"
    with Faults(at, strike, CALLS) as faults:
        try:
            with announced(site, Event(ACT, {"medium": "m"})):
                done.write_bytes(b"")
        except OrchestratorError:
            failed = 1
    return failed + 10 * faults.has_struck


def types(site: Site) -> list[str]:
    reader = site.ledger.reader()
    return [parsed(one.index, one.data).type for one in reader.entries()]


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "refused"])
def test_an_act_is_never_done_in_silence_and_ends_once(
    certifying_folder: Path, tmp_path: Path, *, kill: bool
) -> None:
    ends: set[tuple[str, ...]] = set()
    at = 0
    while True:
        folder = Path(shutil.copytree(certifying_folder, tmp_path / str(at)))
        ended = act_in(folder, at, kill=kill)
        what = f"call {at}"
        site = open_site(folder / "site.toml")
        found = verify(site.ledger.folder, [site.ledger.verifier])
        assert found.problems == [], what
        before = types(site)[1:]
        if (folder / "done").exists():
            assert before[:1] == [ACT], what
        elif ended.how == 0:
            raise AssertionError(what)
        settle(site)
        after = types(site)[1:]
        assert settle(site) == [], what
        site.catalog.dispose()
        assert after in ([], [ACT, f"{ACT}.done"], [ACT, f"{ACT}.interrupted"]), what
        assert (after == [ACT, f"{ACT}.done"]) >= (ended.how == 0), what
        ends.add(tuple(after))
        shutil.rmtree(folder)
        if not ended.struck:
            break
        at += 1
    print(f"{at} system calls")
    assert at >= 15
    assert len(ends) == 3
