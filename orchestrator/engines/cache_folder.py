"""Finding and removing old files below one folder, without ever leaving it.

Folders are opened one below the other by descriptor, never through a link, never onto another
file system, and never into a folder that must be kept, whatever name it has there. Removing files
is no sanitization: their bytes stay on the medium until they happen to be overwritten.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path

from orchestrator.errors import EngineError, RefusedError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 100

Place = tuple[int, int]
"""Device and inode of a folder."""


@dataclass(slots=True)
class Swept:
    """What was found below a folder.

    Attributes:
        files: Files old enough whose names match.
        size_bytes: Their total length.
        removed: How many of them were removed.
        young: Files that match and are not old enough.
        other: Files whose names match no pattern, and what is no file.
        linked: Links, files with several names, and folders of other file systems: left alone.
        failed: Files and folders that could not be read or removed.
    """

    files: int = 0
    size_bytes: int = 0
    removed: int = 0
    young: int = 0
    other: int = 0
    linked: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """What goes.

    Attributes:
        patterns: Names, whatever their case.
        before: Only what was written and changed last before this.
        kept: Folders that must be kept, by device and inode.
    """

    patterns: tuple[str, ...]
    before: datetime
    kept: Collection[Place]


def place_of(folder: Path) -> Place | None:
    """Return device and inode of a folder; None if it is not there."""
    try:
        facts = folder.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def sweep(
    root: Path, rule: Rule, *, remove: bool, check_stop: Callable[[], None] | None = None
) -> Swept:
    """Look below a folder, and remove what goes if asked.

    Nothing is removed before everything was looked at once.

    Args:
        root: The folder; not a link.
        rule: What goes.
        remove: Remove it; otherwise only count.
        check_stop: Called for each folder; what it raises ends the work.

    Raises:
        EngineError: The folder cannot be opened.
        RefusedError: It is, or holds, a folder that must be kept.
    """
    with _opened(root) as top:
        device = os.fstat(top).st_dev
        found = _Sweep(rule, device, check_stop or (lambda: None))
        found.walk(top, remove=False)
        if not remove:
            return found.swept
        again = _Sweep(rule, device, check_stop or (lambda: None))
        again.walk(top, remove=True)
        return again.swept


@contextmanager
def _opened(root: Path) -> Iterator[int]:
    try:
        top = os.open(root, _FOLDER)
    except OSError as error:
        raise EngineError(f"the folder cannot be opened: {error.strerror}") from None
    try:
        yield top
    finally:
        os.close(top)


class _Sweep:
    def __init__(self, rule: Rule, device: int, check_stop: Callable[[], None]) -> None:
        self.swept = Swept()
        self._rule = rule
        self._device = device
        self._check_stop = check_stop
        self._before_ns = int(rule.before.timestamp()) * 1_000_000_000

    def walk(self, folder: int, *, remove: bool, depth: int = 0) -> None:
        self._check_stop()
        here = os.fstat(folder)
        if (here.st_dev, here.st_ino) in self._rule.kept:
            raise RefusedError("the folder is or holds a store, a copy or the state folder")
        try:
            names = os.listdir(folder)
        except OSError:
            self.swept.failed += 1
            return
        for name in names:
            try:
                facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError:
                self.swept.failed += 1
                continue
            if stat.S_ISDIR(facts.st_mode):
                self._enter(folder, name, facts, remove=remove, depth=depth)
            else:
                self._file(folder, name, facts, remove=remove)

    def _enter(
        self, folder: int, name: str, facts: os.stat_result, *, remove: bool, depth: int
    ) -> None:
        if facts.st_dev != self._device or depth >= _DEEPEST:
            self.swept.linked += 1
            return
        try:
            inner = os.open(name, _FOLDER, dir_fd=folder)
        except OSError:
            self.swept.failed += 1
            return
        try:
            if os.fstat(inner).st_dev == self._device:
                self.walk(inner, remove=remove, depth=depth + 1)
            else:
                self.swept.linked += 1
        finally:
            os.close(inner)

    def _file(self, folder: int, name: str, facts: os.stat_result, *, remove: bool) -> None:
        swept = self.swept
        if stat.S_ISLNK(facts.st_mode) or facts.st_nlink > 1:
            swept.linked += 1
        elif not stat.S_ISREG(facts.st_mode) or not self._matches(name):
            swept.other += 1
        elif max(facts.st_mtime_ns, facts.st_ctime_ns) >= self._before_ns:
            swept.young += 1
        else:
            swept.files += 1
            swept.size_bytes += facts.st_size
            if remove:
                self._remove(folder, name)

    def _matches(self, name: str) -> bool:
        return any(fnmatch(name.lower(), one.lower()) for one in self._rule.patterns)

    def _remove(self, folder: int, name: str) -> None:
        try:
            os.unlink(name, dir_fd=folder)
        except OSError:
            self.swept.failed += 1
        else:
            self.swept.removed += 1
