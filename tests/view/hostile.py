"""A name that is markup, a script and a template at once."""

from __future__ import annotations

NASTY = "<script>alert('x')</script>\"&{{7*7}}"
