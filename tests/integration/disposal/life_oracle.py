"""What lies on a copy, read with plain restic past the product, and what it means for a study.

Everything in a repository is named by its content, so whatever was read once is remembered by its
name: a look at a copy costs the names it lists and what is new among them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.support.object_lock import s3
from tests.support.restic import binaries

KINDS = ("keys", "data", "index", "snapshots")


@dataclass(frozen=True)
class Snap:
    """A snapshot.

    Attributes:
        id: In full.
        kind: ``data``, ``manifest`` or ``state``.
        run: The run that made the first of its line.
        rewritten: It stands in the place of another one.
        at: When, as restic writes it.
        files: SHA-256 of every file, by path.
        manifest: What a manifest says.
        needed: Every blob it needs.
    """

    id: str
    kind: str
    run: str
    rewritten: bool
    at: str
    files: dict[str, str]
    manifest: bytes
    needed: frozenset[str]


@dataclass
class Look:
    """What one copy lists.

    Attributes:
        names: Kind and name of every file.
        snaps: Its snapshots, by id.
        packs: Blobs of every pack that some index named once, by pack.
        unknown: Packs that no index ever named.
    """

    names: frozenset[tuple[str, str]] = frozenset()
    snaps: dict[str, Snap] = field(default_factory=dict)
    packs: dict[str, frozenset[str]] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()

    @cached_property
    def blobs(self) -> frozenset[str]:
        """Every blob that lies on it."""
        return frozenset().union(*self.packs.values())

    def is_whole(self, snap: Snap) -> bool:
        """Say whether everything a snapshot needs lies on it."""
        return snap.needed <= self.blobs

    def data(self) -> list[Snap]:
        """Return the snapshots of images."""
        return [one for one in self.snaps.values() if one.kind == "data"]

    def having(self, contents: frozenset[str]) -> set[tuple[str, str, str]]:
        """Return run, path and content of what whole snapshots hold of some contents."""
        return {
            (one.run, path, sha)
            for one in self.data()
            if self.is_whole(one)
            for path, sha in one.files.items()
            if sha in contents
        }


class Library:
    """Everything that was ever read from one repository and its copies.

    Args:
        password: Of the repository.
    """

    def __init__(self, password: str) -> None:
        self._restic = binaries()["current"].path
        self._env = {
            "RESTIC_PASSWORD": password,
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
        }
        self._packs: dict[str, frozenset[str]] = {}
        self._indexes: set[str] = set()
        self._trees: dict[str, list[dict[str, Any]]] = {}
        self._snaps: dict[str, Snap] = {}
        self._contents: dict[tuple[str, ...], str] = {(): _EMPTY}
        self.chunks: dict[str, frozenset[str]] = {}
        """Chunks of every content that was seen, by its SHA-256."""

    def look(self, repository: Path) -> Look:
        """Look at a copy that lies in a folder."""
        names = frozenset(_names(repository))
        self._read_indexes(repository, names)
        snaps = {
            name: snap
            for kind, name in sorted(names)
            if kind == "snapshots" and (snap := self._snap(repository, name)) is not None
        }
        data = {name for kind, name in names if kind == "data"}
        known = {name: self._packs[name] for name in data & self._packs.keys()}
        return Look(names, snaps, known, frozenset(data - known.keys()))

    def run(self, repository: Path, *words: str) -> bytes:
        """Ask restic; raises where it fails."""
        argv = [str(self._restic), "-r", str(repository), "--no-lock", "--no-cache", "-q", *words]
        done = subprocess.run(argv, env=self._env, capture_output=True, check=False)
        assert done.returncode == 0, f"restic {words[:2]}: {done.stderr.decode()}"
        return done.stdout

    def _read_indexes(self, repository: Path, names: Iterable[tuple[str, str]]) -> None:
        for kind, name in names:
            if kind == "index" and name not in self._indexes:
                for pack in json.loads(self.run(repository, "cat", "index", name))["packs"]:
                    blobs = frozenset(blob["id"] for blob in pack["blobs"])
                    self._packs[pack["id"]] = self._packs.get(pack["id"], frozenset()) | blobs
                self._indexes.add(name)

    def _snap(self, repository: Path, name: str) -> Snap:
        if name not in self._snaps:
            row = json.loads(self.run(repository, "cat", "snapshot", name))
            tags = row["tags"]
            files: dict[str, str] = {}
            needed = set(self._walk(repository, name, row["tree"], "", files))
            kind = next(tag for tag in tags if tag in ("data", "manifest", "state"))
            run = next(tag for tag in tags if tag.startswith("run="))
            rewritten = any(tag == "rewrite" or tag.startswith("replaces=") for tag in tags)
            content = b""
            if kind == "manifest":
                content = self.run(repository, "dump", name, "/manifest.jsonl")
            self._snaps[name] = Snap(
                name, kind, run, rewritten, row["time"], files, content, frozenset(needed)
            )
        return self._snaps[name]

    def _walk(
        self, repository: Path, snapshot: str, tree: str, below: str, files: dict[str, str]
    ) -> Iterator[str]:
        if tree not in self._trees:
            self._trees[tree] = json.loads(self.run(repository, "cat", "blob", tree))["nodes"]
        yield tree
        for node in self._trees[tree]:
            path = below + node["name"]
            if node["type"] == "dir":
                yield from self._walk(repository, snapshot, node["subtree"], path + "/", files)
            elif node["type"] == "file":
                content = tuple(node.get("content") or ())
                yield from content
                files[path] = self._sha256(repository, snapshot, path, content)

    def _sha256(self, repository: Path, snapshot: str, path: str, content: tuple[str, ...]) -> str:
        if content not in self._contents:
            sha = content[0]
            if len(content) > 1:
                sha = hashlib.sha256(self.run(repository, "dump", snapshot, "/" + path)).hexdigest()
            self._contents[content] = sha
            self.chunks[sha] = frozenset(content)
        return self._contents[content]


def _names(repository: Path) -> Iterator[tuple[str, str]]:
    for kind in KINDS:
        for path in sorted((repository / kind).rglob("*")):
            if path.is_file() and len(path.name) == 64:  # others are temporary
                yield kind, path.name


class Mirror:
    """Every version that a bucket lists, as a folder that restic reads.

    Args:
        server: The Object Lock server.
        bucket: Bucket name.
        folder: Where to keep the mirror.
    """

    def __init__(self, server: Any, bucket: str, folder: Path) -> None:
        self._server = server
        self.bucket = bucket
        self.folder = folder

    def versions(self) -> list[tuple[str, str]]:
        """Return key and version id of everything but delete markers."""
        with s3(self._server, "admin") as client:
            pages = client.get_paginator("list_object_versions").paginate(Bucket=self.bucket)
            return [
                (one["Key"], one["VersionId"])
                for page in pages
                for one in page.get("Versions", ())
                if not one["Key"].startswith("_")
            ]

    def refresh(self) -> Path:
        """Bring the mirror up to date and return it."""
        wanted: dict[Path, tuple[str, str]] = {}
        for key, version in self.versions():
            below = key.split("/")
            while below and below[0] not in (*KINDS, "config"):
                below.pop(0)
            if below:
                wanted[self.folder.joinpath(*below)] = (key, version)
        there = {path for path in self.folder.rglob("*") if path.is_file()}
        for path in there - wanted.keys():
            path.unlink()
        with s3(self._server, "admin") as client:
            for path in wanted.keys() - there:
                key, version = wanted[path]
                body = client.get_object(Bucket=self.bucket, Key=key, VersionId=version)["Body"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(body.read())
        return self.folder

    def lock_longer(self, key: str, version: str, until: dt.datetime) -> None:
        """Lock a version for longer than the product asked for: it will not go."""
        with s3(self._server, "writer") as client:
            client.put_object_retention(
                Bucket=self.bucket,
                Key=key,
                VersionId=version,
                Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until},
            )


_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
