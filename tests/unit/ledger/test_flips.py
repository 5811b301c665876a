"""Every single byte of an export of 1,000 entries, changed: our verifier sees each one.

Each change is followed by a whole verification. The only short cuts: it stops at the first problem,
and what the same bytes come to is computed once. The other verifier has its own file, so that the
two can run side by side.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import pytest

from orchestrator.ledger import derive, note, tree
from orchestrator.ledger.files import Files
from orchestrator.ledger.sums import encode
from orchestrator.ledger.tiles import ENTRIES, Place
from orchestrator.ledger.verify import verify_files
from tests.support.ledger import VERIFIER, MemoryFiles, log_files

SIZE = 1000


def export_of_a_thousand() -> dict[str, bytes]:
    """Return the files of an export: a log with two checkpoints, a certificate, sums."""
    certificate = b"{}"
    hashed = hashlib.sha256(certificate).hexdigest()
    named = b'{"evidence":{"record":"sha256:%s"},"type":"certificate.recorded"}' % hashed.encode()
    entries = [b"%d" % number for number in range(SIZE - 1)]
    files = log_files([entries[:300], [*entries[300:], named]])
    files["certificates/2026-0001.json"] = certificate
    files["SHA256SUMS"] = encode({"certificates/2026-0001.json": hashed})
    return files


def flipped(data: bytes, at: int) -> bytes:
    """Return data with one byte changed, each time otherwise; never to what it was."""
    changed = bytearray(data)
    changed[at] ^= 1 + (at * 37) % 255
    return bytes(changed)


@pytest.fixture(autouse=True)
def _computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(note, "_is_valid", functools.cache(note._is_valid))
    monkeypatch.setattr(derive, "derive", derived)
    monkeypatch.setattr(tree, "pyramid", pyramid)


REAL_DERIVE, REAL_PYRAMID = derive.derive, tree.pyramid
DERIVED: dict[tuple[object, ...], derive.Derived] = {}
PYRAMIDS: dict[bytes, list[list[bytes]]] = {}


def derived(files: Files, wanted: derive.Wanted) -> derive.Derived:
    index, width, _ = wanted
    places = (Place(ENTRIES, index, width), Place(0, index, width))
    key = (wanted, *(files.read(place.path) for place in places))
    if key not in DERIVED:
        found = REAL_DERIVE(files, wanted)
        if found.problems:
            return found  # of every changed tile: kept nowhere
        DERIVED[key] = found
    return DERIVED[key]


def pyramid(leaves: Sequence[bytes]) -> list[list[bytes]]:
    key = b"".join(leaves)
    if key not in PYRAMIDS:
        PYRAMIDS[key] = REAL_PYRAMID(leaves)
    return PYRAMIDS[key]


def is_seen(files: dict[str, bytes]) -> bool:
    return bool(verify_files(MemoryFiles(files), [VERIFIER], most=1).problems)


WHOLE = export_of_a_thousand()


def test_the_unchanged_export_is_whole() -> None:
    found = verify_files(MemoryFiles(WHOLE), [VERIFIER])
    assert (found.is_whole, found.size, found.checkpoints) == (True, SIZE, 2)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(WHOLE))
def test_every_flipped_byte_is_seen(path: str) -> None:
    data = WHOLE[path]
    assert data
    unseen = [at for at in range(len(data)) if not is_seen({**WHOLE, path: flipped(data, at)})]
    print(f"{path}: {len(data)} bytes flipped one by one, {len(unseen)} unseen")
    assert unseen == []
