"""Verify stored results."""

from assay.jobs._store import store

__all__ = ["store"]
