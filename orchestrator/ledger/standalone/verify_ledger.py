#!/usr/bin/env python3
"""Verifies an exported disposal ledger. One file, Python 3.8 or later, nothing to install.

    python3 verify_ledger.py EXPORT --key KEY [--seen CHECKPOINT]
    python3 verify_ledger.py --proof FILE.tlog-proof --entry FILE --key KEY

EXPORT is the export's ZIP, or the folder it was unpacked into. KEY is the ledger's public key, as
text or as a file that holds it: get it from somewhere else than the export, such as a page printed
when the ledger was opened. Without a key, the one inside is used; that shows that the export
contradicts itself nowhere, not who made it. CHECKPOINT is one that you kept from an earlier
export: the ledger must still contain everything that it had then.

Everything is computed anew from the stored bytes: the hash of each entry, each tile, the tree's
root, the signature of each checkpoint; then the proofs and certificates beside them. Exit code 0:
verified. 1: something is wrong, the lines above say what. 2: it could not be done.

Formats: RFC 6962 section 2.1 (tree), RFC 8032 (signature), C2SP tlog-tiles, tlog-checkpoint,
signed-note and tlog-proof. Shares no code with the program that writes the ledger.
"""

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import json
import os
import re
import sys
import zipfile
import zlib
from typing import IO, Iterator, Sequence, Tuple, Union

LARGEST_FILE = 256 * 65537  # bytes: a full bundle of the largest entries
MOST_PROBLEMS = 100
UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


# --- Ed25519 (RFC 8032 section 5.1): verification only, with tables as the key stays the same ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P

Point = Tuple[int, int, int, int]


def add(a: Point, b: Point) -> Point:
    """Return the sum of two points in extended coordinates."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    i, j, k, m = f - e, h - g, h + g, f + e
    return i * j % P, k * m % P, j * k % P, i * m % P


def point(data: bytes) -> Point | None:
    """Return the point that 32 bytes stand for; None if they stand for none."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


@functools.lru_cache(maxsize=16)
def multiples(data: bytes) -> list[list[Point]] | None:
    """Return tables of d * 16**i times a point, for d below 16 and i below 64."""
    step, tables = point(data), []
    if step is None:
        return None
    for _ in range(64):
        row = [(0, 1, 1, 0)]
        for _ in range(15):
            row.append(add(row[-1], step))
        tables.append(row)
        step = add(row[-1], step)
    return tables


@functools.lru_cache(maxsize=16)
def is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether a signature of 64 bytes is the key's under a message."""
    base = multiples((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    tables = multiples(key)
    s = int.from_bytes(signature[32:], "little")
    if base is None or tables is None or len(signature) != 64 or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    found = (0, 1, 1, 0)
    for i in range(64):
        found = add(found, base[i][s >> 4 * i & 15])
        found = add(found, tables[i][(L - h) >> 4 * i & 15])
    inverse = pow(found[2], P - 2, P)
    x, y = found[0] * inverse % P, found[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# --- Keys, notes, checkpoints ---


class Wrong(Exception):
    """Something is not what it must be; says what."""


class EnoughError(Exception):
    """So much is wrong that the rest does not matter."""


def from_base64(text: str) -> bytes:
    """Return what base64 stands for; only its one form is accepted, else a bit could change."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Wrong("is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Wrong("is not base64 in its one form")
    return data


class Key:
    """A public key as ``name+id+key``."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.name, _, rest = self.text.partition("+")
        number, _, material = rest.partition("+")
        data = from_base64(material)
        if not self.name or len(data) != 33 or data[0] != 1:
            raise Wrong("is not an Ed25519 key")
        self.id = hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4]
        if number != self.id.hex():
            raise Wrong("does not fit its own id")
        self.data = data[1:]

    @property
    def fingerprint(self) -> str:
        """What two people can compare over the telephone."""
        digits = hashlib.sha256(self.data).hexdigest()[:32]
        return " ".join(digits[at : at + 4] for at in range(0, 32, 4))


def parse_checkpoint(data: bytes, key: Key) -> tuple[int, bytes]:
    """Return (size, root) of a checkpoint that the key signed."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Wrong("is not text") from None
    if any(character < " " and character != "\n" for character in text):
        raise Wrong("holds a control character")
    body, separator, signatures = text.rpartition("\n\n")
    lines = body.split("\n")
    if not separator or not signatures.endswith("\n") or len(lines) != 3:
        raise Wrong("is not origin, size, root and signatures")
    if lines[0] != key.name:
        raise Wrong("is of another ledger: %s" % lines[0])
    demand_signature((body + "\n").encode(), signatures[:-1].split("\n"), key)
    root = from_base64(lines[2])
    if re.fullmatch(r"0|[1-9][0-9]{0,15}", lines[1]) is None or len(root) != 32:
        raise Wrong("is not origin, size, root and signatures")
    return int(lines[1]), root


def demand_signature(body: bytes, lines: list[str], key: Key) -> None:
    """Make sure that the key signed, and each time rightly; lines of others are left alone."""
    signed = 0
    for line in lines:
        match = re.fullmatch(r"\u2014 (\S+) ([A-Za-z0-9+/]+=*)", line)
        if match is None:
            raise Wrong("has a malformed signature line")
        value = from_base64(match.group(2))
        if match.group(1) == key.name and value[:4] == key.id:
            if not is_signed(key.data, body, value[4:]):
                raise Wrong("has a wrong signature")
            signed += 1
    if not signed:
        raise Wrong("is not signed with this key")


# --- The tree ---


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two hashes."""
    return hashlib.sha256(b"\1" + left + right).digest()


def parents(hashes: list[bytes]) -> list[bytes]:
    """Return the hashes of each two."""
    sha256, pairs = hashlib.sha256, iter(hashes)
    return [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs)]


class Tree:
    """A tree that grows tile by tile; remembers only its right edge."""

    def __init__(self) -> None:
        self.size = 0
        self.levels: list[
            list[bytes]
        ] = []  # per tile level the hashes of its last tile, while it is not full

    def grow(self, hashes: list[bytes]) -> Iterator[tuple[int, int, list[bytes]]]:
        """Take a full tile of leaves; yield (level, index, hashes) of each tile that is full."""
        level, index = 0, self.size // 256
        self.size += 256
        while True:
            yield level, index, hashes
            if level == len(self.levels):
                self.levels.append([])
            while len(hashes) > 1:
                hashes = parents(hashes)
            self.levels[level].append(hashes[0])
            if len(self.levels[level]) < 256:
                return
            hashes, self.levels[level] = self.levels[level], []
            level, index = level + 1, index // 256

    def root(self, leaves: Sequence[bytes] = ()) -> bytes:
        """Return the root with further leaves, fewer than a full tile, or exactly one."""
        peaks = []
        for hashes in [*reversed(self.levels), list(leaves)]:
            at = 0
            while at < len(hashes):
                width = 1 << (len(hashes) - at).bit_length() - 1
                part = hashes[at : at + width]
                while len(part) > 1:
                    part = parents(part)
                peaks.append(part[0])
                at += width
        if not peaks:
            return hashlib.sha256(b"").digest()
        root = peaks.pop()
        while peaks:
            root = node_hash(peaks.pop(), root)
        return root


def is_included(leaf: bytes, index: int, size: int, root: bytes, proof: list[bytes]) -> bool:
    """Say whether a proof leads from a leaf to a root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    last = size - 1
    for sibling in proof:
        if last == 0 or len(sibling) != 32:
            return False
        if index & 1 or index == last:
            leaf = node_hash(sibling, leaf)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            leaf = node_hash(leaf, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and leaf == root


def parse_proof(data: bytes, key: Key) -> tuple[int, list[bytes], int, bytes]:
    """Return (index, hashes, size, root) of a .tlog-proof; its checkpoint is verified."""
    head, separator, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode().split("\n")
    except UnicodeDecodeError:
        raise Wrong("is not text") from None
    if lines[0] != "c2sp.org/tlog-proof@v1" or not separator:
        raise Wrong("is not a proof")
    del lines[0]
    if lines and lines[0].startswith("extra "):
        del lines[0]
    match = re.fullmatch(r"index (0|[1-9][0-9]{0,15})", lines[0] if lines else "")
    if match is None:
        raise Wrong("names no entry")
    size, root = parse_checkpoint(checkpoint, key)
    return int(match.group(1)), [from_base64(line) for line in lines[1:]], size, root


# --- The export's files ---


class Folder:
    """An export that was unpacked."""

    def __init__(self, path: str) -> None:
        self.path = path

    def names(self) -> Iterator[str]:
        """Yield every file's path, with slashes."""
        for folder, _, names in os.walk(self.path):
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self.path).replace(os.sep, "/")

    def open(self, name: str) -> IO[bytes] | None:
        """Return a stream; None if there is no such file."""
        try:
            return open(os.path.join(self.path, *name.split("/")), "rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None


class Archive:
    """An export as it was handed over: a ZIP, perhaps with one folder around everything."""

    def __init__(self, path: str) -> None:
        self.zip = zipfile.ZipFile(path)
        names = [name for name in self.zip.namelist() if not name.endswith("/")]
        tops = [name for name in names if name == "checkpoint" or name.count("/") == 1]
        tops = [name[: -len("checkpoint")] for name in tops if name.endswith("checkpoint")]
        self.top = min(tops, key=len) if tops else ""
        self.known = {name[len(self.top) :] for name in names if name.startswith(self.top)}
        if len(self.known) < len(names):
            raise Wrong("holds a file twice, or files beside the export")

    def names(self) -> Iterator[str]:
        """Yield every file's path, with slashes."""
        return iter(self.known)

    def open(self, name: str) -> IO[bytes] | None:
        """Return a stream; None if there is no such file."""
        return self.zip.open(self.top + name) if name in self.known else None


Files = Union[Folder, Archive]


# --- The examination ---


def tile_name(level: int | str, index: int, width: int = 256) -> str:
    """Return the path of a tile; level "entries" for the entries themselves."""
    digits = str(index)
    digits = digits.rjust((len(digits) + 2) // 3 * 3, "0")
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = "/".join(["x" + part for part in parts[:-1]] + parts[-1:])
    return "tile/%s/%s%s" % (level, path, "" if width == 256 else ".p/%d" % width)


def split_bundle(data: bytes) -> list[bytes] | None:
    """Return the entries of a bundle; None if it ends in the middle of one."""
    entries, at, end = [], 0, len(data)
    while at < end:
        begin = at + 2
        at = begin + int.from_bytes(data[at:begin], "big")
        entries.append(data[begin:at])
    return entries if at == end else None


class Examination:
    """Looks at everything in an export, in order of the entries."""

    def __init__(self, files: Files, key: Key, most: int = MOST_PROBLEMS) -> None:
        self.files, self.key, self.most = files, key, most
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self.size, self.root = -1, b""
        self.roots: dict[
            int, list[tuple[str, bytes]]
        ] = {}  # size -> [(what says so, root)], to be compared on the way
        self.leaves: dict[
            int, list[tuple[str, int, bytes, list[bytes]]]
        ] = {}  # index -> [(name of the proof, ...)], likewise
        self.papers: dict[str, list[str]] = {}  # hash -> names of certificates, other evidence
        self.counts = {"earlier checkpoints": 0, "proofs": 0, "certificates and evidence": 0}

    def wrong(self, *problem: str) -> None:
        """Note what is wrong."""
        self.problems.append(" ".join(problem))
        if len(self.problems) >= self.most:
            raise EnoughError

    def read(self, name: str, is_needed: bool = True) -> bytes | None:
        """Return a file's bytes; None, and a problem, if there is none."""
        try:
            stream = self.files.open(name)
            if stream is not None:
                with stream:
                    return stream.read(LARGEST_FILE + 1)
        except UNREADABLE as error:
            self.wrong(name, "cannot be read:", str(error))
            return None
        if is_needed:
            self.wrong(name, "is missing")
        return None

    def run(self, seen: Sequence[tuple[str, bytes]] = ()) -> None:
        """Examine everything; what was seen earlier must still be in it."""
        try:
            data = self.read("checkpoint")
            if data is None:
                return
            try:
                self.size, self.root = parse_checkpoint(data, self.key)
            except Wrong as wrong:
                self.wrong("checkpoint", str(wrong))
                return
            self.look_around()
            for name, data in seen:
                self.note_checkpoint(name, data)
            self.climb()
            for name in (name for names in self.papers.values() for name in names):
                self.wrong(name, "is named by no entry of the ledger")
            self.check_sums()
        except EnoughError:
            self.problems.append("there may be more: the examination stopped here")

    def look_around(self) -> None:
        """Sort out which files there are and what each must be compared with."""
        for name in sorted(self.files.names()):
            if name.startswith("checkpoints/."):
                self.remarks.append("%s was left by an interrupted append" % name)
            elif name.startswith("checkpoints/"):
                self.note_checkpoint(name, self.read(name), name[len("checkpoints/") :])
            elif name.endswith(".tlog-proof"):
                self.note_proof(name)
            elif name.startswith(("certificates/", "evidence/")):
                self.papers.setdefault(self.sha256(name) or "", []).append(name)
                self.counts["certificates and evidence"] += 1
            elif name.startswith("tile/"):
                self.note_tile(name)
        data = self.read("keys/log.vkey", is_needed=False)
        if data is not None and data != self.key.text.encode() + b"\n":
            self.wrong("keys/log.vkey is not the key that this is verified with")

    def note_checkpoint(self, name: str, data: bytes | None, size: str | None = None) -> None:
        """Remember the root that a checkpoint claims for its size."""
        try:
            claimed, root = parse_checkpoint(data or b"", self.key)
        except Wrong as wrong:
            self.wrong(name, str(wrong))
            return
        if size is not None and size != str(claimed):
            self.wrong(name, "is the checkpoint of another size")
        elif claimed > self.size:
            self.wrong(name, "is newer: the ledger was put back to an older state")
        else:
            self.roots.setdefault(claimed, []).append((name, root))
            self.counts["earlier checkpoints"] += 1

    def note_proof(self, name: str) -> None:
        """Remember which entry a proof is about, and the root that it leads to."""
        try:
            index, proof, size, root = parse_proof(self.read(name) or b"", self.key)
        except Wrong as wrong:
            self.wrong(name, str(wrong))
            return
        if size > self.size or index >= size:
            self.wrong(name, "is about an entry that the ledger does not have")
        else:
            self.roots.setdefault(size, []).append((name, root))
            self.leaves.setdefault(index, []).append((name, size, root, proof))
            self.counts["proofs"] += 1

    def note_tile(self, name: str) -> None:
        """Compare a partial tile of an earlier size with the later one."""
        match = re.fullmatch(r"tile/(\w+)/((?:x\d{3}/)*\d{3})(?:\.p/(\d{1,3}))?", name)
        level, path, width = match.groups() if match else ("", "", "")
        index = int(re.sub(r"\D", "", path) or 0)
        width = int(width or 256)
        if not re.fullmatch(r"entries|[0-9]|[1-5][0-9]|6[0-3]", level) or name != tile_name(
            level, index, width
        ):
            self.wrong(name, "is no part of a ledger")
            return
        unit = 1 if level == "entries" else 256 ** int(level)
        now = min(256, self.size // unit - index * 256)
        if width > now:
            self.remarks.append("%s lies beyond the checkpoint and counts nothing" % name)
        elif width < now:
            data = self.read(name) or b""
            later = self.read(tile_name(level, index, now)) or b""
            entries = split_bundle(data)
            held = len(data) / 32 if level != "entries" else entries and len(entries)
            if held != width or not later.startswith(data):
                self.wrong(name, "is not how the later file begins")

    def climb(self) -> None:
        """Derive everything from the entries."""
        tree = Tree()
        self.compare_root(tree, [], 0)
        for start in range(0, self.size, 256):
            width = min(256, self.size - start)
            leaves = self.take_bundle(start, width)
            if leaves is None:
                self.wrong("from entry %d on the tree cannot be derived" % start)
                return
            for size in range(start + 1, start + width + 1):
                if size in self.roots or size == self.size:
                    self.compare_root(tree, leaves[: size - start], size)
            if width == 256:
                for level, index, hashes in tree.grow(leaves):
                    self.compare_tile(level, index, hashes)
            else:
                self.compare_tile(0, start // 256, leaves)
        for above, hashes in enumerate(tree.levels):
            if hashes:
                self.compare_tile(above + 1, self.size >> 8 * (above + 2), hashes)

    def take_bundle(self, start: int, width: int) -> list[bytes] | None:
        """Return the leaf hashes of a bundle; None if it is not whole."""
        name = tile_name("entries", start // 256, width)
        data = self.read(name)
        if data is None:
            return None
        entries = split_bundle(data)
        if entries is None or len(entries) != width:
            self.wrong(name, "does not hold %d entries, whole" % width)
            return None
        if self.papers and b'"sha256:' in data:
            for place, entry in enumerate(entries, start):
                self.look_for_papers(place, entry)
        sha256 = hashlib.sha256
        leaves = [sha256(b"\0" + entry).digest() for entry in entries]
        if self.leaves:
            for place in range(start, start + width):
                for name, size, root, proof in self.leaves.get(place, ()):
                    if not is_included(leaves[place - start], place, size, root, proof):
                        self.wrong(name, "does not prove entry %d" % place)
        return leaves

    def look_for_papers(self, place: int, entry: bytes) -> None:
        """Cross off the certificates and evidence that an entry names."""
        named = re.findall(rb'"sha256:([0-9a-f]{64})"', entry)
        if not any(one.decode() in self.papers for one in named):
            return
        try:
            content = json.loads(entry.decode())
            evidence, kind = content.get("evidence", {}), content.get("type")
            hashes = [value[len("sha256:") :] for value in evidence.values()]
        except (ValueError, AttributeError, TypeError):
            self.wrong("entry %d is not a record" % place)
            return
        for one in hashes:
            for name in self.papers.pop(one, ()):
                self.remarks.append("%s: entry %d, %s" % (name, place, kind))

    def compare_root(self, tree: Tree, leaves: list[bytes], size: int) -> None:
        """Compare the root at a size with everything that claims to know it."""
        root = tree.root(leaves)
        for name, claimed in self.roots.get(size, ()):
            if claimed != root:
                self.wrong(name, "does not fit the first %d entries" % size)
        if size == self.size and root != self.root:
            self.wrong("checkpoint: the entries do not lead to its root")

    def compare_tile(self, level: int, index: int, hashes: list[bytes]) -> None:
        """Compare a derived tile with the stored one."""
        name = tile_name(level, index, len(hashes))
        data = self.read(name)
        if data is not None and data != b"".join(hashes):
            at = [data[32 * i : 32 * i + 32] != one for i, one in enumerate(hashes)]
            place = (index * 256 + at.index(True)) * 256**level if True in at else index * 256
            self.wrong(name, "and the entries from %d on do not fit together" % place)

    def sha256(self, name: str) -> str | None:
        """Return a file's hash; None if there is none."""
        found = hashlib.sha256()
        try:
            stream = self.files.open(name)
            if stream is None:
                return None
            with stream:
                for piece in iter(lambda: stream.read(1 << 20), b""):
                    found.update(piece)
        except UNREADABLE:
            return None
        return found.hexdigest()

    def check_sums(self) -> None:
        """Compare the files beside the ledger with SHA256SUMS, if there is one."""
        data = self.read("SHA256SUMS", is_needed=False)
        if data is None:
            return
        listed = {"SHA256SUMS", "checkpoint", "keys/log.vkey", ".lock"}
        lines = data.decode("utf-8", "replace").split("\n")
        if lines.pop() != "":
            self.wrong("SHA256SUMS ends in the middle of a line")
        for line in lines:
            match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
            name = match.group(2) if match else ""
            if not match or not all(part not in ("", ".", "..") for part in name.split("/")):
                self.wrong("SHA256SUMS: a line is malformed")
                continue
            listed.add(name)
            if self.sha256(name) != match.group(1):
                self.wrong(name, "is not what SHA256SUMS says, or missing")
        for name in self.files.names():
            if name not in listed and not name.startswith(("tile/", "checkpoints/")):
                self.wrong(name, "is not listed in SHA256SUMS")


# --- The command ---


def text_or_file(value: str) -> bytes:
    """Return what a file holds, or the value itself."""
    if os.path.exists(value):
        with open(value, "rb") as stream:
            return stream.read(LARGEST_FILE)
    return value.encode()


def lies_within(path: str, folder: str) -> bool:
    """Say whether a file is one of those in a folder, by whatever name."""
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    return os.path.isfile(path) and path.startswith(folder + os.sep)


def verify_export(path: str, key: str | None, seen: list[tuple[str, bytes]]) -> int:
    """Examine an export and say what was found; return the exit code."""
    files = Archive(path) if os.path.isfile(path) else Folder(path)
    trusted = key
    if trusted is None:
        stream = files.open("keys/log.vkey")
        if stream is None:
            print("there is no key inside, and none was given", file=sys.stderr)
            return 2
        with stream:
            trusted = stream.read(LARGEST_FILE).decode("utf-8", "replace")
    found = Examination(files, Key(trusted))
    found.run(seen)
    for problem in found.problems:
        print("WRONG    " + problem)
    for remark in found.remarks[:MOST_PROBLEMS]:
        print("         " + remark)
    print("ledger   " + found.key.name)
    print("key      " + found.key.text)
    print("         fingerprint " + found.key.fingerprint)
    if found.size >= 0:
        print("entries  %d" % found.size)
        print("root     " + found.root.hex())
        print("         as the checkpoint writes it: " + base64.b64encode(found.root).decode())
    print("compared " + ", ".join("%d %s" % (n, what) for what, n in found.counts.items()))
    if found.problems:
        print("NOT VERIFIED: something is wrong, as said above.")
        return 1
    if key is None:
        print("CONSISTENT, BUT NOT VERIFIED: the key came with the export. Whoever made all of it")
        print("could have made the key. Compare the fingerprint with one from elsewhere, and")
        print("run this again with --key.")
        return 0
    print("VERIFIED: these are the entries that the holder of this key signed, all of them up to")
    print("this checkpoint, in this order, unchanged.")
    return 0


def verify_proof(proof: str, entry: str, key: Key) -> int:
    """Verify that one entry is in a ledger; return the exit code."""
    index, hashes, size, root = parse_proof(text_or_file(proof), key)
    with open(entry, "rb") as stream:
        data = stream.read(LARGEST_FILE)
    print("key      %s\n         fingerprint %s" % (key.text, key.fingerprint))
    if not is_included(leaf_hash(data), index, size, root, hashes):
        print("NOT VERIFIED: the proof is not about these bytes.")
        return 1
    print("VERIFIED: these bytes are entry %d of %d of %s." % (index, size, key.name))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description="Verifies an exported disposal ledger.")
    parser.add_argument("export", nargs="?", help="the export: a ZIP or a folder")
    parser.add_argument("--key", help="the ledger's public key, or a file that holds it")
    parser.add_argument("--seen", action="append", default=[], help="an earlier checkpoint")
    parser.add_argument("--proof", help="a .tlog-proof file")
    parser.add_argument("--entry", help="the file of the entry that it proves")
    given = parser.parse_args(arguments)
    try:
        key = None if given.key is None else text_or_file(given.key).decode()
        if given.proof:
            if not given.entry or key is None:
                parser.error("--proof needs --entry and --key")
            return verify_proof(given.proof, given.entry, Key(key))
        if not given.export:
            parser.error("which export?")
        if not os.path.exists(given.export):
            parser.error("there is no %s" % given.export)
        if given.key and os.path.isdir(given.export) and lies_within(given.key, given.export):
            key = None
        seen = [(name, text_or_file(name)) for name in given.seen]
        return verify_export(given.export, key, seen)
    except Wrong as wrong:
        print("WRONG    the key, the proof or the archive: %s" % wrong)
        print("NOT VERIFIED.")
        return 1
    except UNREADABLE as error:
        print("it cannot be read: %s" % error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
