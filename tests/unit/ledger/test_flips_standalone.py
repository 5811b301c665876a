"""Every single byte of an export of 1,000 entries, changed: the standalone verifier sees it."""

from __future__ import annotations

import pytest

from orchestrator.ledger.standalone.verify_ledger import Examination, Key
from tests.support.ledger import VERIFIER, MemoryFiles
from tests.unit.ledger.test_flips import SIZE, WHOLE, flipped


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
    assert unseen == []
