"""The checks of a drill, in words, from what was found.

Decides for each check whether it passed; the verdict is `drills.verdict`'s. No path and no
identifier in any of these words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.actions.drills.pixels import BAD
from orchestrator.drills.result import Check, CheckState, RecoveryPoint
from orchestrator.drills.verdict import RESTORE
from orchestrator.reports import words as written

if TYPE_CHECKING:
    from orchestrator.actions.drills.comparison import Findings
    from orchestrator.actions.drills.expected import Expectation
    from orchestrator.actions.drills.pixels import Pixels

_HEAL = "run `orchestrator check`, heal the copy from another one, then drill again"
_LEAVE = "do not restore from this copy; run `orchestrator check` and look at docs/recovery.md"


def snapshot_age(rpo: RecoveryPoint, copy: str) -> Check:
    """Judge the age of the copy's newest complete snapshot."""
    if rpo.measured_s is None:
        return Check(
            "snapshot age",
            "skipped",
            "the age of the copy's newest complete snapshot cannot be told: it has none, or a "
            "clock is or was wrong",
            advice="look at `orchestrator snapshots` and at this machine's clock",
        )
    words = f"the newest complete snapshot is {written.duration(rpo.measured_s)} old, at most "
    words += f"{written.duration(rpo.target_s)} are allowed"
    if rpo.measured_s <= rpo.target_s:
        return Check("snapshot age", "passed", words)
    return Check(
        "snapshot age",
        "failed",
        words,
        advice=f"see why copy {copy} is behind: `orchestrator status`, `orchestrator job list`",
    )


def stored_files(suspects: int, bad: int) -> Check:
    """Judge names with several versions, and files whose bytes are not what their names say."""
    name = "stored files"
    if bad:
        return Check(
            name,
            "failed",
            f"{bad} files in the copy do not match their names",
            damage=True,
            advice=_HEAL,
        )
    if suspects:
        return Check(
            name,
            "failed",
            f"{suspects} files have more than one version or are hidden: somebody overwrote or "
            "deleted them",
            damage=True,
            advice="find out who; drill as of the time before it with --as-of",
        )
    return Check(name, "passed", "no file in the copy was hidden, overwritten or read wrong")


def manifest(problems: list[str], expectation: Expectation | None) -> Check:
    """Judge the manifest itself."""
    if problems:
        return Check(
            "manifest",
            "failed",
            f"the manifest of backup time cannot be believed: {'; '.join(problems)}",
            damage=True,
            advice=_LEAVE,
        )
    if expectation is None:
        return Check(
            "manifest", "skipped", "the manifest could not be read", advice="see the other checks"
        )
    entries = expectation.whole.entries
    return Check(
        "manifest",
        "passed",
        f"the manifest of backup time is whole: its {entries:,} entries are those it counts",
    )


def restored(message: str | None, *, damage: bool, advice: str | None = None) -> Check:
    """Say whether restic brought back what it was asked for.

    Args:
        message: What went wrong; None for nothing.
        damage: Whether stored bytes are not what they must be.
        advice: What to do; None for what heals a copy, if it is damage.
    """
    if message is None:
        return Check(RESTORE, "passed", "restic restored without an error")
    told = advice or (_HEAL if damage else None)
    return Check(RESTORE, "failed", message, damage=damage, advice=told)


def nothing_held(*, earlier: bool) -> Check:
    """Say that there was no complete snapshot, now or at the earlier time asked for."""
    message = "the copy holds no complete snapshot to restore"
    advice = "bring the copy up to date with `orchestrator backup` or `orchestrator replicate`"
    if earlier:
        message = "the copy held no complete snapshot at that time"
        advice = "see `orchestrator snapshots` for the times there are"
    return restored(message, damage=False, advice=advice)


def compared(expectation: Expectation, found: Findings) -> list[Check]:
    """Return the checks that rest on the comparison with the manifest."""
    checks = [_content(expectation, found), _file_set(expectation, found)]
    if expectation.links:
        checks.append(_links(expectation, found))
    if expectation.dicom_files:
        checks += [_parse(expectation, found), _identity(expectation, found), _counts(found)]
    return checks


def suppressed(listed: int, found: Findings) -> Check:
    """Judge whether disposed studies stayed away.

    Args:
        listed: How many studies are on the suppression list.
        found: What was found.
    """
    if found.risen:
        return Check(
            "suppressed studies",
            "failed",
            f"{found.risen} files of disposed studies came back",
            advice="a disposed study is still in this copy: tell the compliance officer",
        )
    what = f"none of the {listed} disposed studies" if listed else "no study is disposed of: none"
    return Check("suppressed studies", "passed", f"{what} came back")


def pixels(found: Pixels, series: int) -> Check | None:
    """Judge the decoded frames; None where the scope has no images with pixels at all."""
    name = "pixels"
    decoded = found.counts["decoded"]
    bad = sum(found.counts[state] for state in BAD)
    before = len(found.broken_before)
    if found.trouble is not None:
        return Check(name, "skipped", found.trouble, proves_data=True, advice="orchestrator doctor")
    if bad:
        why = "; ".join(f"{reason} ({count})" for reason, count in found.reasons.most_common(3))
        return Check(
            name,
            "failed",
            f"{bad} of {series} series have a frame that cannot be shown: {why}",
            proves_data=True,
            advice="where the content is right, the decoder failed and not the copy: drill again, "
            "then look at the image with another program",
        )
    if decoded:
        words = f"one frame of each of {decoded} series was decoded"
        words += f"; {before} more could not be shown when they were backed up" if before else ""
        return Check(name, "passed", words, proves_data=True)
    return _nothing_decoded(found.counts["unsupported"], before)


def _nothing_decoded(unsupported: int, before: int) -> Check | None:
    """Judge a drill that has shown no image at all; None if there was none to show."""
    if not unsupported and not before:
        return None
    why = []
    if unsupported:
        why.append(f"for {unsupported} series the decoder is not installed here")
    if before:
        why.append(f"{before} series could not be shown when they were backed up")
    return Check(
        "pixels",
        "skipped",
        f"no frame could be decoded: {'; '.join(why)}",
        proves_data=True,
        advice="pip install 'imaging-orchestrator[decoders]'"
        if unsupported
        else "look at the originals in the store, or drill a scope with other images",
    )


def remarks(expectation: Expectation, pixels_found: Pixels | None) -> list[str]:
    """Return what a reader must know beside the checks, the most important first."""
    said = _broken_before(pixels_found.broken_before) if pixels_found is not None else []
    said += [
        f"{count} {'file was' if count == 1 else 'files were'} {_STATE_WORDS[state]} when the "
        "backup was made and could not be compared."
        for state, count in sorted(expectation.not_good.items())
        if state in _STATE_WORDS
    ]
    if not expectation.dicom_files:
        said.append("There are no DICOM files in what was restored: only contents were compared.")
    if pixels_found is not None and pixels_found.counts["unsupported"]:
        said.append(
            f"{pixels_found.counts['unsupported']} series could not be decoded here for want of a "
            "decoder; their contents are as they were backed up."
        )
    if expectation.left_out:
        said.append(f"{len(expectation.left_out)} files of disposed studies were left out.")
    return said


def _broken_before(studies: list[str]) -> list[str]:
    if not studies:
        return []
    count, named = len(studies), sorted({one for one in studies if one})
    holds = "1 series holds" if count == 1 else f"{count} series hold"
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    where = f" (study {', '.join(named[:_NAMED])}{more})" if named else ""
    return [
        f"{holds} an image that cannot be shown and could not be when it was backed up: its bytes "
        f"are exactly those of backup time. Look at the original{where}."
    ]


_NAMED = 5
"""So many studies are named in a remark."""

_STATE_WORDS = {"changed": "changing", "unreadable": "unreadable"}


def _check(name: str, bad: int, good: str, wrong: str, *, damage: bool = True) -> Check:
    state: CheckState = "failed" if bad else "passed"
    return Check(
        name,
        state,
        wrong if bad else good,
        proves_data=name in ("content", "dicom", "identity"),
        damage=bool(bad) and damage,
        advice=_LEAVE if bad else None,
    )


def _content(expectation: Expectation, found: Findings) -> Check:
    total = expectation.files
    if not total:
        return Check("content", "skipped", "there is no file to compare", proves_data=True)
    if found.unread and not found.wrong_content:
        return Check(
            "content",
            "failed",
            f"{found.unread} of {total} restored files cannot be read from the drill's own disk",
            proves_data=True,
            advice="check the disk that drills restore to, then drill again",
        )
    return _check(
        "content",
        found.wrong_content + found.missing,
        f"size and SHA-256 of all {total} files are those of backup time",
        f"{found.wrong_content} of {total} files differ from what was backed up"
        + (f", {found.missing} are missing" if found.missing else ""),
    )


def _file_set(expectation: Expectation, found: Findings) -> Check:
    return _check(
        "file set",
        found.missing + found.extra,
        f"all {expectation.files + expectation.links} files are there, and nothing else",
        f"{found.missing} files are missing and {found.extra} are there that were not backed up",
    )


def _links(expectation: Expectation, found: Findings) -> Check:
    return _check(
        "links",
        found.wrong_links,
        f"{found.links} of {expectation.links} symbolic links point where they did",
        f"{found.wrong_links} of {expectation.links} symbolic links point elsewhere",
    )


def _parse(expectation: Expectation, found: Findings) -> Check:
    total = expectation.dicom_files
    return _check(
        "dicom",
        found.unparsed,
        f"the headers of all {total} DICOM files can be read",
        f"the headers of {found.unparsed} of {total} DICOM files cannot be read",
    )


def _identity(expectation: Expectation, found: Findings) -> Check:
    total = expectation.dicom_files
    return _check(
        "identity",
        found.wrong_identity,
        f"study, series, instance and patient of {total} DICOM files are those of backup time",
        f"{found.wrong_identity} of {total} DICOM files say another study, series, instance or "
        "patient than at backup time",
    )


def _counts(found: Findings) -> Check:
    off = sum(1 for difference in found.series.values() if difference)
    return _check(
        "counts",
        off,
        "each study and series has as many files as at backup time",
        f"{off} series have more or fewer files than at backup time",
    )
