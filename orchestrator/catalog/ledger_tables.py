"""The rows of the catalog about ledgers."""

from __future__ import annotations
