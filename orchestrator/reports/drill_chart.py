"""The trend of drills as a small drawing: values against the target, one mark per drill.

Pure: values in, SVG out, with presentation attributes only, so that browsers and the typesetter
draw the same. Verdicts differ in shape as well as in colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from html import escape

from orchestrator.reports import words

GOOD, BAD, OPEN, INK, FAINT = "#1b7a3d", "#b3261e", "#9a6700", "#1f2933", "#8a94a0"

_WIDTH, _HEIGHT = 420, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 12, 12, 30, 30


@dataclass(frozen=True, slots=True)
class Point:
    """One drill in the trend.

    Attributes:
        at: When it was.
        value_s: What was measured, in seconds; None if nothing was.
        verdict: ``verified``, ``not_verified`` or ``could_not_run``.
    """

    at: datetime
    value_s: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values come to lie in the drawing."""

    first: datetime
    span_s: float
    top_s: float

    def x(self, at: datetime) -> float:
        inner = _WIDTH - _LEFT - _RIGHT - 24
        if self.span_s == 0:
            return _LEFT + 12 + inner
        return _LEFT + 12 + inner * (at - self.first).total_seconds() / self.span_s

    def y(self, value_s: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(1.0, value_s / self.top_s)


def trend(points: Sequence[Point], *, target_s: float, zone: tzinfo, title: str, font: str) -> str:
    """Draw a trend.

    Args:
        points: Oldest first, the newest one being the drill reported on; at least one.
        target_s: What the practice allows, in seconds.
        zone: For the days below.
        title: What is shown.
        font: Font family of the labels.

    Returns:
        An ``<svg>`` element.
    """
    values = [point.value_s for point in points if point.value_s is not None]
    span_s = (points[-1].at - points[0].at).total_seconds()
    frame = _Frame(points[0].at, max(0.0, span_s), max([target_s, *values]) * 1.12 or 1.0)
    base = _HEIGHT - _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        _text(_LEFT, 14, title, font, anchor="start", weight="bold", size=13),
        f'<line x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _RIGHT}" y2="{base}" stroke="{FAINT}"/>',
        *_target(frame, target_s, font),
        *_line(frame, points),
        *(_mark(frame, point, newest=point is points[-1]) for point in points),
        *_days(points, zone, font),
        "</svg>",
    ]
    return "".join(parts)


def _text(
    x: float, y: float, text: str, font: str, *, anchor: str, weight: str = "normal", size: int = 11
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="{escape(font)}" font-size="{size}" '
        f'font-weight="{weight}" fill="{INK}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _target(frame: _Frame, target_s: float, font: str) -> list[str]:
    y = frame.y(target_s)
    dashes = f'stroke="{INK}" stroke-width="1.2" stroke-dasharray="5 4"'
    label = f"- - allowed: {words.duration(target_s)}"
    return [
        f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" {dashes}/>',
        _text(_WIDTH - _RIGHT, 14, label, font, anchor="end"),  # beside the title: no mark is there
    ]


def _line(frame: _Frame, points: Sequence[Point]) -> list[str]:
    measured = [(frame.x(p.at), frame.y(p.value_s)) for p in points if p.value_s is not None]
    if len(measured) < 2:
        return []
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in measured)
    return [f'<polyline points="{path}" fill="none" stroke="{FAINT}" stroke-width="1"/>']


def _mark(frame: _Frame, point: Point, *, newest: bool) -> str:
    x = frame.x(point.at)
    y = frame.y(point.value_s if point.value_s is not None else 0.0)
    ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="{INK}"/>' if newest else ""
    return mark(point.verdict, x, y) + ring


def mark(verdict: str, x: float, y: float) -> str:
    """Return a verdict's mark at a place: a disc, a cross or a triangle."""
    if verdict == "verified":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{GOOD}"/>'
    if verdict == "not_verified":
        return (
            f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" stroke="{BAD}" '
            'stroke-width="2.4" fill="none"/>'
        )
    outline = f'stroke="{OPEN}" stroke-width="1.6" fill="#ffffff"'
    return f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" {outline}/>'


def _days(points: Sequence[Point], zone: tzinfo, font: str) -> list[str]:
    y = _HEIGHT - 12
    last = words.day(points[-1].at, zone)
    labels = [_text(_WIDTH - _RIGHT, y, last, font, anchor="end")]
    first = words.day(points[0].at, zone)
    if first != last:
        labels.append(_text(_LEFT, y, first, font, anchor="start"))
    return labels
