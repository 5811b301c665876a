"""The banner and the sections that every certificate has: verification to signatures. Pure."""

from __future__ import annotations

from typing import Any

from orchestrator.certificates.phrases import (
    BASES,
    METHODS,
    PARTS,
    RESULTS,
    UNKNOWN,
    Block,
    Zone,
    date_of,
    given,
    hash_of,
    maybe_date,
    present,
)

_RECORDS = "record_disposal"
_KEY = "key_destruction"
_ON_ONE_PAGE = 6
_FEW = 12


def banner(kind: str, act: dict[str, Any]) -> dict[str, Any]:
    """Return the verdict in one line, and what it rests on."""
    verification, validation = act["verification"], act["validation"]
    if validation is not None and validation["result"] == "rejected":
        return _banner("bad", "Not accepted", "The organization rejects the outcome.", verification)
    if kind == _KEY and act["method"] is None:
        return _banner("care", *_of_key(verification, act["residual"]), verification)
    if verification["result"] != "verified" and verification["basis"] == "measured":
        headline = "Residual copies remain" if act["residual"] else "Not verified as a whole"
        return _banner("care", headline, "See below what is left and until when.", verification)
    if act["residual"]:
        return _banner(
            "care", "Residual copies remain", "See below what is left and until when.", verification
        )
    accepted = validation is not None
    words = {
        _RECORDS: "Disposed of on every copy",
        "media_sanitization": f"Method: {METHODS[act.get('method')]}",
        "key_destruction": f"Method: {METHODS[act.get('method')]}",
    }[kind]
    text = "Accepted by the organization." if accepted else "Absence was proved on every copy."
    if verification["basis"] == "attested":
        text = "Accepted by the organization, on the word of the persons named below."
    elif any(one["basis"] == "attested" for one in act.get("copies", ()) if kind == _RECORDS):
        text = "Absence was proved or, where marked so below, is attested on every copy."
    unmet = "method" in act and act["method"] is None
    overridden = bool((act.get("vendor") or {}).get("overridden_by"))
    tone = "care" if unmet or overridden else "good"
    return _banner(tone, words, text, verification)


def _of_key(verification: dict[str, Any], residual: list[Any]) -> tuple[str, str]:
    """Return the verdict on a key, which is never good without more: what it encrypted is left."""
    if verification["result"] != "verified":
        return "Not verified as a whole", "A way to the key may be left: see below which."
    if residual:
        return "Key destroyed, encrypted copies remain", "See below where, and until when."
    return "Key destroyed", "Accepted by the organization."


def _banner(tone: str, headline: str, text: str, verification: dict[str, Any]) -> dict[str, Any]:
    return {"tone": tone, "headline": headline, "text": text, "basis": verification["basis"]}


def common(act: dict[str, Any], zone: Zone) -> list[Block]:
    """Return the sections that every kind has: verification to evidence."""
    return [
        _verification(act["verification"], zone),
        *([_validation(act["validation"])] if act["validation"] is not None else []),
        _residual(act),
        {"title": "What this certificate does not claim", "items": act["not_claimed"]},
        *_evidence(act),
    ]


def people(act: dict[str, Any]) -> Block:
    """Return the last section: who took part, with lines to sign on.

    Somebody who had several parts on one day signs once, below all of them.
    """
    parts: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for one in act["persons"]:
        found = parts.setdefault(tuple(_person(one).items()), [])
        if PARTS[one["part"]] not in found:
            found.append(PARTS[one["part"]])
    signing = [{"part": ", ".join(said), **dict(who)} for who, said in parts.items()]
    # On one page, where they fit: nobody signs a page that does not say what for.
    keep = len(signing) <= _ON_ONE_PAGE
    return {"title": "Persons and signatures", "people": signing, "keep": keep}


def _verification(one: dict[str, Any], zone: Zone) -> Block:
    return {
        "title": "Verification: did it complete?",
        "facts": [
            ["Result", RESULTS[one["basis"], one["result"]]],
            ["Basis", BASES[one["basis"]]],
            ["How", one["how"]],
            ["Coverage", one["coverage"] or UNKNOWN],
            ["At", zone.instant(one["at"])],
        ],
        "items": one["findings"],
    }


def _validation(one: dict[str, Any]) -> Block:
    words = {"accepted": "ACCEPTED", "rejected": "REJECTED"}[one["result"]]
    return {
        "title": "Validation: does the organization accept it?",
        "facts": [["Decision", words]],
        "items": one["reasons"],
    }


def _residual(act: dict[str, Any]) -> Block:
    block: Block = {"title": "Residual copies"}
    left = act["residual"]
    if not left:
        return {**block, "text": _none_left(act)}
    rows = [
        [one["where"], one["what"], maybe_date(one["until"]) or "no date is known", one["then"]]
        for one in left
    ]
    head = ["Where", "In which form", "Until", "Then"]
    return {**block, "table": {"head": head, "widths": [2, 4, 2, 4], "rows": rows}}


def _none_left(act: dict[str, Any]) -> str:
    if "medium" not in act:
        return "None is known."
    if act["validation"]["result"] == "rejected":
        return "The outcome was not accepted: the medium counts as still holding its data."
    if any(act["held"].values()):
        return "On other media, by intention: what this one held is kept as named above."
    about = "the media listed" if act["serials"] else "one medium"
    return f"Other media were not looked at: this certificate is about {about}."


def _evidence(act: dict[str, Any]) -> list[Block]:
    rows = [
        [name.replace("_", " "), hash_of(value)] for name, value in sorted(act["evidence"].items())
    ]
    entries = ", ".join(str(index) for index in act["ledger"])
    if not rows and not entries:
        return []
    return [
        {
            "title": "Evidence",
            "facts": [*given("Ledger entries", entries or None), *rows],
            "mono": True,
            "keep": len(rows) <= _FEW,
        }
    ]


def _person(one: dict[str, Any]) -> dict[str, str]:
    return {
        "name": one["name"],
        "title": ", ".join(present((one["title"], one["organization"]))),
        "date": date_of(one["date"]),
        "place": one["place"] or f"place {UNKNOWN}",
        "contact": one["contact"] or f"contact {UNKNOWN}",
    }
