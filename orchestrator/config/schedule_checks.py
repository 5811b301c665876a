"""What spans several keys of a retention schedule.

Works on the tables as TOML gave them and leaves wrong types to the models, so that one fault
never hides another.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from typing import Any

from orchestrator.config.faults import Faults, dotted
from orchestrator.retention.schedule import PERMANENT_CLASSES

_NEEDS: dict[str, str] = {
    "until_age": "age",
    "no_disposal_before_age": "age",
    "majority_plus": "plus",
}
_MAY_HAVE: dict[str, tuple[str, ...]] = {
    "until_age": ("tested", "majority"),
    "majority_plus": ("tested", "majority"),
    "no_disposal_before_age": ("tested",),
    "none_stated": ("tested", "majority"),
    "not_applicable": (),
}
_REVIEW = ("reviewer", "reviewed_on", "review_by")


def check_schedule(raw: dict[str, Any], faults: Faults) -> None:
    """Find what does not fit together in a schedule.

    Args:
        raw: The file's top table.
        faults: Takes what is found.
    """
    if raw.get("kind") == "jurisdiction" and "jurisdiction" not in raw:
        faults.add("jurisdiction", "is missing; a schedule of this kind is some jurisdiction's law")
    if raw.get("kind") in ("overlay", "local") and raw.get("jurisdiction") == "US":
        faults.add("jurisdiction", "leave it out: a schedule of this kind then applies everywhere")
    _check_review("", raw, raw, faults)
    rules = list(_tables(raw, "rule"))
    names = Counter(rule["id"] for _number, rule in rules if isinstance(rule.get("id"), str))
    for number, rule in rules:
        key = dotted("rule", number)
        if names.get(rule["id"] if isinstance(rule.get("id"), str) else "", 0) > 1:
            faults.add(f"{key}.id", "is that of another rule of this file")
        _check_rule(key, rule, faults)
        if any(name in rule for name in _REVIEW):
            _check_review(f"{key}.", rule, raw, faults)


def check_ages(raw: dict[str, Any], faults: Faults) -> None:
    """Find what does not fit together in a table of majority ages.

    Args:
        raw: The file's top table.
        faults: Takes what is found.
    """
    seen: set[tuple[str, str]] = set()
    for number, one in _tables(raw, "age"):
        place = (str(one.get("jurisdiction")), str(one.get("since")))
        if place in seen:
            faults.add(dotted("age", number), "stands twice for one jurisdiction and date")
        seen.add(place)


def _tables(raw: dict[str, Any], key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    tables = raw.get(key)
    if isinstance(tables, list):
        yield from ((number, one) for number, one in enumerate(tables) if isinstance(one, dict))


def _check_rule(key: str, rule: dict[str, Any], faults: Faults) -> None:
    about = str(rule.get("record_class"))
    if about in PERMANENT_CLASSES and rule.get("adult") != "indefinite":
        faults.add(f"{key}.adult", 'must be "indefinite": records of this class are never due')
    if rule.get("images") == "own_clock" and about != "xray_image":
        faults.add(f"{key}.images", 'own_clock is for record_class = "xray_image" only')
    if about == "deceased_patient_record" and rule.get("trigger") != "patient_death":
        faults.add(f"{key}.trigger", 'must be "patient_death" for this class')
    if rule.get("confidence") == "low" and "reviewer" in rule:
        faults.add(f"{key}.reviewer", "a rule that somebody vouches for is not of low confidence")
    if isinstance(rule.get("minor"), dict):
        _check_minor(f"{key}.minor", rule["minor"], faults)


def _check_minor(key: str, minor: dict[str, Any], faults: Faults) -> None:
    form = minor.get("form")
    if not isinstance(form, str) or form not in _MAY_HAVE:
        return
    needed = _NEEDS.get(form)
    if needed is not None and needed not in minor:
        faults.add(f"{key}.{needed}", f'is missing; form = "{form}" needs it')
    for name in ("age", "plus", "tested", "majority"):
        if name in minor and name != needed and name not in _MAY_HAVE[form]:
            faults.add(f"{key}.{name}", f'means nothing with form = "{form}"')
    if form == "no_disposal_before_age" and minor.get("tested") == "at_trigger":
        faults.add(f"{key}.tested", 'must be "now": this form is for whoever is younger today')


def _check_review(
    front: str, table: dict[str, Any], defaults: dict[str, Any], faults: Faults
) -> None:
    """Find a reviewer without dates, and dates that cannot be."""
    known = {name: table.get(name, defaults.get(name)) for name in _REVIEW}
    if known["reviewer"] is not None:
        for name in ("reviewed_on", "review_by"):
            if known[name] is None:
                faults.add(f"{front}{name}", "is missing; a reviewer needs it")
    elif known["reviewed_on"] is not None:
        faults.add(f"{front}reviewer", "is missing; a date of review needs one")
    done, due = known["reviewed_on"], known["review_by"]
    if type(done) is dt.date and type(due) is dt.date and due <= done:
        faults.add(f"{front}review_by", "must be after reviewed_on")
