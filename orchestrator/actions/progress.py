"""What a run tells the person who watches it. Words and counts only, never a path."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives what happens; must be cheap and must not raise."""

    def step(self, text: str) -> None:
        """A step begins."""
        ...

    def advance(self, text: str, done: int, total: int | None) -> None:
        """Something counted moved on; `total` is None when it is not known."""
        ...


class Silent:
    """Tells nobody."""

    def step(self, text: str) -> None:
        """Do nothing."""

    def advance(self, text: str, done: int, total: int | None) -> None:
        """Do nothing."""
