"""The rows of the catalog about drills."""

from __future__ import annotations
