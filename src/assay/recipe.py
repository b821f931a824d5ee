"""Check a training recipe before a study trusts it."""

from __future__ import annotations

from assay.study._recipe import check

__all__ = ["check"]
