"""The rows of the catalog about sanitizations."""

from __future__ import annotations
