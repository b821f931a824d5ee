"""Check what is stored."""

from assay.jobs._store import store

__all__ = ["store"]
