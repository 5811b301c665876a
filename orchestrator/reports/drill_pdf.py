"""A drill report as PDF, to be filed: typeset from the same contents as the HTML page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from orchestrator.reports.drill_chart import mark, trend
from orchestrator.reports.drill_contents import contents_of
from orchestrator.reports.drill_values import Contents, Report
from orchestrator.reports.drill_words import (
    COVERAGE,
    PROVISIONS_NOTE,
    SIGN_LINES,
    TILE_STATES,
    VERDICTS,
)
from orchestrator.typeset import compile_pdf

Paper = Literal["us-letter", "a4"]

_FONT = "Libertinus Serif"


def render_pdf(report: Report, *, paper: Paper = "us-letter") -> bytes:
    """Return the report as PDF/A-3b; the same report gives the same bytes.

    Args:
        report: What to report.
        paper: The paper it is printed on.

    Raises:
        EngineError: It cannot be typeset.
    """
    said = contents_of(report)
    result = report.result
    return compile_pdf(
        "orchestrator.reports",
        "drill.typ",
        _data(said, result.drill, paper),
        at=result.ended_at or result.started_at,
        files=_files(report, said),
    )


def _data(said: Contents, drill: str, paper: Paper) -> dict[str, Any]:
    data = asdict(said)
    for name in ("rto_points", "rpo_points", "rto_target_s", "rpo_target_s"):
        del data[name]  # drawn already
    for tile in data["tiles"]:
        tile["word"] = TILE_STATES[tile["state"]] if tile["judged"] else ""
    return data | {
        "drill": drill,
        "paper": paper,
        "legend": list(VERDICTS.values()),
        "coverage_title": COVERAGE,
        "provisions_note": PROVISIONS_NOTE,
        "sign_lines": [list(lines) for lines in SIGN_LINES],
    }


def _files(report: Report, said: Contents) -> dict[str, bytes]:
    files = {
        f"{name}.svg": trend(points, target_s=target_s, zone=report.zone, title=title, font=_FONT)
        for name, points, target_s, title in (
            ("rto", said.rto_points, said.rto_target_s, "Time to restore the whole store"),
            ("rpo", said.rpo_points, said.rpo_target_s, "Age of the newest backup"),
        )
    }
    for index, verdict in enumerate(VERDICTS):
        drawn = mark(verdict, 0, 0)
        files[f"mark{index}.svg"] = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-7 -7 14 14">{drawn}</svg>'
        )
    pictures = {f"preview{index}.png": one.png for index, one in enumerate(report.previews)}
    return {name: text.encode() for name, text in files.items()} | pictures
