"""Keeping patients out of the ledger's notes.

A ledger cannot forget, so a note that names somebody the catalog knows is refused, and so is
whatever looks like an identifier: a UID, a path, an image file's name. What is not in the catalog
cannot be recognised; the documentation says so.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from orchestrator.catalog import identities
from orchestrator.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from orchestrator.actions.site import Site

LONGEST = 200
"""Characters."""

SHORTEST_NAME = 2
"""A family name of one letter is an initial, and would refuse every note."""

SHORTEST_INSIDE = 5
"""So many characters of an id must stand in a note without its blanks and signs to count."""

_UID = re.compile(r"(?:[0-9]+\.){3,}[0-9]+")
_PATH = re.compile(r"(?:^|[\s\"'(=:])(?:[A-Za-z]:)?[\\/][^\s]|[\w.-]+[\\/][\w.-]+[\\/]|\\")
_FILE = re.compile(r"\w\.(?:dcm|dicom|ima|jpe?g|png|tiff?|bmp|pdf|zip|nii|nrrd|stl|ply)\b", re.I)
_WORD = re.compile(r"[^\W_]+")


def demand_clean(site: Site, note: str) -> None:
    """Refuse a note that the ledger must not take.

    Raises:
        UsageError: It is longer than 200 characters.
        RefusedError: It holds an identifier, or what looks like one. Which one is not said: the
            message may be logged.
    """
    if len(note) > LONGEST:
        raise UsageError(f"the note has {len(note)} characters; the ledger takes {LONGEST}")
    demand_nobody(site, [note])


def demand_nobody(site: Site, texts: Iterable[str]) -> None:
    """Refuse free text of any length that names somebody; as `demand_clean`.

    Raises:
        RefusedError: One holds an identifier, or what looks like one.
    """
    plain = []
    for text in texts:
        for pattern, what in (
            (_UID, "what looks like a UID"),
            (_PATH, "what looks like a path"),
            (_FILE, "the name of an image file"),
        ):
            if pattern.search(text):
                raise _refused(what)
        plain.append(Plain(text))
    if not plain:
        return
    with site.catalog.reading() as session:
        for identity in identities.known(session, site.catalog.keys):
            for one in plain:
                what_is_it = one.finds(identity)
                if what_is_it is not None:
                    raise _refused(what_is_it)


class Plain:
    """A note as it is compared: without case, accents, blanks and signs.

    Args:
        note: The text.
    """

    def __init__(self, note: str) -> None:
        self._words = frozenset(words(note))
        self._whole = "".join(words(note))

    def finds(self, identity: identities.Identity) -> str | None:
        """Return what of an identity stands in the note, in words; None if nothing does."""
        for number in (identity.patient_id, identity.accession_number):
            if self._has_id(number):
                return "the id of a patient or study in the catalog"
        if self._has_name(identity.patient_name):
            return "the name of a patient in the catalog"
        if any(_is_telling(part) and self._has_id(part) for part in identity.path_parts):
            return "the name of a file or folder in the catalog"
        return None

    def _has_id(self, text: str) -> bool:
        squeezed = "".join(words(text))
        if len(squeezed) >= SHORTEST_INSIDE and squeezed in self._whole:
            return True
        return len(squeezed) > 1 and squeezed in self._words

    def _has_name(self, name: str) -> bool:
        """Say whether the family name stands in the note, in any writing DICOM gave it."""
        for group in name.split("="):
            family, separator, _ = group.partition("^")
            parts = [one for one in words(family) if len(one) >= SHORTEST_NAME]
            if not parts:
                continue
            if separator:
                if all(one in self._words for one in parts) or "".join(parts) in self._words:
                    return True
            elif all(one in self._words for one in words(group)):
                return True  # not parted into family and given name
        return False


def _is_telling(part: str) -> bool:
    """Say whether a name may tell who it is about: ``Doe_Jane`` and ``4711``, not ``notes``."""
    return len(list(words(part))) > 1 or any(one.isdigit() for one in part)


def words(text: str) -> Iterator[str]:
    """Yield the words of a text without case and accents."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(one for one in decomposed if not unicodedata.combining(one))
    return (match.group() for match in _WORD.finditer(bare))


def _refused(what: str) -> RefusedError:
    return RefusedError(
        f"the note holds {what}; the ledger can never forget, so nobody is named in it",
        hint="say it without naming anybody; a study is named by --study and its pseudonym",
    )
