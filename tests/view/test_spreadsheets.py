"""Tables for spreadsheets hold no text that such a program takes for a formula."""

from __future__ import annotations

import polars
import pytest

from assay.view._write import _harmless


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")'])
def test_formulas_are_made_texts(text: str) -> None:
    found = _harmless(polars.DataFrame({"type": [text, "math"], "value": [-0.5, 1.0]}))
    assert found["type"].to_list() == [f"'{text}", "math"]
    assert found["value"].to_list() == [-0.5, 1.0]
