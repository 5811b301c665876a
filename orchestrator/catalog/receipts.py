"""What the catalog needs to be told of a stored file.

Shapes only: whatever has these attributes fits, so the catalog need not know who stores files.
"""

from __future__ import annotations

import datetime as dt
from typing import Protocol


class FileName(Protocol):
    """A repository file as it is named."""

    @property
    def kind(self) -> str:
        """Its folder."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def size_bytes(self) -> int:
        """Its length."""
        ...


class ListedFile(Protocol):
    """A repository file as a place lists it."""

    @property
    def file(self) -> FileName:
        """What it is."""
        ...

    @property
    def version_id(self) -> str | None:
        """The bucket's version id; None where there are no versions."""
        ...


class StoredReceipt(ListedFile, Protocol):
    """What a place says of a file it has stored."""

    @property
    def retain_until(self) -> dt.datetime | None:
        """Until when the bucket protects it, as read back; None in a directory."""
        ...
