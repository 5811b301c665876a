"""Bringing a medium in and letting it go: mount, write out, unmount, power off.

How that is done is the site's to say; without a word of it ``umount`` does it. Knows nothing of
what lies on the medium.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.engines import process
from orchestrator.engines.medium import MediumHandle
from orchestrator.engines.medium_search import MountedMedium
from orchestrator.engines.mounts import read_mounts
from orchestrator.errors import EngineError, UnreachableError

_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_TIMEOUT_S = 600.0
"""Unmounting writes out what is pending, and a slow disk takes its time."""


def mount(copy: str, command: Sequence[str], *, timeout_s: float = _TIMEOUT_S) -> None:
    """Run the site's command that mounts a medium; `find` then tells what is there.

    Args:
        copy: Name of the copy.
        command: Program and arguments.
        timeout_s: Seconds it may take, above 0.

    Raises:
        UnreachableError: It failed: the medium is not connected, as a rule.
        EngineError: It cannot be started, or hangs.
    """
    code = process.run(command, env=_ENV, timeout_s=timeout_s).returncode
    if code != 0:
        raise UnreachableError(
            f"copy {copy}: the command that mounts its medium failed (exit code {code})",
            hint="is the medium connected and switched on? Try the command of site.toml by hand",
        )


def release(
    handle: MediumHandle, *, command: Sequence[str] | None = None, timeout_s: float = _TIMEOUT_S
) -> None:
    """Write everything out, let go of the medium, unmount it, and make sure that it is gone.

    A plain folder is written out only. The handle is closed whatever happens.

    Args:
        handle: The open medium; nothing else may be using it.
        command: The site's command that unmounts it, ``{mount_point}`` and ``{device}`` being
            replaced in its arguments; ``umount`` by default.
        timeout_s: Seconds it may take, above 0.

    Raises:
        UnreachableError: It was gone before it could be released.
        RefusedError: Another medium stands in its place.
        EngineError: Something could not be written out, or it is still mounted: still in use.
    """
    mounted = handle.mounted
    with handle:
        handle.guard()
        handle.sync()
        handle.guard()
    if mounted.source is None:
        return
    argv = _fill(command or ("umount", "{mount_point}"), mounted)
    code = process.run(argv, env=_ENV, timeout_s=timeout_s).returncode
    if is_mounted(mounted):
        raise EngineError(
            f"copy {mounted.identity.copy}: medium {mounted.identity.label} is still mounted; "
            f"everything is written out, but unmounting failed (exit code {code})",
            hint=f"`fuser -vm {mounted.mount_point}` shows who uses it; do not pull it out yet",
        )


def is_mounted(mounted: MountedMedium) -> bool:
    """Say whether the medium is still mounted where it was.

    Raises:
        EngineError: The mount table cannot be read.
    """
    return any(
        m.path == mounted.mount_point and m.mount_id == mounted.mount_id for m in read_mounts()
    )


def power_off(
    mounted: MountedMedium, command: Sequence[str], *, timeout_s: float = _TIMEOUT_S
) -> None:
    """Run the site's command that powers a released medium off.

    Args:
        mounted: The medium, as it was.
        command: Program and arguments, ``{mount_point}`` and ``{device}`` being replaced.
        timeout_s: Seconds it may take, above 0.

    Raises:
        EngineError: It is still mounted, or the command failed.
    """
    what = f"copy {mounted.identity.copy}: medium {mounted.identity.label}"
    if is_mounted(mounted):
        raise EngineError(
            f"{what} is still mounted and was not powered off",
            hint="run `orchestrator medium release COPY` first",
        )
    code = process.run(_fill(command, mounted), env=_ENV, timeout_s=timeout_s).returncode
    if code != 0:
        raise EngineError(
            f"{what} could not be powered off (exit code {code}); it is unmounted",
            hint="it is safe to pull it out; try the command of site.toml by hand",
        )


def _fill(command: Sequence[str], mounted: MountedMedium) -> list[str]:
    words = {"{mount_point}": str(mounted.mount_point), "{device}": mounted.source or ""}
    return [words.get(word, word) for word in command]
