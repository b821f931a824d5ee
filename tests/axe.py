"""axe-core in a page: what it finds serious; from axe-playwright-python, where that is installed."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

_RUN = """async (source) => { (0, eval)(source);
  const found = await axe.run(document, {resultTypes: ['violations']});
  return found.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html.slice(0, 200))]); }"""
GRAVE = ("serious", "critical")


@cache
def _source() -> str | None:
    """Return axe's script: that of ASSAY_AXE, else of the package."""
    named, spec = os.environ.get("ASSAY_AXE"), find_spec("axe_playwright_python")
    place = (
        Path(named) if named else Path(spec.origin).parent / "axe.min.js" if spec and spec.origin else None
    )
    return place.read_text(encoding="utf-8") if place is not None and place.is_file() else None


def grave(page: Any) -> list[Any]:
    """Return what axe finds serious or critical in a page whose context bypasses its CSP."""
    source = _source()
    if source is None:
        pytest.skip("axe is absent: pip install axe-playwright-python, or set ASSAY_AXE to axe.min.js")
    return [row for row in page.evaluate(_RUN, source) if row[1] in GRAVE]
