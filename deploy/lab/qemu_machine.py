"""Starts a virtual machine with emulated drives, in which a command of this machine runs as root.

The guest's root folder is this machine's own, read-only (9p): its programs, the virtual environment
and the source are those that are here. Nothing of this machine can be written to by it but one
folder, and its drives are files or nothing. Only the kernel comes from elsewhere: Debian's package,
unpacked below ``.lab/qemu``; nothing is installed and nothing of apt's set-up is changed.

The processor is KVM's where that works, and emulated elsewhere.
"""

from __future__ import annotations

import gzip
import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / ".lab" / "qemu"

_PROGRAM = "qemu-system-x86_64"
_CPU = "Westmere"  # the least that numpy's wheels run on
_KERNEL = "linux-image-amd64"
_MODULES = (
    *("virtio_pci", "9pnet_virtio", "9p"),
    *("ahci", "sd_mod", "sg", "virtio_scsi", "nvme", "xhci-pci", "usb-storage", "uas", "loop"),
    *("dm-crypt", "dm-mod", "algif_skcipher", "xts"),
)
_INIT = """#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
busybox mkdir -p /dev /proc /root
busybox mount -t devtmpfs dev /dev
busybox mount -t proc proc /proc
while read -r module; do busybox insmod "/modules/$module" || echo "no module $module"; done </order
share=trans=virtio,version=9p2000.L,msize=524288
busybox mount -t 9p -o "ro,cache=loose,$share" host /root || busybox poweroff -f
busybox mount -t devtmpfs dev /root/dev
busybox mkdir -p /root/dev/shm /root/dev/pts
busybox mount -t proc proc /root/proc
busybox mount -t sysfs sys /root/sys
for place in run dev/shm; do busybox mount -t tmpfs tmpfs "/root/$place"; done
busybox mkdir -p /root/run/tmp /root/run/out
busybox mount -t 9p -o "rw,$share" out /root/run/out
export SYSTEMD_IGNORE_CHROOT=1 # udevadm would do nothing
busybox chroot /root /bin/sh -c '
  /lib/systemd/systemd-udevd --daemon 2>/dev/null
  udevadm trigger --action=add && udevadm settle
  ip link set lo up 2>/dev/null
  . /run/out/command; echo $? >/run/out/code
' </dev/null >/root/run/out/output 2>&1
busybox sync
busybox poweroff -f
"""


@dataclass(frozen=True)
class Machine:
    """What a machine is made of.

    Attributes:
        devices: Options of QEMU for its drives.
        memory_mib: Its memory.
        limit_s: Seconds after which it is ended.
    """

    devices: Sequence[str] = ()
    memory_mib: int = 1536
    limit_s: float = 3600


@dataclass
class Ran:
    """How a command in a machine has ended.

    Attributes:
        code: Its exit code; None if the machine went down before it had one.
        output: What it said.
        console: What the kernel said.
    """

    code: int | None
    output: str
    console: str


@dataclass
class Monitor:
    """QEMU's own command line, for what happens to a drive while the machine runs."""

    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, command: str, **arguments: Any) -> Any:
        """Send one QMP command and return its answer."""
        with self._lock, socket.socket(socket.AF_UNIX) as link:
            link.settimeout(60)
            link.connect(str(self.path))
            stream = link.makefile("rw")
            stream.readline()
            for name, values in (("qmp_capabilities", {}), (command, arguments)):
                stream.write(json.dumps({"execute": name, "arguments": values}) + "\n")
                stream.flush()
                while "event" in (answer := json.loads(stream.readline())):
                    pass
                if "error" in answer:
                    raise RuntimeError(f"{name}: {answer['error']['desc']}")
            return answer["return"]


def run(
    machine: Machine, command: Sequence[str], out: Path, *, during: Callable[[Monitor], None]
) -> Ran:
    """Run a command in a machine.

    Args:
        machine: What it is made of.
        command: Program and arguments, with this machine's paths. It may write to ``/run/tmp``.
        out: Folder that it finds as ``/run/out``, and may write to.
        during: Called in a thread once the machine runs; may return at any time.
    """
    kernel, initrd = prepare()
    for name in ("code", "output"):
        (out / name).unlink(missing_ok=True)
    (out / "command").write_text(f"cd {shlex.quote(str(ROOT))}\n{shlex.join(command)}\n")
    with tempfile.TemporaryDirectory(prefix="qemu-lab-") as folder:
        console, monitor = Path(folder) / "console", Path(folder) / "qmp"
        argv = [
            *(_PROGRAM, "-machine", "q35", *accelerator()),
            *("-smp", "2", "-m", str(machine.memory_mib)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-kernel", str(kernel), "-initrd", str(initrd)),
            *("-append", "console=ttyS0 quiet panic=-1 TZ=UTC"),
            *("-serial", f"file:{console}", "-qmp", f"unix:{monitor},server=on,wait=off"),
            *_share("host", Path("/"), writable=False),
            *_share("out", out, writable=True),
            *machine.devices,
        ]
        with open(out / "qemu.txt", "wb") as errors, _started(argv, errors) as process:
            watcher = threading.Thread(target=during, args=(Monitor(monitor),), daemon=True)
            watcher.start()
            with suppress(subprocess.TimeoutExpired):  # it is ended, and has no exit code
                process.wait(timeout=machine.limit_s)
        said = console.read_text("utf-8", "replace") if console.exists() else ""
    output, code = out / "output", out / "code"
    return Ran(
        code=int(code.read_text()) if code.exists() else None,
        output=output.read_text("utf-8", "replace") if output.exists() else "",
        console=said,
    )


def accelerator() -> list[str]:
    """Return how the processor is had: by KVM if it has all that is needed, else emulated."""
    quick = ["-accel", "kvm", "-cpu", f"{_CPU},enforce"]
    idle = [_PROGRAM, "-machine", "q35", *quick, "-nodefaults", "-display", "none", "-S"]
    tried = subprocess.run(
        [*idle, "-monitor", "stdio"], input=b"quit\n", capture_output=True, check=False
    )
    return quick if tried.returncode == 0 else ["-accel", "tcg,thread=multi", "-cpu", _CPU]


@contextmanager
def _started(argv: Sequence[str], errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=errors)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _share(name: str, folder: Path, *, writable: bool) -> list[str]:
    access = "off" if writable else "on"
    return [
        "-fsdev",
        f"local,id={name},path={folder},security_model=none,multidevs=remap,readonly={access}",
        "-device",
        f"virtio-9p-pci,fsdev={name},mount_tag={name}",
    ]


def prepare() -> tuple[Path, Path]:
    """Return a kernel and its first file system; both are made once and kept."""
    release = _release()
    folder = LAB / release
    kernel, initrd = folder / f"boot/vmlinuz-{release}", folder / "initrd.gz"
    if not kernel.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for package in (f"linux-image-{release}", "busybox-static"):
            _unpack(package, part)
        part.rename(folder)
    if not initrd.exists() or initrd.stat().st_mtime < Path(__file__).stat().st_mtime:
        _first_file_system(folder, release, initrd)
    return kernel, initrd


def module(name: str) -> Path:
    """Return a module of the kernel, to be loaded in the machine by its path."""
    (found,) = (LAB / _release()).glob(f"lib/modules/*/kernel/**/{name}.ko")
    return found


def _release() -> str:
    kept = sorted(LAB.glob("*/initrd.gz"))
    if kept:
        return kept[-1].parent.name
    said = subprocess.run(
        ["apt-cache", "depends", _KERNEL], capture_output=True, text=True, check=True
    ).stdout
    needed = [line.split()[-1] for line in said.splitlines() if "Depends: linux-image-" in line]
    if not needed:
        raise SystemExit(f"apt knows no {_KERNEL}: this needs Debian, and apt-get update before")
    return needed[0].removeprefix("linux-image-")


def _unpack(package: str, folder: Path) -> None:
    subprocess.run(
        ["apt-get", "-qq", "download", package], cwd=folder, check=True, stderr=subprocess.DEVNULL
    )
    for file in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", file, folder], check=True)
        file.unlink()


def _first_file_system(folder: Path, release: str, target: Path) -> None:
    busybox = folder / "bin/busybox"
    with tempfile.TemporaryDirectory(prefix="initrd-") as name:
        root = Path(name)
        for place in ("bin", "modules"):
            (root / place).mkdir()
        shutil.copy2(busybox, root / "bin/busybox")
        order = _in_order(folder, release, busybox)
        for file in order:
            shutil.copy2(file, root / "modules" / file.name)
        (root / "order").write_text("".join(f"{file.name}\n" for file in order))
        (root / "init").write_text(_INIT)
        (root / "init").chmod(0o755)
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        packed = subprocess.run(
            [busybox, "cpio", "-o", "-H", "newc"],
            cwd=root,
            input=names.encode(),
            capture_output=True,
            check=True,
        ).stdout
    part = target.with_suffix(".part")
    part.write_bytes(gzip.compress(packed, 1))
    os.replace(part, target)


def _in_order(folder: Path, release: str, busybox: Path) -> list[Path]:
    """Return the modules that are loaded, what they need before them."""
    modules = folder / "lib/modules" / release
    subprocess.run([busybox, "depmod", "-b", folder, release], check=True, capture_output=True)
    needs: dict[str, tuple[Path, list[str]]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        file = modules / path
        needs[_plain(file.name)] = (file, [_plain(Path(one).name) for one in others.split()])
    found: dict[str, Path] = {}

    def add(name: str) -> None:
        if name in found or name not in needs:  # what is built in is no module
            return
        file, others = needs[name]
        for one in others:
            add(one)
        found[name] = file

    for name in _MODULES:
        add(_plain(name))
    return list(found.values())


def _plain(name: str) -> str:
    return name.removesuffix(".ko").replace("-", "_")
