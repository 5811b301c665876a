"""The merge of a store with its last manifest: what is read, taken over, gone or amended."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.actions import amending, survey
from orchestrator.manifest import FileStat, ManifestEntry, decode_entry, encode_entry, tree_key
from orchestrator.stores.interface import Listed, ReadResult


class Lines(list[bytes]):
    def write(self, data: bytes) -> None:
        self.append(data)


def stat(size: int = 10, tick: int = 1) -> FileStat:
    return FileStat(size, tick, tick, 7)


def listed(path: bytes, **facts: int) -> Listed:
    return Listed(path, "file", stat(**facts))


def good(path: bytes, **facts: int) -> ManifestEntry:
    return ManifestEntry(path, "file", "good", stat(**facts), sha256="00" * 32, since="r0")


def run_plan(now: list[Listed], before: list[ManifestEntry]) -> tuple[survey.Survey, Lines, Lines]:
    out, gone = Lines(), Lines()
    found = survey.plan(now, map(encode_entry, before), run="r1", out=out, gone=gone)
    return found, out, gone


def test_unchanged_files_are_taken_over_byte_for_byte() -> None:
    found, out, gone = run_plan([listed(b"a"), listed(b"b")], [good(b"a"), good(b"b")])
    assert out == [b"=" + encode_entry(good(b"a")), b"=" + encode_entry(good(b"b"))]
    assert (found.new, found.changed, found.gone, found.files) == (0, 0, 0, 2)
    assert not gone


def test_any_differing_fact_makes_a_file_be_read_again() -> None:
    for now in (stat(size=11), stat(tick=2), FileStat(10, 1, 2, 7), FileStat(10, 1, 1, 8)):
        found, out, _ = run_plan([Listed(b"a", "file", now)], [good(b"a")])
        assert found.changed == 1
        assert out[0][:1] == survey.CHANGED


def test_a_file_that_was_not_good_is_read_again_even_if_its_facts_are_the_same() -> None:
    before = ManifestEntry(b"a", "file", "changed", stat(), sha256="00" * 32, since="r0")
    found, out, _ = run_plan([listed(b"a")], [before])
    assert found.changed == 1
    assert list(survey.wanted(out)) == [listed(b"a")]


def test_unreadable_entries_are_recorded_without_being_read() -> None:
    problem = Listed(b"a", "other", None, problem="permission denied")
    _, out, _ = run_plan([problem], [])
    assert list(survey.wanted(out)) == []
    assert decode_entry(out[0][1:]).state == "unreadable"


names = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=3).map(b"/".join)


@given(now=st.sets(names), before=st.sets(names))
def test_merge_pairs_every_path_exactly_once(now: set[bytes], before: set[bytes]) -> None:
    found, out, gone = run_plan(
        [listed(p) for p in sorted(now, key=tree_key)],
        [good(p) for p in sorted(before, key=tree_key)],
    )
    kept = [decode_entry(line[1:]).path for line in out]
    assert kept == sorted(now, key=tree_key)
    assert {decode_entry(line).path for line in gone} == before - now
    assert found.new == len(now - before)
    assert found.gone == len(before - now)
    assert found.before == len(before)


def test_manifest_holds_what_reading_gave_in_the_order_of_the_plan() -> None:
    _, out, _ = run_plan([listed(b"a"), listed(b"b"), listed(b"c")], [good(b"b")])
    results = [
        ReadResult(listed(b"a"), stat(), "11" * 32, {"modality": "CT"}),
        ReadResult(listed(b"c"), None, None, None, problem="vanished"),
    ]
    read = [encode_entry(survey.entry_of_result(r, "r1")) for r in results]
    manifest, delta = Lines(), Lines()
    problems: list[ManifestEntry] = []
    totals = survey.finish(out, read, out=manifest, delta=delta, on_problem=problems.append)
    entries = [decode_entry(line) for line in manifest]
    assert [e.path for e in entries] == [b"a", b"b", b"c"]
    assert [e.state for e in entries] == ["good", "good", "vanished"]
    assert [decode_entry(line).path for line in delta] == [b"a", b"c"]
    assert [e.path for e in problems] == [b"c"]
    assert totals.entries == 3
    assert totals.files == 2


def test_what_moved_during_the_backup_is_amended() -> None:
    manifest = [encode_entry(good(p)) for p in (b"a", b"b", b"c")]
    after = [listed(b"a"), listed(b"b", tick=9), listed(b"d")]
    amended = list(amending.amendments(after, manifest, "r1"))
    assert [(e.path, e.note) for e in amended] == [
        (b"b", "changed during the backup"),
        (b"c", "disappeared during the backup"),
        (b"d", "arrived during the backup"),
    ]
    out, delta = Lines(), Lines()
    totals = amending.amend(manifest, amended, out=out, delta=delta)
    assert [(decode_entry(li).path, decode_entry(li).state) for li in out] == [
        (b"a", "good"),
        (b"b", "changed"),
        (b"c", "changed"),
        (b"d", "changed"),
    ]
    assert totals.states == {"good": 1, "changed": 3}
    assert len(delta) == 3


@given(before=st.sets(names, min_size=1), after=st.sets(names))
def test_amending_keeps_order_and_names_every_entry_once(
    before: set[bytes], after: set[bytes]
) -> None:
    manifest = [encode_entry(good(p)) for p in sorted(before, key=tree_key)]
    now = [listed(p) for p in sorted(after, key=tree_key)]
    out = Lines()
    amending.amend(manifest, amending.amendments(now, manifest, "r1"), out=out, delta=Lines())
    paths = [decode_entry(line).path for line in out]
    assert paths == sorted(before | after, key=tree_key)
