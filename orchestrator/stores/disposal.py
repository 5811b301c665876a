"""Taking the files of one study out of a folder store: those that were backed up, and only those.

First every file is read and compared with what the manifest says, and nothing is touched; only if
all agree are they removed, each looked at once more. No link is followed on any way: every folder
is opened below the one before it. Whose files these are, and whether they may go, is decided
elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from orchestrator.stores.reading import PIECE_BYTES, describe

Obstacle = Literal["changed", "linked", "unknown_file", "unreadable", "unwritable"]
"""Why no file goes. `changed`: a file, or a folder above it, is not what was backed up. `linked`:
its content has further names, which would keep it. `unknown_file`: a file lies beside them that no
backup has seen. `unreadable`, `unwritable`: the file system does not let us."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT,)
_NO_FOLDER = (errno.ELOOP, errno.ENOTDIR)
_DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True, slots=True)
class Doomed:
    """One file that is to go.

    Attributes:
        path: Path below the root, raw bytes with forward slashes.
        sha256: SHA-256 of the content that was backed up, in hex.
    """

    path: bytes = field(repr=False)
    sha256: str


@dataclass(slots=True)
class Examined:
    """What was found of a study's files; nothing was changed.

    Attributes:
        root: The store's folder.
        files: Facts of every file that is there and is what was backed up, by path.
        folders: Device and inode of the folders they lie in.
        vanished: Files that are not there any more.
        obstacle: Why none may go; None if all may.
        problem: The same in words, without a path.
    """

    root: Path
    files: dict[bytes, tuple[int, ...]] = field(default_factory=dict, repr=False)
    folders: dict[bytes, tuple[int, int]] = field(default_factory=dict, repr=False)
    vanished: int = 0
    obstacle: Obstacle | None = None
    problem: str | None = None

    def stop(self, obstacle: Obstacle, problem: str) -> None:
        """Note the first thing that is in the way."""
        if self.obstacle is None:
            self.obstacle, self.problem = obstacle, problem


@dataclass(slots=True)
class Removal:
    """What was removed.

    Attributes:
        files: Files removed.
        folders: Folders removed because nothing was left in them.
        vanished: Files that somebody else had removed.
        obstacle: What stopped it; some files are gone then if `files` is not 0.
        problem: The same in words, without a path.
    """

    files: int = 0
    folders: int = 0
    vanished: int = 0
    obstacle: Obstacle | None = None
    problem: str | None = None


def examine(
    root: Path, files: Iterable[Doomed], known: Mapping[bytes, Collection[bytes]]
) -> Examined:
    """Compare the files of one study with what was backed up.

    Args:
        root: The store's folder, not a symbolic link.
        files: All files of the study.
        known: Names that the last backup has seen in each of the folders the files lie in.
    """
    found = Examined(root)
    buffer = bytearray(PIECE_BYTES)
    for below, doomed in _by_folder(files).items():
        try:
            with _opened(root, below) as folder:
                facts = os.fstat(folder)
                found.folders[below] = (facts.st_dev, facts.st_ino)
                _examine_folder(found, folder, below, known.get(below, ()))
                for one in doomed:
                    _examine_file(found, folder, one, buffer)
        except OSError as error:
            if error.errno in _GONE:
                found.vanished += len(doomed)
            elif error.errno in _NO_FOLDER:
                found.stop("changed", "a folder is no folder any more")
            else:
                found.stop("unreadable", f"a folder cannot be read: {describe(error)}")
        if found.obstacle is not None:
            break
    return found


def remove(found: Examined) -> Removal:
    """Remove the files that were examined, and the folders that are empty then.

    A file that is no longer what was examined stops it; so does a folder that is another one. The
    root itself stays, and so does whatever else lies in a folder.

    Raises:
        ValueError: There was an obstacle.
    """
    if found.obstacle is not None:
        raise ValueError("files that are not what was backed up are not removed")
    done = Removal(vanished=found.vanished)
    paths: dict[bytes, list[bytes]] = {}
    for path in found.files:
        paths.setdefault(_folder_of(path), []).append(path)
    for check_only in (True, False):
        for below, here in paths.items():
            _remove_in(found, done, below, here, check_only=check_only)
            if done.obstacle is not None:
                return done
    done.folders = _remove_empty(found)
    return done


def is_there(root: Path, path: bytes) -> bool:
    """Say whether anything has this name, links not followed; True if that cannot be told."""
    try:
        with _opened(root, _folder_of(path)) as folder:
            os.stat(_name_of(path), dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        return error.errno not in (*_GONE, *_NO_FOLDER)
    return True


def _examine_folder(found: Examined, folder: int, below: bytes, known: Collection[bytes]) -> None:
    if os.fstatvfs(folder).f_flag & os.ST_RDONLY:
        found.stop("unwritable", "the file system is read-only")
    elif not os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True):
        found.stop("unwritable", "the file system denies access")
    seen = frozenset(known)
    for name in os.listdir(folder):
        raw = os.fsencode(name)
        if raw in seen:
            continue
        try:
            facts = os.stat(raw, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(facts.st_mode):
            found.stop("unknown_file", "a file lies beside them that was never backed up")


def _examine_file(found: Examined, folder: int, one: Doomed, buffer: bytearray) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        descriptor = os.open(_name_of(one.path), flags, dir_fd=folder)
    except OSError as error:
        if error.errno in _GONE:
            found.vanished += 1
        elif error.errno in (*_NO_FOLDER, errno.ENXIO):
            found.stop("changed", "a file is not a regular file any more")
        else:
            found.stop("unreadable", f"a file cannot be read: {describe(error)}")
        return
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            found.stop("changed", "a file is not a regular file any more")
        elif before.st_nlink != 1:
            found.stop("linked", "a file has further names (hard links)")
        elif _digest(descriptor, buffer) != one.sha256:
            found.stop("changed", "a file is not what was backed up")
        elif _facts(os.fstat(descriptor)) != _facts(before):
            found.stop("changed", "a file changed while it was read")
        else:
            found.files[one.path] = _facts(before)
    except OSError as error:
        found.stop("unreadable", f"a file cannot be read: {describe(error)}")
    finally:
        os.close(descriptor)


def _remove_in(
    found: Examined, done: Removal, below: bytes, paths: list[bytes], *, check_only: bool
) -> None:
    """Look at the files of one folder once more, and remove them if asked to."""
    try:
        with _opened(found.root, below) as folder:
            facts = os.fstat(folder)
            if (facts.st_dev, facts.st_ino) != found.folders[below]:
                done.obstacle, done.problem = "changed", "a folder is another one by now"
                return
            for path in paths:
                _remove_one(found, done, folder, path, check_only=check_only)
                if done.obstacle is not None:
                    return
            if not check_only:
                os.fsync(folder)
    except OSError as error:
        _note(done, error, is_removing=not check_only)


def _remove_one(
    found: Examined, done: Removal, folder: int, path: bytes, *, check_only: bool
) -> None:
    name = _name_of(path)
    try:
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if _facts(facts) != found.files[path]:
            done.obstacle, done.problem = "changed", "a file changed after it was compared"
        elif not check_only:
            os.unlink(name, dir_fd=folder)
            done.files += 1
    except FileNotFoundError:
        done.vanished += not check_only


def _note(done: Removal, error: OSError, *, is_removing: bool) -> None:
    """Note what stopped it; files may be gone already, so that a failed removal is tried again."""
    if error.errno in (*_GONE, *_NO_FOLDER):
        done.obstacle, done.problem = "changed", "a folder is no longer there"
    elif is_removing or error.errno in _DENIED:
        done.obstacle = "unwritable"
        done.problem = f"a file cannot be removed: {describe(error)}"
    else:
        done.obstacle, done.problem = "unreadable", describe(error)


def _remove_empty(found: Examined) -> int:
    """Remove the folders that are empty now, deepest first, up to the root."""
    count = 0
    for below in sorted(found.folders, key=lambda one: one.count(b"/"), reverse=True):
        path = below
        while path:
            try:
                with _opened(found.root, _folder_of(path)) as parent:
                    os.rmdir(_name_of(path), dir_fd=parent)
                    with suppress(OSError):
                        os.fsync(parent)
            except OSError:
                break  # something else is in it, or it is gone already with its own
            count += 1
            path = _folder_of(path)
    return count


@contextmanager
def _opened(root: Path, below: bytes) -> Iterator[int]:
    """Open a folder below the root, following no link."""
    folder = os.open(root, _FOLDER)
    try:
        for name in below.split(b"/") if below else ():
            inner = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _by_folder(files: Iterable[Doomed]) -> dict[bytes, list[Doomed]]:
    folders: dict[bytes, list[Doomed]] = {}
    for one in files:
        folders.setdefault(_folder_of(one.path), []).append(one)
    return folders


def _folder_of(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _name_of(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _digest(descriptor: int, buffer: bytearray) -> str:
    digest = hashlib.sha256()
    view = memoryview(buffer)
    while size := os.readv(descriptor, [view]):
        digest.update(view[:size])
    return digest.hexdigest()


def _facts(facts: os.stat_result) -> tuple[int, ...]:
    return (
        facts.st_dev,
        facts.st_ino,
        facts.st_size,
        facts.st_mtime_ns,
        facts.st_ctime_ns,
        facts.st_nlink,
    )
