#!/usr/bin/env python3
"""From an empty folder to three copies that are each proven, and to a disposal that reaches all.

Does what the people of a practice would do, with the commands they would type; only the images,
the bucket's server, the medium and the disk that is emptied are throw-away. Leaves ``demo-site/``
to look at and nothing running; can be run again.
"""

from __future__ import annotations

import filecmp
import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from deploy.lab import demo_places, demo_retention, sample_store  # noqa: E402
from deploy.lab.demo_stage import (  # noqa: E402
    HERE,
    IMAGES,
    INTO_THE_SAFE,
    MEDIUM,
    MEDIUM_FILE,
    SITE,
    Failed,
    Orchestrator,
    tell,
)

KIT = SITE / "state/recovery-kit/recovery-kit.txt"
DRILL_REPORT = HERE / "drill.pdf"
CERTIFICATE = HERE / "certificate.pdf"
BUNDLE = HERE / "ledger.zip"
UNPACKED = HERE / "ledger"


@dataclass(frozen=True)
class Parts:
    """What this machine allowed.

    Attributes:
        bucket: An Object Lock server runs.
        medium: The medium is a file system of its own.
        old_disk: The loop device to be sanitized; None if loop devices are not allowed.
    """

    bucket: bool
    medium: bool
    old_disk: str | None


def main() -> int:
    started = time.monotonic()
    demo_places.unmount(MEDIUM)
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    orchestrator = Orchestrator()
    with ExitStack() as stack:
        parts = prepare(orchestrator, stack)
        keep(orchestrator, parts)
        prove(orchestrator, parts)
        disposal = demo_retention.let_go(orchestrator, bucket=parts.bucket, has_medium=parts.medium)
        empty_a_disk(orchestrator, parts)
        account(orchestrator, parts)
        tell("Where does the practice stand?")
        orchestrator("status")
        verdict = orchestrator.ask("status")["stores"][0]["verdict"]
    explain(verdict, disposal, time.monotonic() - started, parts)
    return 0 if verdict == "met" or not (parts.bucket and parts.medium) else 1


def prepare(orchestrator: Orchestrator, stack: ExitStack) -> Parts:
    tell("An imaging folder with real DICOM files, an offline medium, a bucket's server")
    print(f"images: {sample_store.build(IMAGES)}")
    has_medium = stack.enter_context(demo_places.medium(MEDIUM_FILE, MEDIUM))
    print(
        "medium: a file system of its own on a loop device"
        if has_medium
        else "medium: a plain folder, for loop devices are not allowed here: it will not count"
    )
    server = stack.enter_context(demo_places.object_lock_server(HERE / "server"))
    if server is not None:
        orchestrator.env |= demo_places.credentials(server)
        print("server: Ceph RGW with Object Lock, in memory, on the loopback interface")
    old_disk = stack.enter_context(demo_places.old_disk(HERE / "old-disk.img"))

    tell("A new site")
    orchestrator("init", str(SITE), "--store", str(IMAGES), "--name", "Demo Dental")
    demo_places.add_copies(SITE / "site.toml", MEDIUM.parent, server)
    orchestrator("init", str(SITE))
    plain = [] if has_medium else ["--plain-folder"]
    orchestrator("--as", "it", "medium", "add", "rotation", str(MEDIUM), "--label", "red", *plain)
    return Parts(server is not None, has_medium, old_disk)


def keep(orchestrator: Orchestrator, parts: Parts) -> None:
    tell("The first night: everything is new")
    orchestrator("backup")
    tell("The second night: a few new images")
    sample_store.build(IMAGES, part="later")
    orchestrator("backup")
    tell("Every byte of every copy is read again and compared")
    orchestrator("check")
    if parts.bucket:
        tell("Would the bucket let a thief with the nightly credential destroy anything?")
        orchestrator("bucket", "probe", "vault")
        orchestrator("bucket", "coverage", "vault")
    tell("One study comes back")
    restore_one_study(orchestrator, "vault" if parts.bucket else "rotation")
    tell("The medium goes into the safe")
    orchestrator("--as", "it", "medium", "release", "rotation", *INTO_THE_SAFE)


def restore_one_study(orchestrator: Orchestrator, copy: str) -> None:
    studies = orchestrator.ask("study", "list", "--limit", "1000")["studies"]
    largest = max(studies, key=lambda one: int(one["files"]))
    target = HERE / "restored"
    orchestrator(
        "restore", "xrays", "--copy", copy, "--study", largest["study"], "--to", str(target)
    )
    files = [p for p in target.rglob("*") if p.is_file()]
    for path in files:
        if not filecmp.cmp(path, IMAGES / path.relative_to(target), shallow=False):
            raise Failed("a restored file differs from the one in the imaging folder")
    if len(files) != int(largest["files"]):
        raise Failed(f"{len(files)} files came back instead of {largest['files']}")
    print(f"Compared with the imaging folder byte by byte: {len(files)} files, all identical.")


def prove(orchestrator: Orchestrator, parts: Parts) -> None:
    copy = "vault" if parts.bucket else "disk"
    where = "the bucket" if parts.bucket else "the local disk"
    tell(
        f"A restore drill: the whole store comes back from {where}",
        "Every file is compared with the manifest of backup time, one image of each series is",
        "decoded, and the time is held against RTO and RPO. What was restored is wiped again.",
    )
    orchestrator("drill", "run", "xrays", "--copy", copy)
    drill = orchestrator.ask("drill", "list")["drills"][0]["drill"]
    tell(
        "The same with nothing but the recovery kit",
        "No keyring, no catalog: as on the day after this machine has burned down.",
    )
    orchestrator("drill", "run", "xrays", "--kit", str(KIT))
    tell("What is proven by now; the officer has seen it and signs")
    orchestrator("--as", "privacy", "drill", "sign", drill, "--note", "seen; originals are checked")
    orchestrator("drill", "report", drill, "--to", str(DRILL_REPORT))
    orchestrator("drill", "list")


def empty_a_disk(orchestrator: Orchestrator, parts: Parts) -> None:
    if parts.old_disk is None:
        print("Loop devices are not allowed here: no disk is sanitized.")
        return
    tell(
        "An old disk is sanitized: one person proposes, another approves",
        "It is a throw-away loop device full of random bytes.",
    )
    orchestrator(
        *("--as", "it", "sanitize", "run", parts.old_disk, "--technique", "overwrite"),
        *("--property", "old disk 7"),
    )
    name = orchestrator.ask("sanitize", "list")["sanitizations"][-1]["sanitization"]
    orchestrator("--as", "privacy", "sanitize", "approve", name)
    tell("It is overwritten and read back to the last byte; the method follows from that evidence")
    orchestrator("--as", "it", "sanitize", "run", "--approved", name)
    tell("The officer accepts the outcome; a signed certificate says so, and what is not claimed")
    orchestrator(
        *("--as", "privacy", "sanitize", "validate", name, "--accept"),
        *("--reason", "a demo: the file behind the device is removed too"),
    )
    number = orchestrator.ask("sanitize", "show", name)["certificate"]
    orchestrator("certificate", "export", number, "--to", str(CERTIFICATE))
    orchestrator("certificate", "verify", str(CERTIFICATE))


def account(orchestrator: Orchestrator, parts: Parts) -> None:
    tell("The ledger has all of it, without a patient's name")
    orchestrator("ledger", "list")
    if parts.bucket:
        tell("Its newest checkpoint goes where this machine cannot take it back")
        orchestrator("ledger", "anchor")
    tell(
        "An auditor gets the ledger as a bundle, and believes none of this software",
        "The bundle has a verifier of its own: one file for any Python 3, nothing to install.",
    )
    orchestrator("ledger", "export", "--format", "bundle", "--to", str(BUNDLE))
    key = orchestrator.ask("ledger", "list", "--limit", "1")["vkey"]
    shutil.unpack_archive(BUNDLE, UNPACKED)
    # -I: without this project's packages, as on the auditor's machine.
    python = shutil.which("python3") or sys.executable
    verify = [python, "-I", str(UNPACKED / "verify_ledger.py"), str(BUNDLE), "--key", key]
    print(f"$ {shlex.join(['python3', *verify[1:]])}", flush=True)
    if subprocess.run(verify, check=False, env={"PATH": os.defpath}).returncode != 0:
        raise Failed("the bundle's own verifier does not accept it")


def explain(verdict: str, disposal: str, seconds: float, parts: Parts) -> None:
    bucket = (
        " and into the bucket, where nobody can delete them for 35 days" if parts.bucket else ""
    )
    left = (
        ", and a certificate says so"
        if disposal == "complete"
        else ";\n        from the bucket when its last lock ends: only then comes the certificate"
    )
    tell("What just happened")
    print(
        f"""Kept    The images were read once, encrypted, and stored on the local disk; the same
        bytes went to the offline medium{bucket}.
        Every copy was then verified on its own. 3-2-1 is: {verdict}.
Proven  One study and twice the whole store were restored and compared, once with nothing but
        the recovery kit. Management has a report, and has signed it.
Let go  What no law keeps any more went from the folder, the disk and the medium{left}.
        Two people decided; one study on hold stayed; no restore brings the others back.
Shown   All of that stands in a signed ledger that others verify without us."""
    )
    if parts.old_disk is not None:
        print(
            "        A disk was emptied by two people, and a certificate says what that is worth."
        )
    if not parts.bucket:
        print("There is no immutable copy: install Ceph (radosgw ceph-mon ceph-osd) to see it.")
    if not parts.medium:
        print("The medium was a plain folder: run this as root to see a separate one.")
    places = [
        (SITE / "site.toml", "what people write"),
        (KIT.with_suffix(".html"), "the recovery kit, for a browser"),
        (HERE / "restored", "the study that came back"),
        (DRILL_REPORT, "the drill's report, signed by management"),
        (demo_retention.PLAN, "the decision about every study"),
        (demo_retention.STATEMENT, "what is gone, and what remains until when"),
        (CERTIFICATE, "the certificate of the old disk"),
        (UNPACKED / "README-VERIFY.html", "how an auditor checks the ledger by hand"),
    ]
    print("\nLook at")
    for path, what in places:
        if path.exists():
            print(f"  {path}  {what}")
    print(
        f"""
The bucket's server is stopped and its memory gone, the medium is unmounted, the loop devices are
detached: nothing is running. It took {seconds:.0f} seconds."""
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        print(f"\ndemo failed: {failure}", file=sys.stderr)
        sys.exit(1)
