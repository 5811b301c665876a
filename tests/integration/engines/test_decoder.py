"""The decoder child: whatever it does to itself, the drill gets an answer and goes on."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import select
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pydicom
import pytest

from orchestrator.clock import SystemClock
from orchestrator.dicom.decode_child import program
from orchestrator.engines import decoder as decoder_module
from orchestrator.engines.decoder import Decoder
from orchestrator.errors import EngineError, StoppedError

FORGIVEN = {"GDCMJ2K_TextGBR.dcm"}
"""A code stream that ends too early, which gdcm alone lets pass."""

LISTEN = """
import json, os, signal, socket, struct, sys, time
pipe = socket.socket(fileno=int(sys.argv[1]))
requests = pipe.makefile("rb")
def say(**answer): pipe.sendall(json.dumps(answer).encode() + b"\\n")
def hear():
    head = requests.read(4)
    if len(head) < 4: raise SystemExit(0)
    return requests.read(struct.unpack(">I", head)[0])[1:].decode()
say(state="ready")
while True:
    path = hear()
    if "good" in path: say(state="decoded", frames=1, modality="CT")
"""


def hostile(doing: str) -> list[str]:
    """Return a decoder that answers for good files and does something else to the others."""
    indented = "\n".join("        " + line for line in doing.splitlines())
    return [sys.executable, "-I", "-c", f"{LISTEN}    else:\n{indented}"]


def sample(name: str) -> Path:
    for package in ("pydicom", "data_store"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        for path in (Path(spec.origin).parent / "data").rglob(name):
            return path
    raise AssertionError(name)


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.parametrize(
    ("doing", "reason"),
    [
        ("time.sleep(600)", "longer than 2 seconds"),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)", "longer than"),
        ("os.close(int(sys.argv[1]))\ntime.sleep(600)", "longer than 2 seconds"),
        ("os._exit(3)", "died: exit code 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "died: killed by SIGSEGV"),
        ("say(state='perfect')", "nonsense"),
        ("say(state='decoded', preview='%%%')", "nonsense"),
        ("say(state='corrupt', reason='x' * 5000)", "nonsense"),
        ("pipe.sendall(b'[' * 100000 + b'\\n')", "nonsense"),
        ("while True: pipe.sendall(b'x' * 65536)", "died"),
    ],
)
def test_a_decoder_that_fails_is_replaced_and_the_next_file_decoded(
    doing: str, reason: str
) -> None:
    with Decoder(hostile(doing), timeout_s=2.0 if "longer" in reason else 60.0) as decoder:
        assert decoder.decode("/good/1").state == "decoded"
        bad = decoder.decode("/bad")
        assert bad.state == "crashed"
        assert reason in bad.reason
        assert decoder.decode("/good/2").state == "decoded"


def test_an_answer_that_came_while_this_process_stood_still_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Leaping(SystemClock):
        looked = 0

        def monotonic(self) -> float:
            self.looked += 1
            return super().monotonic() + 3600 * self.looked

    say = decoder_module._Conversation.say

    def and_stand_still(child: decoder_module._Conversation, request: bytes) -> None:
        say(child, request)
        assert select.select([child._ours], [], [], 120)[0]

    with Decoder(hostile("pass")) as decoder:
        assert decoder.decode("/good/1").state == "decoded"
        monkeypatch.setattr(decoder_module._Conversation, "say", and_stand_still)
        monkeypatch.setattr(decoder_module, "_CLOCK", Leaping())
        assert decoder.decode("/good/2").state == "decoded"


def test_a_decoder_that_cannot_be_started_says_that_nothing_can_be_decoded() -> None:
    for argv in (["/nonexistent/decoder"], [sys.executable, "-I", "-c", "raise SystemExit(2)"]):
        with Decoder(argv) as decoder, pytest.raises(EngineError, match="start"):
            decoder.decode("/good")


def test_a_decoder_that_never_gets_ready_is_given_up() -> None:
    argv = [sys.executable, "-I", "-c", "import time; time.sleep(600)"]
    with Decoder(argv, start_timeout_s=0.3) as decoder:
        for _ in range(2):
            with pytest.raises(EngineError, match="does not start"):
                decoder.decode("/good")


def test_a_stop_ends_a_hanging_decoder_at_once() -> None:
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    with Decoder(hostile("time.sleep(600)"), timeout_s=600, stop=stop) as decoder:
        decoder.decode("/good")
        timer.start()
        with pytest.raises(StoppedError):
            decoder.decode("/bad")
    timer.join()


def test_nothing_is_left_running_or_open(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    spawn = f"open({str(note)!r}, 'w').write(str(os.getpid()))\nos.fork()\ntime.sleep(600)"
    before = len(os.listdir("/proc/self/fd"))
    with Decoder(hostile(spawn), timeout_s=2, record=tmp_path / "notes") as decoder:
        assert decoder.decode("/bad").state == "crashed"
        assert decoder.decode("/good").state == "decoded"
    assert not alive(int(note.read_text()))
    assert not list((tmp_path / "notes").iterdir())
    assert len(os.listdir("/proc/self/fd")) == before


def test_real_files_are_decoded_in_the_child_with_a_picture() -> None:
    with Decoder(program()) as decoder:
        ct = decoder.decode(sample("CT_small.dcm"), preview=True)
        assert (ct.state, ct.modality, ct.frames) == ("decoded", "CT", 1)
        assert ct.preview is not None
        assert decoder.decode(sample("CT_small.dcm")).preview is None
        assert decoder.decode(sample("MR_truncated.dcm")).state == "corrupt"
        assert decoder.decode(sample("JPEG-lossy.dcm")).state == "unsupported"
        assert decoder.decode(sample("rtplan.dcm")).state == "no_pixels"
        assert decoder.decode("/nowhere/at/all").state == "unreadable"


def bomb(path: Path) -> None:
    """Write a small file that says it holds an image of 60,000 by 60,000 pixels."""
    dataset = pydicom.dcmread(sample("SC_rgb_rle.dcm"))
    dataset.Rows = dataset.Columns = 60_000
    dataset.save_as(path)


def test_a_file_that_explodes_meets_the_memory_limit(tmp_path: Path) -> None:
    bomb(tmp_path / "bomb.dcm")
    with Decoder(program(), memory_bytes=512 * 2**20) as decoder:
        answer = decoder.decode(tmp_path / "bomb.dcm")
        assert answer.state == "crashed"
        assert answer.reason == "the decoder needed more than 512 MiB of memory"
        assert decoder.decode(sample("CT_small.dcm")).state == "decoded"


def test_without_the_extra_decoders_nothing_sound_is_called_damaged() -> None:
    code = "import sys; sys.modules['gdcm'] = None\n"
    code += "from orchestrator.dicom.decode_child import main; main(sys.argv[1:])"
    states: dict[str, set[str]] = {}
    with (
        Decoder(program()) as full,
        Decoder([sys.executable, "-I", "-c", code]) as bare,
    ):
        for path in sorted(sample("CT_small.dcm").parent.glob("*.dcm")):
            wanted = full.decode(path).state
            found = bare.decode(path)
            if found.state != wanted and path.name not in FORGIVEN:
                assert (wanted, found.state) == ("decoded", "unsupported")
                assert "no decoder here" in found.reason
            states.setdefault(found.state, set()).add(path.name)
    assert "MR_small_jpeg_ls_lossless.dcm" in states["unsupported"]
    assert len(states["decoded"]) > 40


@pytest.mark.parametrize("seed", [20261122, 4711])
def test_whatever_stands_in_a_file_there_is_an_answer(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    files = [path.read_bytes() for path in sorted(sample("CT_small.dcm").parent.glob("*.dcm"))]
    broken = tmp_path / "broken.dcm"
    found = Counter[str]()
    with Decoder(program()) as decoder:
        for _round in range(150):
            content = bytearray(chance.choice(files))
            for _ in range(chance.choice((1, 3, 40))):
                content[chance.randrange(132, len(content))] = chance.randrange(256)
            if chance.random() < 0.2:
                del content[chance.randrange(132, len(content)) :]
            broken.write_bytes(content)
            answer = decoder.decode(broken, preview=True)
            found[answer.state] += 1
            assert answer.reason.isascii()
        assert decoder.decode(sample("CT_small.dcm")).state == "decoded", found
    assert found["decoded"], f"seed {seed}: {found}"
    assert found["corrupt"], f"seed {seed}: {found}"


def test_a_pipe_in_place_of_a_file_does_not_hang_the_drill(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with Decoder(program(), timeout_s=0.5) as decoder:
        assert decoder.decode(tmp_path / "pipe").state == "crashed"


def test_the_child_ends_when_the_orchestrator_is_killed(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from orchestrator.dicom.decode_child import program
from orchestrator.engines.decoder import Decoder
decoder = Decoder(program(), record=Path({str(tmp_path)!r}))
print(decoder.decode({str(sample("CT_small.dcm"))!r}).state, flush=True)
time.sleep(600)
"""
    # A parent of its own, to be killed as nothing else in the test run may be.
    read, write = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", code],
        {"PATH": os.defpath, "PYTHONPATH": os.getcwd()},
        file_actions=[(os.POSIX_SPAWN_DUP2, write, 1)],
    )
    os.close(write)
    with os.fdopen(read) as answers:
        assert answers.readline() == "decoded\n"
        (note,) = tmp_path.glob("child-*.json")
        child = json.loads(note.read_text())["pid"]
        assert alive(child)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    guard = time.monotonic() + 60
    while alive(child) and time.monotonic() < guard:
        time.sleep(0.02)
    assert not alive(child)
