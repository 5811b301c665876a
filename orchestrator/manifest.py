"""The manifest: what a snapshot holds, file by file, taken from the source at backup time.

Pure. A manifest is JSON lines in tree order (`tree_key`): a header, one line per entry, a footer
with counts. It is stored as a snapshot of its own in the same repository as the images, so any
copy can be verified with nothing but the recovery kit; the format is documented in
``docs/manifest.md`` and may only grow.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any, Literal

FORMAT = 1

_GOOD_FILE = b',"kind":"file","state":"good","size":'
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

EntryKind = Literal["file", "symlink", "other"]
EntryState = Literal["good", "changed", "unreadable", "vanished"]
"""`good`: hashed, and unchanged since. `changed`: changed while it was read; taken again in the
next run. `unreadable`: could not be read; not proven to be in the snapshot. `vanished`: listed,
then gone before it could be read."""


@dataclass(frozen=True, slots=True)
class FileStat:
    """The facts by which a file is taken for unchanged since the last run.

    Attributes:
        size_bytes: Length as stat gives it (a sparse file's apparent size), 0 or more.
        mtime_ns: Modification time in nanoseconds since the epoch.
        ctime_ns: Status change time in nanoseconds since the epoch.
        inode: Inode number.
    """

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One entry of a manifest.

    Attributes:
        path: Path below the store's root, raw bytes with forward slashes, never empty.
        kind: `file`; `symlink` (never followed); `other` (device, socket, fifo: recorded only).
        state: How far the entry can be trusted.
        stat: The source's facts when it was read; None for `vanished`.
        sha256: SHA-256 of the content in hex; None unless `kind` is file and the state `good`
            or `changed`.
        target: A symlink's target, raw bytes; None otherwise.
        links: Hard-link count, 1 or more.
        dicom: The DICOM header's fields by keyword in snake case (`dicom.header`), without
            absent ones; None if the file is not readable DICOM.
        note: Why the entry is not `good`, in words without the path; None for `good`.
        since: Id of the run that read this content.
    """

    path: bytes
    kind: EntryKind
    state: EntryState
    stat: FileStat | None
    sha256: str | None = None
    target: bytes | None = None
    links: int = 1
    dicom: dict[str, str] | None = None
    note: str | None = None
    since: str = ""


@dataclass(frozen=True, slots=True)
class ManifestHeader:
    """First line: which store and run this manifest belongs to.

    Attributes:
        store: Store name.
        repository: Restic repository id in full.
        root: Absolute path the snapshot was taken of, raw bytes.
        run: Run id; the snapshot carries the tag ``run=<id>``.
        taken_at: ISO 8601 instant in UTC at which the walk began.
    """

    store: str
    repository: str
    root: bytes
    run: str
    taken_at: str


@dataclass(slots=True)
class ManifestTotals:
    """Last line: counts, so that a truncated manifest is never taken for a whole one."""

    entries: int = 0
    files: int = 0
    bytes: int = 0
    states: dict[str, int] = field(default_factory=dict)

    def add(self, entry: ManifestEntry) -> None:
        """Count one entry."""
        self.entries += 1
        self.states[entry.state] = self.states.get(entry.state, 0) + 1
        if entry.kind == "file" and entry.state in ("good", "changed") and entry.stat is not None:
            self.files += 1
            self.bytes += entry.stat.size_bytes

    def add_good_file(self, size_bytes: int) -> None:
        """Count one good file."""
        self.entries += 1
        self.states["good"] = self.states.get("good", 0) + 1
        self.files += 1
        self.bytes += size_bytes


def tree_key(path: bytes) -> bytes:
    """Return the sort key of manifest order: depth first, names in byte order.

    Args:
        path: Path below the store's root with forward slashes.
    """
    return path.replace(b"/", b"\0")


def encode_header(header: ManifestHeader) -> bytes:
    """Return the header as one line."""
    body: dict[str, Any] = {
        "manifest": FORMAT,
        "store": header.store,
        "repository": header.repository,
        **_name("root", header.root),
        "run": header.run,
        "taken_at": header.taken_at,
    }
    return _line(body)


def decode_header(line: bytes) -> ManifestHeader:
    """Read the first line.

    Raises:
        ValueError: The line is no manifest header of a known format.
    """
    try:
        body = json.loads(line)
        if body["manifest"] != FORMAT:
            raise ValueError(f"manifest format {body['manifest']!r} is not known")
        return ManifestHeader(
            store=body["store"],
            repository=body["repository"],
            root=_bytes(body, "root"),
            run=body["run"],
            taken_at=body["taken_at"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError("not a manifest header") from error


def encode_entry(entry: ManifestEntry) -> bytes:
    """Return one entry as one line; equal entries give equal bytes."""
    body: dict[str, Any] = {**_name("path", entry.path), "kind": entry.kind, "state": entry.state}
    if entry.stat is not None:
        body.update(_facts(entry.stat))
    if entry.links != 1:
        body["links"] = entry.links
    if entry.sha256 is not None:
        body["sha256"] = entry.sha256
    if entry.target is not None:
        body.update(_name("target", entry.target))
    if entry.dicom is not None:
        body["dicom"] = entry.dicom
    if entry.note is not None:
        body["note"] = entry.note
    body["since"] = entry.since
    return _line(body)


def decode_entry(line: bytes) -> ManifestEntry:
    """Read one entry line.

    Raises:
        ValueError: The line is not a manifest entry.
    """
    try:
        body = json.loads(line)
        stat = None
        if "size" in body:
            stat = FileStat(body["size"], body["mtime_ns"], body["ctime_ns"], body["inode"])
        return ManifestEntry(
            path=_bytes(body, "path"),
            kind=body["kind"],
            state=body["state"],
            stat=stat,
            sha256=body.get("sha256"),
            target=_bytes(body, "target") if ("target" in body or "target_b64" in body) else None,
            links=body.get("links", 1),
            dicom=body.get("dicom"),
            note=body.get("note"),
            since=body["since"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError("not a manifest entry") from error


def good_file_start(path: bytes, stat: FileStat) -> bytes:
    """Return what the line of a good file with these facts begins with.

    Comparing bytes tells an unchanged file sooner than decoding its line.
    """
    body: dict[str, Any] = {**_name("path", path), "kind": "file", "state": "good", **_facts(stat)}
    return _line(body)[:-2] + b","


def good_file_size(line: bytes) -> int | None:
    """Return a good file's length in bytes from its line; None for any other entry.

    No name can be mistaken for the words looked for: its quotation marks are escaped.
    """
    _, found, rest = line.partition(_GOOD_FILE)
    return int(rest[: rest.index(b",")]) if found else None


def encode_totals(totals: ManifestTotals) -> bytes:
    """Return the footer as one line."""
    return _line(
        {
            "totals": {
                "entries": totals.entries,
                "files": totals.files,
                "bytes": totals.bytes,
                "states": dict(sorted(totals.states.items())),
            }
        }
    )


def decode_totals(line: bytes) -> ManifestTotals | None:
    """Return the footer, or None if the line is an entry.

    Raises:
        ValueError: The line is a damaged footer.
    """
    if not line.startswith(b'{"totals":'):
        return None
    try:
        body = json.loads(line)["totals"]
        return ManifestTotals(body["entries"], body["files"], body["bytes"], body["states"])
    except (KeyError, TypeError) as error:
        raise ValueError("not a manifest footer") from error


def _line(body: dict[str, Any]) -> bytes:
    return _to_json(body).encode() + b"\n"


def _facts(stat: FileStat) -> dict[str, int]:
    return {
        "size": stat.size_bytes,
        "mtime_ns": stat.mtime_ns,
        "ctime_ns": stat.ctime_ns,
        "inode": stat.inode,
    }


def _name(key: str, raw: bytes) -> dict[str, str]:
    """Give a name as text where it is UTF-8, else in base64: JSON holds no other bytes."""
    try:
        return {key: raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{key}_b64": base64.b64encode(raw).decode("ascii")}


def _bytes(body: dict[str, Any], key: str) -> bytes:
    if key in body:
        return str(body[key]).encode("utf-8")
    return base64.b64decode(body[f"{key}_b64"], validate=True)
