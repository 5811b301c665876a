"""The HTML page of a drill: whole in itself, safe, and clear in its first line."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from orchestrator.drills.result import Check, DrillResult, RecoveryTime
from orchestrator.reports.drill_html import render_html
from orchestrator.reports.drill_values import Preview, Report
from tests.support import drill_results as drills

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32
HOSTILE = '</title><script>alert("1")</script><img src=x onerror=alert(1)>'
VOID = {"meta", "img", "br"}
KINDS = {
    "verified": drills.verified,
    "damaged": drills.damaged,
    "not run": drills.not_run,
    "crowded": drills.crowded,
    "foreign": drills.foreign,
}


class Page(HTMLParser):
    """A page taken apart; refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.lines: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and not {"style", "title", "head"} & set(self.open):
            self.lines.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(self.lines)


def page(result: DrillResult, **more: object) -> Page:
    return Page(render_html(Report(result, drills.CHICAGO, **more)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("verified", "Verified: this backup can be restored"),
        ("damaged", "Not verified: damage was found"),
        ("not run", "Could not run: nothing was proven"),
    ],
)
def test_the_verdict_stands_in_the_first_line(kind: str, first: str) -> None:
    result = KINDS[kind]()
    shown = page(result)
    assert shown.lines[0] == first
    assert shown.lines[1] == result.reason


def test_not_verified_without_damage_does_not_speak_of_damage() -> None:
    result = replace(drills.verified("all"), verdict="not_verified", exit_code=1)
    result.rto = RecoveryTime(target_s=60, measured_s=431, projected_s=431, met=False)
    shown = page(result)
    assert shown.lines[0] == "Not verified: this backup is not proven"
    assert "damage" not in shown.text.lower()
    assert "missed" in shown.text


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_loaded_from_outside_and_nothing_runs(kind: str) -> None:
    text = render_html(
        Report(
            KINDS[kind](),
            drills.CHICAGO,
            drills.history(60),
            [drills.signature()],
            [Preview(PNG, "CT", 3, "k7h2q9mwd4xb3c5z")],
        )
    )
    shown = Page(text)
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in shown.tags}
    for _tag, attributes in shown.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "href"]
        assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;")
    assert not re.search(r"@import|url\(", text)
    assert set(re.findall(r"https?://[^\"'<> ]*", text)) <= {"http://www.w3.org/2000/svg"}


def test_hostile_names_stay_text() -> None:
    result = replace(
        drills.damaged(),
        site=HOSTILE,
        store=HOSTILE,
        copy=HOSTILE,
        reason=HOSTILE,
        actor_name=HOSTILE,
        actor="it",
        actor_title=HOSTILE,
        medium=HOSTILE,
        sandbox=HOSTILE,
        remarks=[HOSTILE, "`" + HOSTILE + "`"],
        versions={HOSTILE: HOSTILE},
        scope=f"study:{HOSTILE}",
        checks=[Check(HOSTILE, "failed", HOSTILE, advice=HOSTILE)],
    )
    sign = replace(drills.signature(), actor_name=HOSTILE, actor_title=HOSTILE, note=HOSTILE)
    shown = page(result, signs=[sign], previews=[Preview(PNG, HOSTILE, 1, HOSTILE)])
    assert not [tag for tag, _ in shown.tags if tag == "script"]
    assert all("onerror" not in attributes for _, attributes in shown.tags)
    assert shown.text.count(HOSTILE) > 15


@pytest.mark.parametrize("kind", KINDS)
def test_every_chart_is_a_drawing_with_one_mark_per_drill(kind: str) -> None:
    result = KINDS[kind]()
    text = render_html(Report(result, drills.CHICAGO, drills.history(59)))
    charts = re.findall(r"<svg xmlns=.*?</svg>", text)
    assert len(charts) == 2
    for chart in charts:
        root = ET.fromstring(chart)
        inside = [one.tag.rpartition("}")[2] for one in root]
        discs = sum(one == "circle" for one in inside)
        assert discs + inside.count("path") == 60 + 1  # and a ring round the newest


def test_the_trend_ends_with_this_drill_and_holds_no_later_one() -> None:
    result = drills.verified()
    later = replace(drills.history(1)[0], drill="later", started_at=result.ended_at)
    shown = page(result, past=[*drills.history(4), later])
    assert "The last 5 drills of this copy" in shown.text
    assert "22 Nov 2026" in shown.lines
    assert page(result).text.count("This is the first drill recorded for this copy.") == 1


def test_every_check_is_shown_with_a_word_for_its_state() -> None:
    result = drills.damaged()
    shown = page(result)
    for check in result.checks:
        assert check.name in shown.lines
        assert check.detail in shown.text
    assert shown.lines.count("failed") == 2
    assert shown.lines.count("not made") == 1


def squeezed(text: str) -> str:
    """Return a text without spaces and backticks: commands are set in an element of their own."""
    return re.sub(r"[\s`]", "", text)


def test_what_failed_stands_before_the_facts_with_what_to_do() -> None:
    result = drills.damaged()
    shown = page(result)
    before = shown.text[: shown.text.index("What was restored")]
    for check in result.checks:
        if check.state != "passed":
            assert check.advice is not None
            assert squeezed(check.advice) in squeezed(before)
    assert "Age of the backup (RPO)" in before
    assert "What to do" not in page(drills.verified()).text


def test_a_drill_that_could_not_run_says_what_its_cause_advises() -> None:
    result = drills.not_run()
    assert "Take the cause away and run the drill again." in page(result).text
    result.remarks.append("What to do: plug in the medium of copy rotation")
    shown = page(result)
    before = shown.text[: shown.text.index("What was to be restored")]
    assert "What to do: plug in the medium of copy rotation" in before
    assert shown.text.count("plug in the medium") == 1


def test_the_projection_is_shown_with_its_error_bar_and_assumptions() -> None:
    shown = page(drills.verified("3/12"))
    assert "about 1 h 26 min: between 1 h 12 min and 1 h 55 min." in shown.text
    for assumption in drills.verified("3/12").rto.assumptions:
        assert assumption in shown.text
    assert "projected" in shown.text
    assert "projected" not in page(drills.verified("all")).text


def test_what_is_unknown_is_never_called_met() -> None:
    shown = page(drills.not_run())
    assert "met" not in shown.lines
    assert shown.lines.count("unknown") == 4  # the backup, its age, and both objectives
    assert "That was met." not in shown.text


def test_nobody_is_named_as_a_scheduler_and_one_backup_has_no_gap() -> None:
    result = drills.verified()
    result.actor = "system"
    result.rpo = replace(result.rpo, largest_gap_s=None)
    text = page(result).text
    assert "nobody by name: a job, or a command without --as" in text
    assert "It is the only complete backup that is known" in text
    result.rpo = replace(result.rpo, measured_s=40 * 86400.0, met=False)
    assert "No complete backup was made in the last 30 days." in page(result).text


def test_provisions_are_supported_and_compliance_is_not_claimed() -> None:
    text = page(drills.verified()).text
    for provision in ("164.308(a)(7)(ii)(B)", "164.308(a)(7)(ii)(D)", "164.310(d)(2)(iv)"):
        assert f"45 CFR {provision}" in text
    assert "It is not a statement that the practice complies with them." in text
    assert not re.search(r"\b(is|are|fully) compliant\b|HIPAA[- ]compliant|certif", text)


def test_a_drill_that_restored_nothing_is_evidence_of_a_test_only() -> None:
    text = page(drills.not_run()).text
    assert "164.308(a)(7)(ii)(D)" in text
    assert "164.308(a)(7)(ii)(B)" not in text
    assert "164.310(d)(2)(iv)" not in text


def test_recorded_signatures_take_the_place_of_empty_lines() -> None:
    unsigned = page(drills.verified())
    assert "Signature and date" in unsigned.lines
    signed = page(drills.verified(), signs=[drills.signature()])
    assert "Signature and date" not in signed.lines
    assert "Dana Whitfield, DDS" in signed.lines
    assert "Corrective action: replace disk B" in signed.text


def test_pictures_make_the_report_phi_and_it_says_so_at_the_top() -> None:
    plain = page(drills.verified())
    assert "PHI" not in plain.text
    assert "holds no patient names" in plain.text
    shown = page(
        drills.verified(), previews=[Preview(PNG, "CT", 3, "k7h2q9mwd4xb3c5z")], hidden_previews=2
    )
    assert "(PHI)" in " ".join(shown.lines[:3])
    assert "holds no patient names" not in shown.text
    assert "CT, 3 frames · k7h2q9mwd4xb3c5z" in shown.lines
    assert "2 images are not shown" in shown.text


def test_long_lists_are_cut_and_say_so() -> None:
    shown = page(drills.crowded())
    assert "And 22 findings more: see the checks below." in shown.lines
    assert "series count 30" in shown.lines
    assert "And 20 remarks more: see" in shown.text
