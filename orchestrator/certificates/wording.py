"""What certificates must not say, and what they say they do not claim.

Pure. A certificate never promises that nothing can be recovered, never declares compliance, and
cites no section of a standard that its authors have not read in the standard itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_LAWS = "hipaa|hitech|gdpr|nist|ieee|dod|hhs"
_FORBIDDEN = (
    r"\b(un|ir|non-?)recover(able|ably|ability)\b",
    r"\birretriev",
    r"\bcannot be recovered\b",
    r"\b(impossible|no way) to (recover|restore|retrieve)",
    rf"\b({_LAWS})[^.\n]{{0,24}}\b(complian|certified|conform|approved)",
    rf"\b(compl(iant|ies|iance)|conform\w*|certified) (with|to|by) [^.\n]{{0,24}}\b({_LAWS})",
    r"\b5220\.22",
    r"\b(guarantee|military[- ]grade|100 ?% (destroyed|erased|secure))",
    r"\b(completely|permanently) (erased|destroyed)",
    r"\bsafe[- ]harbou?r\b",
    # A section, table or appendix of the two standards on sanitization.
    r"\b(800-88|2883)[^\n]{0,40}(§|\b(section|clause|table|appendix|annex)\b)",
    r"(§|\b(section|clause|table|appendix|annex)\b)[^\n]{0,40}\b(800-88|2883)",
)
_PATTERNS = tuple(re.compile(one, re.IGNORECASE) for one in _FORBIDDEN)

_COMMON = "That no further copy exists outside the places named on this certificate."
_BY_KIND = {
    "record_disposal": (
        "Clear, Purge or Destroy of any medium: records were removed from places that stay in use.",
        "Anything about copies that people, other systems or other organizations have made.",
    ),
    "media_sanitization": (
        "Anything about data that was copied from this medium before.",
        "Anything about areas of the medium that are shown above as not reached or unknown.",
    ),
    "key_destruction": (
        "That the encrypted data is gone: it remains as ciphertext where and until when shown.",
        "That the key or what it protects was never copied by somebody who could use it.",
        "That the encryption outlasts the whole time for which medical data must stay secret.",
        "That memory of the machines that used the key was overwritten.",
        "Anything about plaintext elsewhere: viewers, exports, restored copies, mail.",
        "A validation of the modules that encrypted the data, unless a module is named above.",
    ),
}
_ATTESTED = "That we observed this: it rests on the word of the persons named."


def forbidden(text: str) -> list[str]:
    """Return the phrases in a text that no certificate may hold."""
    return [found.group(0) for one in _PATTERNS for found in one.finditer(text)]


def forbidden_in(value: Any) -> list[str]:
    """Return such phrases in any string of JSON values."""
    return [phrase for text in texts(value) for phrase in forbidden(text)]


def texts(value: Any) -> Iterator[str]:
    """Yield every string of JSON values, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


def disclaimers(kind: str, basis: str) -> list[str]:
    """Return what a certificate always says it does not claim.

    Args:
        kind: The certificate's kind.
        basis: ``measured`` or ``attested``: what its verification rests on.
    """
    found = [*_BY_KIND[kind], _COMMON]
    if basis == "attested":
        found.append(_ATTESTED)
    return found
