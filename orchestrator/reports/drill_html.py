"""A drill report as one page of HTML: nothing is loaded from outside, no script, good on paper."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from html import escape
from importlib import resources

from orchestrator.reports.drill_chart import BAD, GOOD, OPEN, mark, trend
from orchestrator.reports.drill_contents import contents_of
from orchestrator.reports.drill_values import Contents, Finding, Line, Report, Tile
from orchestrator.reports.drill_words import (
    COVERAGE,
    PROVISIONS_NOTE,
    SIGN_LINES,
    TILE_STATES,
)

_FONT = "Helvetica Neue, Arial, Liberation Sans, sans-serif"
_SIGNS = {
    "verified": '<path d="M11 25l8 8 17-19" stroke-width="6"/>',
    "not_verified": '<path d="M13 13l22 22m0-22l-22 22" stroke-width="6"/>',
    "could_not_run": '<path d="M24 11v16" stroke-width="6"/><path d="M24 35v1" stroke-width="7"/>',
}
_COMMAND = re.compile(r"`([^`]+)`")
_CODE = r"<code>\1</code>"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render_html(report: Report) -> str:
    """Return the report as a self-contained HTML file.

    Args:
        report: What to report.
    """
    said = contents_of(report)
    parts = [
        _head(said),
        _verdict(said),
        f'<div class="tiles">{"".join(_tile(one) for one in said.tiles)}</div>',
        *_findings(said),
        f"<h2>{said.facts_title}</h2>",
        _lines(said.facts, "facts"),
        *_times(report, said),
        *_coverage(said),
        *_checks(said),
        "<h2>What became of the restored files</h2>",
        _p(said.sandbox),
        *_provisions(said),
        f'<div class="small">{_lines(said.small, "")}{_p(said.privacy)}</div>',
        *_signatures(said),
        *_previews(report, said),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _e(text: str) -> str:
    """Escape a text and keep its direction from changing what stands beside it.

    What stands between backticks is a command.
    """
    return f"<bdi>{_COMMAND.sub(_CODE, escape(text))}</bdi>"


def _p(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{_e(text)}</p>' if kind else f"<p>{_e(text)}</p>"


def _head(said: Contents) -> str:
    style = resources.files("orchestrator.reports").joinpath("drill.css").read_text("utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(said.headline)} - {escape(said.subject)}</title>"
        f"<style>{style}</style></head><body>"
    )


def _verdict(said: Contents) -> str:
    sign = (
        '<svg viewBox="0 0 48 48" aria-hidden="true" fill="none" stroke="#ffffff">'
        f'<circle cx="24" cy="24" r="21.5" stroke-width="3"/>{_SIGNS[said.verdict]}</svg>'
    )
    phi = f'<p class="phi">{escape(said.privacy)}</p>' if said.phi else ""
    return (
        f'<div class="verdict {said.verdict}">{sign}<div><h1>{escape(said.headline)}</h1>'
        f"{_p(said.reason)}</div></div>{phi}"
        f'{_p(said.subject, "subject")}<p class="when">{_e(said.site)}<br>{_e(said.when)}</p>'
    )


def _tile(tile: Tile) -> str:
    word = TILE_STATES.get(tile.state, "") if tile.judged else ""
    met = f'<span class="met">{escape(word)}</span> &middot; ' if word else ""
    return (
        f'<div class="tile {tile.state}"><h3>{escape(tile.title)}</h3>'
        f"<b>{escape(tile.value)}</b><p>{met}{escape(tile.note)}</p></div>"
    )


def _findings(said: Contents) -> Iterable[str]:
    if said.verdict == "verified":
        return
    yield "<h2>What to do</h2>"
    yield from (_finding(one) for one in said.findings)
    if said.findings_note:
        yield _p(said.findings_note)


def _finding(one: Finding) -> str:
    return (
        f'<div class="finding {one.state}"><h3>{_e(one.name)} &ndash; {escape(one.state_word)}</h3>'
        f'{_p(one.detail)}<p class="do"><strong>What to do:</strong> {_e(one.advice)}</p></div>'
    )


def _lines(lines: Iterable[Line], kind: str) -> str:
    rows = "".join(f"<tr><th>{_e(one.label)}</th><td>{_e(one.value)}</td></tr>" for one in lines)
    return f'<table class="{kind}">{rows}</table>'


def _times(report: Report, said: Contents) -> Iterable[str]:
    yield "<h2>Time to restore (RTO)</h2>"
    yield from (_p(one) for one in said.rto)
    if said.assumptions:
        items = "".join(f"<li>{_e(one)}</li>" for one in said.assumptions)
        yield f'<p class="soft">The projection takes for granted:</p><ul class="soft">{items}</ul>'
    yield "<h2>Age of the backup (RPO)</h2>"
    yield from (_p(one) for one in said.rpo)
    yield "<h2>Trend</h2>"
    charts = (
        trend(points, target_s=target_s, zone=report.zone, title=title, font=_FONT)
        for points, target_s, title in (
            (said.rto_points, said.rto_target_s, "Time to restore the whole store"),
            (said.rpo_points, said.rpo_target_s, "Age of the newest backup"),
        )
    )
    yield f'<div class="charts">{"".join(charts)}</div>'
    yield f'<p class="legend">{escape(said.trend_note)} {_legend()}</p>'


def _legend() -> str:
    named = (
        ("verified", "verified"),
        ("not_verified", "not verified"),
        ("could_not_run", "not run"),
    )
    return "".join(
        f'<svg class="mark" viewBox="-7 -7 14 14">{mark(verdict, 0, 0)}</svg>{word}'
        for verdict, word in named
    )


def _coverage(said: Contents) -> Iterable[str]:
    yield f"<h2>{COVERAGE}</h2>"
    yield _p(said.coverage_note)
    for one in said.coverage:
        yield (
            f'<div class="bar"><span>{escape(one.label)}</span>'
            f'<div><i style="width:{one.share * 100:.1f}%"></i></div>'
            f"<b>{escape(one.text)}</b></div>"
        )


def _checks(said: Contents) -> Iterable[str]:
    yield "<h2>Checks</h2>"
    rows = "".join(
        f'<tr><td class="s-{one.state}">{_check_mark(one.state)}{escape(one.state_word)}</td>'
        f"<td>{_e(one.name)}</td><td>{_e(one.detail)}</td></tr>"
        for one in said.checks
    )
    yield f'<table class="checks">{rows}</table>' if rows else _p("No check was made.")
    if said.checks_note:
        yield _p(said.checks_note)
    if said.remarks:
        items = "".join(f"<li>{_e(one)}</li>" for one in said.remarks)
        yield f"<h2>Remarks</h2><ul>{items}</ul>"


def _check_mark(state: str) -> str:
    paths = {
        "passed": f'<path d="M2 8l4 4 8-9" stroke="{GOOD}"/>',
        "failed": f'<path d="M3 3l10 10m0-10l-10 10" stroke="{BAD}"/>',
        "skipped": f'<path d="M3 8h10" stroke="{OPEN}"/>',
    }
    return (
        '<svg class="mark" viewBox="0 0 16 16" fill="none" stroke-width="3" aria-hidden="true">'
        f"{paths[state]}</svg>"
    )


def _provisions(said: Contents) -> Iterable[str]:
    yield "<h2>Provisions this report supports</h2>"
    rows = "".join(
        f"<tr><th>{escape(provision)}<br>{escape(subject)}</th><td>{escape(evidence)}</td></tr>"
        for provision, subject, evidence in said.provisions
    )
    yield f'<table class="provisions">{rows}</table>{_p(PROVISIONS_NOTE, "soft")}'


def _signatures(said: Contents) -> Iterable[str]:
    yield "<h2>Review and sign-off</h2>"
    for one in said.signatures:
        yield (
            f'<div class="sign"><p><strong>{_e(one.name)}</strong>, {_e(one.title)}, '
            f'{_e(one.at)}</p><p class="note">{_e(one.note)}</p></div>'
        )
    if not said.signatures:
        yield _p("Reviewed by management, with the corrective action to be taken:")
        lines = "".join(f'<div class="wide">{escape(one)}</div>' for one in SIGN_LINES[0])
        lines += "".join(f"<div>{escape(one)}</div>" for one in SIGN_LINES[1])
        yield f'<div class="lines">{lines}</div>'


def _previews(report: Report, said: Contents) -> Iterable[str]:
    if said.previews_note or said.captions:
        yield '<h2 class="images">Restored images</h2>'
    if said.captions:
        yield f'<p class="phi">{escape(said.privacy)}</p>'
        yield '<div class="sheet">'
        for preview, caption in zip(report.previews, said.captions, strict=True):
            data = base64.b64encode(preview.png).decode()
            yield (
                f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
                f"<figcaption>{_e(caption)}</figcaption></figure>"
            )
        yield "</div>"
    if said.previews_note:
        yield _p(said.previews_note)
