"""Every single byte of an export of 1,000 entries, changed: the standalone verifier sees it."""

from __future__ import annotations

import pytest

from orchestrator.ledger.standalone import verify_ledger
from orchestrator.ledger.standalone.verify_ledger import Examination, Key
from tests.support.ledger import VERIFIER, MemoryFiles
from tests.unit.ledger.test_flips import SIZE, WHOLE, flipped

REAL_TAKE, REAL_PARENTS = Examination.take_bundle, verify_ledger.parents
TAKEN: dict[bytes, list[bytes]] = {}
UNCHANGED = frozenset(WHOLE.values())
PARENTS: dict[bytes, list[bytes]] = {}


@pytest.fixture(autouse=True)
def _computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the same bytes come to is computed once; what names certificates is taken each time."""

    def take(self: Examination, start: int, width: int) -> list[bytes] | None:
        data = self.read(verify_ledger.tile_name("entries", start // 256, width))
        if data not in UNCHANGED or b"sha256:" in data or self.leaves:
            return REAL_TAKE(self, start, width)
        if data not in TAKEN:
            leaves = REAL_TAKE(self, start, width)
            if leaves is None:
                return None
            TAKEN[data] = leaves
        return list(TAKEN[data])

    def parents(hashes: list[bytes]) -> list[bytes]:
        key = b"".join(hashes)
        if key not in PARENTS:
            PARENTS[key] = REAL_PARENTS(hashes)
        return list(PARENTS[key])

    monkeypatch.setattr(Examination, "take_bundle", take)
    monkeypatch.setattr(verify_ledger, "parents", parents)


def examined(files: dict[str, bytes], most: int = 1) -> Examination:
    examination = Examination(MemoryFiles(files), Key(VERIFIER.vkey), most)  # type: ignore[arg-type]
    examination.run()
    return examination


def test_the_unchanged_export_is_whole() -> None:
    found = examined(WHOLE, most=100)
    assert (found.problems, found.size) == ([], SIZE)
    assert found.counts["earlier checkpoints"] == 2
    assert found.counts["certificates and evidence"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(WHOLE))
def test_every_flipped_byte_is_seen(path: str) -> None:
    data = WHOLE[path]
    assert data
    unseen = [
        at for at in range(len(data)) if not examined({**WHOLE, path: flipped(data, at)}).problems
    ]
    print(f"{path}: {len(data)} bytes flipped one by one, {len(unseen)} unseen")
    assert unseen == []
