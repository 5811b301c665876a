"""When two images name the same patient, and when an id names nobody. Pure.

Whose id it is, that is the numbering it belongs to, is not judged here.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_RECENT = 4096
"""The images of a study follow each other, and share what they say."""

_NOBODY = re.compile(
    r"[\W_0]*"  # nothing, zeros, signs
    r"|x+"
    r"|(?:no|not|un)[\W_]*(?:id|patient|name|number|known|assigned|identified|given|available)"
    r"|n[\W_]*a|none|null|nil|missing|deleted|removed|redacted|default|demo|sample|temp(?:orary)?"
    r"|(?:test(?:er|ing)?|anon(?:ym|ymous|ymized|ymised|ymize|ymise)?|deid(?:entified)?|dummy"
    r"|unknown)[\W_]*(?:patient|person|user|id)?[\W_\d]*"
)
_PHANTOM = re.compile(
    r"(?:^|[\W_])(?:phantom|qa|qc|quality[\W_]*(?:assurance|control)|calibration|daily[\W_]*check)"
    r"(?:$|[\W_\d])"
)
_SIGNS = re.compile(r"[\W_]+")
_NAME_PREFIX = 3
"""Place of the prefix (Dr, Mr) in a person name; it tells nobody apart.

Source: DICOM PS3.5 section 6.2.1: family, given, middle, prefix, suffix.
"""


def normal(text: str) -> str:
    """Return a text as it is compared: NFKC, without case, blanks at its ends or in rows."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def bare_number(patient_id: str) -> str:
    """Return what is left of an id without blanks, signs and zeros before it."""
    return _SIGNS.sub("", normal(patient_id)).lstrip("0")


@lru_cache(_RECENT)
def is_placeholder(patient_id: str) -> bool:
    """Say whether an id stands for no person: empty, zeros, ``TEST``, ``ANON-17``, ``unknown``."""
    return _NOBODY.fullmatch(normal(patient_id)) is not None


@lru_cache(_RECENT)
def is_phantom(text: str) -> bool:
    """Say whether an id or a name is that of a test object, such as ``QA^PHANTOM``."""
    return _PHANTOM.search(normal(text)) is not None


@lru_cache(_RECENT)
def normal_name(patient_name: str) -> str:
    """Return a person name as it is compared; empty if it names nobody.

    Only the first writing that says something counts, so that a file that also carries the name
    in another script does not seem to be of somebody else.

    Args:
        patient_name: As in the image: ``FAMILY^GIVEN^MIDDLE^PREFIX^SUFFIX``, further writings
            after ``=``.
    """
    for group in normal(patient_name).split("="):
        parts = [part.strip() for part in group.split("^")]
        if len(parts) > _NAME_PREFIX:
            parts[_NAME_PREFIX] = ""
        name = "^".join(parts).rstrip("^")
        if name:
            return name
    return ""
