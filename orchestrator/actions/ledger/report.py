"""The ledger of a period on paper: what happened, how often, what did not happen, who vouches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.actions.ledger.listing import Listed, Wanted, select, span
from orchestrator.actions.ledger.vouchers import new_file
from orchestrator.actions.site import Site
from orchestrator.catalog import anchors

if TYPE_CHECKING:
    from orchestrator.reports.ledger import LedgerSummary

ROUTINE = frozenset({"backup.day", "check.done", "drill.done", "medium.overdue", "probe.done"})
"""What is counted rather than listed; each stands in the ledger one by one."""

ALWAYS_WRONG = frozenset(
    {
        "certificate.revoked",
        "clock.jump",
        "key.unexpected",
        "ledger.incident",
        "medium.overdue",
        "missed",
    }
)
"""What never happens where all goes well."""

MOST_LISTED = 2000
"""A summary of more pages is none: the export has the rest, and the summary says so."""


def write_report(site: Site, to: Path, *, first: str | None, last: str | None) -> int:
    """Write the summary of a period; returns how many entries it covers.

    Raises:
        UsageError: The period is none, or the file exists.
        DamageError: The ledger cannot be read.
        EngineError: It cannot be typeset.
    """
    from orchestrator.reports.ledger import render_pdf

    summary = summarize(site, first=first, last=last)
    is_a4 = site.config.certificates.paper == "a4"
    new_file(to, render_pdf(summary, paper="a4" if is_a4 else "us-letter"))
    to.chmod(0o600)
    return summary.covered


def summarize(site: Site, *, first: str | None, last: str | None) -> LedgerSummary:
    """Return the summary of a period.

    Raises:
        UsageError: The period is none.
        DamageError: The ledger cannot be read.
    """
    from orchestrator.reports.ledger import LedgerSummary

    zone = site.config.timezone
    since, until = span(zone, first, last)
    reader = site.ledger.reader()
    counts: Counter[str] = Counter()
    listed: list[dict[str, str]] = []
    alarms: list[dict[str, str]] = []
    days: dict[str, Counter[str]] = {}
    covered = wrong = 0
    for one in select(site, reader, Wanted(since=since, until=until)):
        covered += 1
        counts[one.entry.type] += 1
        _count_days(days, one)
        if one.entry.type not in ROUTINE and len(listed) < MOST_LISTED:
            listed.append(_line(site, one))
        if went_wrong(one.entry.type, one.entry.body):
            wrong += 1
            if len(alarms) < MOST_LISTED:
                alarms.append(_line(site, one))
    with site.catalog.reading() as session:
        vouchers = anchors.newest(session, site.ledger.number)
    return LedgerSummary(
        practice=site.config.name,
        origin=reader.checkpoint.origin,
        vkey=site.ledger.verifier.vkey,
        size=reader.checkpoint.size,
        root=reader.checkpoint.root.hex(),
        first=first or "the beginning",
        last=last or f"{site.clock.now().astimezone(zone):%Y-%m-%d}",
        zone=str(zone),
        made_at=site.clock.now(),
        covered=covered,
        counts=sorted(counts.items()),
        stores=[{"store": name, **_in_words(found)} for name, found in sorted(days.items())],
        alarms=alarms,
        alarms_left_out=wrong - len(alarms),
        listed=listed,
        left_out=max(0, covered - len(listed) - sum(counts[kind] for kind in ROUTINE)),
        anchors=[
            {
                "kind": row.kind,
                "target": row.target,
                "size": str(row.size),
                "at": f"{row.at.astimezone(zone):%Y-%m-%d %H:%M}",
            }
            for row in vouchers
        ],
    )


def went_wrong(kind: str, body: Mapping[str, Any]) -> bool:
    """Say whether an entry tells of something that did not happen or did not go well.

    Also of routine work that says so only inside: a check that found damage, a drill without proof.
    What such an entry does not say is not taken for good.
    """
    if kind in ALWAYS_WRONG or kind.endswith((".failed", ".interrupted", ".partial", ".refused")):
        return True
    if kind == "check.done":
        return _damaged(body) != 0
    if kind == "backup.day":
        return not body.get("outcomes", {}).get("succeeded")
    good = {"drill.done": "verified", "probe.done": "held"}.get(kind)
    if good is not None:
        return body.get("verdict") != good
    if kind == "sanitization.run.done":
        return body.get("verification") != "verified"
    return body.get("decision") == "rejected"


def _damaged(body: Mapping[str, Any]) -> int:
    """Return how many files a check found damaged; -1 if it does not say."""
    copies = body.get("copies") or []
    found = [one.get("damaged") for one in copies if isinstance(one, dict)]
    known = [one for one in found if isinstance(one, int)]
    return sum(known) if known and len(known) == len(found) else -1


def _line(site: Site, one: Listed) -> dict[str, str]:
    says = words(one)
    if one.entry.type == "check.done" and (damaged := _damaged(one.entry.body)) > 0:
        says = f"damaged {damaged}; {says}"
    return {
        "index": str(one.index),
        "at": f"{one.entry.at.astimezone(site.config.timezone):%Y-%m-%d %H:%M}",
        "type": one.entry.type,
        "actor": _name(site, one.entry.actor),
        "says": says,
    }


def words(one: Listed) -> str:
    """Return what an entry says, in one line."""
    parts = [f"{name.replace('_', ' ')} {_value(value)}" for name, value in one.entry.body.items()]
    subjects = sum(len(found) for found in one.entry.subjects.values())
    if subjects:
        parts.append(f"about {subjects} undisclosed")
    if one.entry.note:
        parts.append(f"“{one.entry.note}”")
    return "; ".join(part for part in parts if not part.endswith(" –"))


def _value(value: Any) -> str:
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(one)}" for name, one in value.items())
    if isinstance(value, list):
        return f"({len(value)})"
    return str(value)


def _count_days(days: dict[str, Counter[str]], one: Listed) -> None:
    if one.entry.type != "backup.day":
        return
    body = one.entry.body
    found = days.setdefault(str(body.get("store")), Counter())
    outcomes = body.get("outcomes", {})
    well = outcomes.get("succeeded", 0) + outcomes.get("partial", 0)
    found["days"] += 1
    found["whole"] += 1 if outcomes.get("succeeded", 0) else 0
    found["partial"] += 1 if well and not outcomes.get("succeeded", 0) else 0
    found["without"] += 0 if well else 1


def _in_words(found: Counter[str]) -> dict[str, str]:
    return {name: str(found[name]) for name in ("days", "whole", "partial", "without")}


def _name(site: Site, actor: str) -> str:
    known = site.config.actors.get(actor)
    return actor if known is None else known.name
