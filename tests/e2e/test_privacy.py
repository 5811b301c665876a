"""No identifier and no path of the sample images anywhere outside the store and the ciphertext.

Everything the product leaves behind or shows is searched for everything the real sample images
say about people: catalog with its write-ahead log, logs with ``--debug``, documents, process
arguments and environments while it runs, the state folder, names in the bucket and on the medium.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pydicom
import pytest

from deploy.lab import sample_store
from deploy.lab.object_lock_server import ObjectLockServer
from tests.support.command_line import PROGRAM, LabSite, lab_site
from tests.support.object_lock import s3
from tests.support.restic import binaries
from tests.support.warm import shared

IDENTITIES = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "AccessionNumber",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
)
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate")
NEWEST_MANIFEST = ("latest", "/manifest.jsonl")
TELLING = "Mustermann^Erika 1961-07-04"


@dataclass
class Gathered:
    """What was seen.

    Attributes:
        site: The site it came from.
        texts: Outputs of commands by what was typed.
        processes: Arguments and environment of every process that ran meanwhile.
        crashed: Content of the state folder right after a kill, by name.
    """

    site: LabSite
    texts: dict[str, bytes] = field(default_factory=dict)
    processes: set[bytes] = field(default_factory=set)
    crashed: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture(scope="module")
def gathered(
    tmp_path_factory: pytest.TempPathFactory, object_lock_server: ObjectLockServer
) -> Iterator[Gathered]:
    folder = tmp_path_factory.mktemp("privacy")
    with lab_site(folder, server=object_lock_server, media={"red": 48}, warm=shared()) as site:
        seen = Gathered(site)
        named = site.images / "import" / f"{TELLING}.dcm"
        shutil.copy(next(site.images.rglob("im00001*")), named)
        (site.images / "import" / f"link to {TELLING}").symlink_to(named.name)
        with _watched_processes(seen.processes):
            _use_it(seen)
        yield seen


def _use_it(seen: Gathered) -> None:
    site = seen.site
    _kill_in_the_middle(seen)
    _take(seen, "backup")
    sample_store.build(site.images, part="later", with_data_package=False)
    gone = next(path for path in sorted(site.images.rglob("im00002*")))
    gone.unlink()
    _take(seen, "backup", "xrays")
    study = site.cli.ask("study", "list")["studies"][0]["study"]
    for words in (
        ["check"],
        ["study", "show", study],
        ["study", "list"],
        ["restore", "xrays", "--to", str(site.folder / "back"), "--study", study],
        ["status"],
        ["store", "show", "xrays"],
        ["doctor"],
    ):
        _take(seen, *words)
    site.images.joinpath("import").rename(site.folder / "gone")
    _take(seen, "backup")


def _take(seen: Gathered, *words: str) -> None:
    # The backup as it is installed, because its processes are watched.
    cli = replace(seen.site.cli, warm=None) if words[0] == "backup" else seen.site.cli
    answer = cli.run("--debug", "--json", *words)
    assert answer.code == 0, answer.err
    assert " DEBUG " in answer.err or " INFO " in answer.err or words[0] != "backup"
    number = len(seen.texts)
    seen.texts[f"{number} {words[0]}"] = answer.out.encode() + answer.err.encode()


def _kill_in_the_middle(seen: Gathered) -> None:
    """Leave what a crash leaves: scratch files that a run in good order would have removed."""
    site = seen.site
    for _ in range(5):
        running = subprocess.Popen(
            [PROGRAM, "backup"],
            env={**os.environ, **site.cli.env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not any(site.state.glob("scratch/*/*")) and running.poll() is None:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        if running.wait() == -signal.SIGKILL:  # else it was done before the kill came
            break
    assert running.returncode == -signal.SIGKILL
    for path in site.state.rglob("*"):
        if path.is_file() and "cache" not in path.parts:
            seen.crashed[str(path.relative_to(site.state))] = path.read_bytes()


@contextmanager
def _watched_processes(found: set[bytes]) -> Iterator[None]:
    """Note arguments and environment of every descendant of this process."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            for pid in _descendants():
                for name in ("cmdline", "environ"):
                    try:
                        content = Path(f"/proc/{pid}/{name}").read_bytes()
                    except OSError:
                        continue
                    found.add(content)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _descendants() -> Iterator[int]:
    waiting = [os.getpid()]
    while waiting:
        pid = waiting.pop()
        try:  # a process may end at any of these looks
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for task in tasks:
            try:
                words = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            except OSError:
                continue
            children = [int(word) for word in words]
            yield from children
            waiting += children


@pytest.fixture(scope="module")
def identities(gathered: Gathered) -> dict[str, set[str]]:
    """What must not be found, by kind; long enough not to be found by chance."""
    values: dict[str, set[str]] = {name: set() for name in (*IDENTITIES, "path")}
    dates: set[str] = set()
    folders = [gathered.site.images, gathered.site.folder / "gone"]
    for path in (p for folder in folders for p in folder.rglob("*") if p.is_file()):
        root = folders[0] if path.is_relative_to(folders[0]) else folders[1].parent
        relative = path.relative_to(root).parts
        values["path"] |= {"/".join(relative), "/".join(relative[-2:])}
        values["path"] |= {part for part in relative if len(part) >= 11}
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(ALL_TAGS))
        except Exception:
            continue
        for name in IDENTITIES:
            values[name] |= set(_forms(str(header.get(name) or "")))
        dates |= {str(header.get(name) or "") for name in DATES}
    values["PatientBirthDate"] -= dates | {_dashed(date) for date in dates}
    for name in IDENTITIES:
        assert values[name], name
    return values


ALL_TAGS = (*IDENTITIES, *DATES)


def _forms(value: str) -> Iterator[str]:
    value = value.strip()
    # Six digits in a row turn up in any hash; eight hardly ever.
    if len(value) >= (8 if re.fullmatch("[0-9A-Fa-f]+", value) else 6):
        yield value
        if re.fullmatch("[0-9]{8}", value):
            yield _dashed(value)


def _dashed(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"


def find(identities: dict[str, set[str]], content: bytes) -> dict[str, str]:
    """Return what of it stands in some bytes, by kind: as UTF-8, UTF-16, hex or base64."""
    found = {}
    for kind, values in identities.items():
        for value in values:
            if any(form in content for form in _encodings(value)):
                found[kind] = value
    return found


_seen_forms: dict[str, list[bytes]] = {}


def _encodings(value: str) -> list[bytes]:
    if value not in _seen_forms:
        plain = value.encode()
        forms = [plain, value.encode("utf-16-le"), plain.hex().encode()]
        for shift in range(3):
            # The characters of base64 that depend on nothing before or after the value.
            coded = base64.b64encode(bytes(shift) + plain)
            inner = coded[-(-shift * 8 // 6) :].rstrip(b"=")[: -1 or None]
            if len(inner) >= 8:
                forms.append(inner)
        _seen_forms[value] = forms
    return _seen_forms[value]


def clean(identities: dict[str, set[str]], contents: Iterable[tuple[str, bytes]]) -> int:
    """Assert that nothing of it stands in any of them; return how many there were."""
    number = 0
    for name, content in contents:
        assert find(identities, content) == {}, name
        number += 1
    return number


@pytest.mark.slow
def test_the_search_finds_what_is_there(
    gathered: Gathered, identities: dict[str, set[str]], tmp_path: Path
) -> None:
    # A control: the same search over the manifest in clear, and over one in base64.
    site = gathered.site
    password = site.cli.run("key", "unwrap", "--repository", "xrays").out
    (tmp_path / "password").write_text(password)
    options = ["-p", str(tmp_path / "password"), "--no-lock", "--no-cache", "--tag", "manifest"]
    dump = subprocess.run(
        [binaries()["current"].path, "-r", site.primary, "dump", *options, *NEWEST_MANIFEST],
        capture_output=True,
        check=True,
    )
    assert set(find(identities, dump.stdout)) == set(identities)
    assert set(find(identities, base64.b64encode(b"x" + dump.stdout))) >= {"path", "PatientName"}
    assert set(find(identities, dump.stdout.decode().encode("utf-16-le"))) == set(identities)


def test_the_catalog_and_its_log_hold_none(
    gathered: Gathered, identities: dict[str, set[str]]
) -> None:
    files = [*gathered.site.state.glob("catalog*")]
    assert sum(path.stat().st_size for path in files) > 100_000
    assert clean(identities, ((path.name, path.read_bytes()) for path in files))
    crashed = {n: c for n, c in gathered.crashed.items() if n.startswith("catalog")}
    assert clean(identities, crashed.items()) >= 1


def test_what_a_crash_leaves_on_disk_is_sealed(
    gathered: Gathered, identities: dict[str, set[str]]
) -> None:
    assert any(name.startswith("scratch/") for name in gathered.crashed)
    assert clean(identities, gathered.crashed.items())


def test_the_state_folder_and_every_copy_hold_none(
    gathered: Gathered, identities: dict[str, set[str]]
) -> None:
    roots = [gathered.site.file.parent, gathered.site.folder / "media"]
    paths = [path for root in roots for path in root.rglob("*")]
    assert clean(identities, ((p.name, os.fsencode(p.relative_to("/"))) for p in paths)) > 100
    files = [p for p in paths if p.is_file() and not p.is_symlink()]
    assert clean(identities, ((p.name, p.read_bytes()) for p in files)) > 100


def test_logs_and_documents_hold_none(gathered: Gathered, identities: dict[str, set[str]]) -> None:
    assert clean(identities, gathered.texts.items()) == 10


def test_arguments_and_environments_hold_none(
    gathered: Gathered, identities: dict[str, set[str]]
) -> None:
    every = gathered.processes
    assert any(b"restic" in one and b"backup" in one for one in every)
    assert clean(identities, (("a process", one) for one in every)) > 20
    password = gathered.site.cli.run("key", "unwrap", "--repository", "xrays").out.strip()
    assert not any(password.encode() in one for one in every)


def test_names_in_the_bucket_hold_none(
    gathered: Gathered, identities: dict[str, set[str]], object_lock_server: ObjectLockServer
) -> None:
    with s3(object_lock_server, "writer") as client:
        listed = client.list_object_versions(Bucket=gathered.site.bucket)["Versions"]
    assert clean(identities, ((one["Key"], one["Key"].encode()) for one in listed)) > 10
