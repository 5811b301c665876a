"""The sections of each kind of certificate, as blocks for the template. Pure.

A block has a ``title`` and any of: ``facts`` (label, value), ``table`` (head, widths, rows),
``items`` (sentences), ``grid`` (short values), ``people``, ``text``. Unknown is said, not left out.
"""

from __future__ import annotations

from typing import Any

from orchestrator.certificates.phrases import (
    BASES,
    METHODS,
    REACHED,
    STATES,
    UNKNOWN,
    Block,
    Zone,
    date_of,
    given,
    maybe_date,
    maybe_hash,
    size,
)


def of_kind(kind: str, act: dict[str, Any], zone: Zone) -> list[Block]:
    """Return the sections that only this kind has, in reading order."""
    return {
        "record_disposal": _record_disposal,
        "media_sanitization": _media_sanitization,
        "key_destruction": _key_destruction,
    }[kind](act, zone)


def _record_disposal(act: dict[str, Any], zone: Zone) -> list[Block]:
    series = act["series"]
    blocks: list[Block] = [
        {
            "title": "Records",
            "facts": [
                ["Disposal", act["disposal"]],
                ["Record class", series["record_class"]],
                ["Description", series["description"]],
                [
                    "Inclusive dates",
                    f"{date_of(series['dates_from'])} to {date_of(series['dates_to'])}",
                ],
                ["Extent", _extent(series)],
                ["Subjects", f"{len(series['subjects'])} commitments in the attached record"],
            ],
            "text": act["normal_course"],
        },
        {
            "title": "Why they could go",
            "table": {
                "head": ["Schedule", "Rule", "Citation", "May go from"],
                "widths": [3, 3, 4, 2],
                "rows": [
                    [
                        f"{one['schedule']}, version {one['version']}",
                        one["rule"],
                        one["citation"],
                        date_of(one["due"]),
                    ]
                    for one in act["rules"]
                ],
            },
            "facts": [
                [
                    "Holds",
                    f"{act['holds_found']} found, checked {zone.instant(act['holds_checked_at'])}",
                ]
            ],
        },
        {
            "title": "What was done on each copy",
            "table": {
                "head": ["Copy", "Technique", "Basis", "State", "Absence proved"],
                "widths": [3, 5, 2, 2, 3],
                "rows": [_copy(one, zone) for one in act["copies"]],
            },
        },
    ]
    return blocks


def _extent(series: dict[str, Any]) -> str:
    return f"{series['studies']:,} studies, {series['files']:,} files, {size(series['size_bytes'])}"


def _copy(one: dict[str, Any], zone: Zone) -> list[str]:
    media = f", media {', '.join(one['media'])}" if one["media"] else ""
    return [
        f"{one['copy']} ({one['role']}{media})",
        one["technique"],
        one["basis"],
        "attested" if _is_told(one) else STATES[one["state"]],
        zone.instant(one["proved_at"]) if one["proved_at"] else "not proved",
    ]


def _is_told(one: dict[str, Any]) -> bool:
    """Say whether a copy is free by somebody's word: absence was not proved then."""
    return bool(one["basis"] == "attested" and one["state"] == "absent")


def _media_sanitization(act: dict[str, Any], zone: Zone) -> list[Block]:
    medium = act["medium"]
    blocks: list[Block] = [
        {
            "title": "Medium",
            "facts": [
                ["Manufacturer", medium["manufacturer"] or UNKNOWN],
                ["Model", medium["model"] or UNKNOWN],
                ["Serial number", _serial(medium)],
                ["Property number", medium["property_number"] or UNKNOWN],
                ["Media type", medium["media_type"]],
                ["Source (user or computer)", medium["media_source"] or UNKNOWN],
                *given("Size", size(medium["size_bytes"]) if medium["size_bytes"] else None),
                *given("Interface", medium["interface"]),
                ["Confidentiality before", medium["category_before"] or UNKNOWN],
                ["Confidentiality after", medium["category_after"] or UNKNOWN],
                ["Destination", medium["destination"] or UNKNOWN],
            ],
        },
        {
            "title": "Sanitization",
            "facts": [
                ["Method", METHODS[act["method"]]],
                ["Technique", act["technique"]],
                ["Basis", BASES[act["basis"]]],
                ["Tools", _tools(act["tools"])],
                ["Begun", zone.instant(act["started_at"])],
                ["Ended", zone.instant(act["ended_at"])],
                ["Sanitization", act["sanitization"]],
            ],
            "items": act["method_reasons"],
            "lead": "The method was computed from technique, medium and evidence:",
        },
    ]
    if act["hidden_areas"]:
        blocks.append(
            {
                "title": "Areas that ordinary writing does not reach",
                "table": {
                    "head": ["Area", "Outcome", "How that is known"],
                    "widths": [3, 2, 5],
                    "rows": [
                        [one["area"], REACHED[one["reached"]], one["detail"] or UNKNOWN]
                        for one in act["hidden_areas"]
                    ],
                },
            }
        )
    blocks += _held(act["held"])
    if act["vendor"] is not None:
        blocks.append(_vendor(act["vendor"], act["ended_at"]))
    if act["serials"]:
        blocks.append({"title": f"Serial numbers ({len(act['serials'])})", "grid": act["serials"]})
    return blocks


def _serial(medium: dict[str, Any]) -> str:
    if medium["serial"] is None:
        return UNKNOWN
    source = medium["serial_source"]
    return f"{medium['serial']} ({source})" if source else str(medium["serial"])


def _tools(tools: list[dict[str, Any]]) -> str:
    return "; ".join(f"{one['name']} {one['version']}" for one in tools) or UNKNOWN


def _held(held: dict[str, Any]) -> list[Block]:
    if not any(held.values()):
        return []
    return [
        {
            "title": "What the medium held",
            "facts": [
                ["Repositories", ", ".join(held["repositories"]) or "none"],
                ["Snapshots", f"{len(held['snapshots'])}, listed in the attached record"],
                ["Keys", ", ".join(held["keys"]) or "none"],
                ["The same is kept on", "; ".join(held["elsewhere"]) or UNKNOWN],
            ],
            "keep": True,
        }
    ]


def _agreement(expires: str | None, at: str) -> str:
    if expires is None:
        return "NONE ON FILE"
    over = "EXPIRED on" if expires < at[: len(expires)] else "on file, until"
    return f"{over} {date_of(expires)}"


def _vendor(vendor: dict[str, Any], at: str) -> Block:
    expires = vendor["agreement_expires"]
    facts = [
        ["Company", vendor["name"]],
        ["Business associate agreement", _agreement(expires, at)],
        ["Certification, as stated", vendor["certification"] or UNKNOWN],
        *given("Certification until", maybe_date(vendor["certification_expires"])),
        *given("Vendor's certificate", maybe_hash(vendor["certificate_sha256"])),
    ]
    block: Block = {"title": "Vendor", "facts": facts}
    if vendor["overridden_by"]:
        block["lead"] = "The agreement was missing or had expired. It was overridden by:"
        block["items"] = [
            f"{one['name']}, {one['title']}, {date_of(one['date'])}"
            for one in vendor["overridden_by"]
        ]
    return block


def _key_destruction(act: dict[str, Any], zone: Zone) -> list[Block]:
    return [
        {
            "title": "Key",
            "facts": [
                ["Key", act["key"]],
                ["Kept by", act["provider"]],
                ["Module", act["module"] or "none stated"],
                ["Destroyed", f"{zone.instant(act['destroyed_at'])}, {act['how']}"],
                ["Provider's reference", act["reference"] or UNKNOWN],
                [
                    "Confirmed",
                    "NOT confirmed"
                    if act["confirmed_at"] is None
                    else zone.instant(act["confirmed_at"]),
                ],
                ["Technique", act["technique"]],
                ["Method", METHODS[act["method"]]],
            ],
            "items": act["method_reasons"],
            "lead": "Why:",
        },
        {
            "title": "What depended on the key",
            "facts": [["Records", act["cohort"]]],
            "items": act["copies"],
            "lead": "Copies that remain as ciphertext:",
        },
        {"title": "Encryption", "items": act["algorithms"]},
        {
            "title": "Preconditions",
            "table": {
                "head": ["Precondition", "Answer", "Shown by"],
                "widths": [5, 1, 4],
                "rows": [
                    [one["statement"], one["answer"], one["shown_by"] or UNKNOWN]
                    for one in act["preconditions"]
                ],
            },
        },
        {"title": "Attempts to open copies afterwards", "items": act["negative_tests"]},
        {"title": "Escrow and backups of the key", "items": act["escrow"]},
    ]
