"""The rows of the catalog about certificates."""

from __future__ import annotations
