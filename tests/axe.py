"""What a page must let everybody do: axe-core finds nothing serious, and Tab reaches every control."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

_RUN = """async (source) => { (0, eval)(source);
  const found = await axe.run(document, {resultTypes: ['violations'], preload: false});
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


_OPEN = """async () => { const all = [...document.querySelectorAll('details')];
  const shut = all.filter((d) => !d.open).map((d) => new Promise((r) => d.addEventListener('toggle', r)));
  all.forEach((d) => { d.open = true; });
  await Promise.all(shut); }"""


def unfold(page: Any) -> None:
    """Open everything that is folded, and wait for what a page makes only then."""
    page.evaluate(_OPEN)


_START = "() => { document.body.tabIndex = -1; document.body.focus(); window.reached = new Set(); }"
_STOP = """() => { const e = document.activeElement, style = getComputedStyle(e);
  if (e === document.body || window.reached.has(e)) return null;
  window.reached.add(e);
  const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
  return seen ? '' : `no visible focus: ${e.outerHTML.slice(0, 120)}`; }"""
_LEFT = """() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary')].filter(
  (e) => e.getClientRects().length && e.checkVisibility({checkVisibilityCSS: true}) && !e.disabled
    && e.tabIndex >= 0 && !window.reached.has(e) && !(e.type === 'radio' && !e.checked)
  ).map((e) => e.outerHTML.slice(0, 120))"""


def unreached(page: Any, most: int = 1000) -> list[str]:
    """Return the controls of a page that Tab does not reach, and those whose focus cannot be seen."""
    page.evaluate(_START)
    found = []
    for _ in range(most):
        page.keyboard.press("Tab")
        stop = page.evaluate(_STOP)
        if stop is None:
            break
        found += [stop] if stop else []
    return [*found, *page.evaluate(_LEFT)]
