"""Backup, retention and disposal orchestrator for imaging stores."""

__version__ = "0.1.0"
