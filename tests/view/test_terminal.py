"""Pages on terminals of any width: nothing is cut, and nothing is wider than the terminal."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from assay.core import Cell, Column, Facts, Page, Table
from assay.view import print_page

TEXTS = st.sampled_from(
    [
        "math",
        "classification",
        "类型",
        "重写文本",
        "none likely to settle it",
        "12 × 8k (80\u00a0%)",
        "",
        "/a" * 40,
    ]
)
BY_FORM: dict[str, st.SearchStrategy[Any]] = {
    "": TEXTS,
    "@": TEXTS,
    "@word": st.sampled_from(["rising", "undecided"]),
    "p": st.floats(0, 1),
    ",": st.integers(0, 10**7),
    "gain": st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    "value": st.floats(-5, 5),
}


@st.composite
def tables(draw: st.DrawFn) -> Table:
    forms = draw(st.lists(st.sampled_from(list(BY_FORM)), min_size=1, max_size=9))
    columns = tuple(Column(draw(TEXTS.filter(bool)), form) for form in forms)
    rows: list[tuple[Cell, ...]] = [
        tuple(draw(BY_FORM[form]) for form in forms) for _ in range(draw(st.integers(1, 3)))
    ]
    return Table(columns, tuple(rows))


def printed(block: Table | Facts, width: int) -> str:
    out = io.StringIO()
    print_page(Page((block,)), Console(file=out, width=width, color_system=None))
    return out.getvalue()


def letters(text: str) -> Counter[str]:
    return Counter(c for c in text if not c.isspace() and c != "─")


@settings(max_examples=300)
@given(tables(), st.integers(40, 140))
def test_no_cell_is_cut_at_any_width(table: Table, width: int) -> None:
    narrow = printed(table, width)
    assert not letters(printed(table, 2000)) - letters(narrow)
    assert max(map(cell_len, narrow.splitlines())) <= width


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), st.integers(40, 140))
def test_no_fact_is_cut_at_any_width(rows: list[tuple[str, str]], width: int) -> None:
    facts = Facts(tuple(rows))
    assert letters(printed(facts, width)) == letters(printed(facts, 2000))


@pytest.mark.parametrize(("rows", "shown"), [(80, 80), (81, 40), (700, 40)])
def test_a_long_table_is_short_on_a_screen_and_whole_in_a_file(rows: int, shown: int) -> None:
    table = Table((Column("type"), Column("n", ",")), tuple((f"kind{i:03}", i) for i in range(rows)))
    screen, file = io.StringIO(), io.StringIO()
    print_page(Page((table,)), Console(file=screen, width=80, force_terminal=True))
    print_page(Page((table,)), Console(file=file, width=80))
    assert screen.getvalue().count("kind") == shown
    assert (f"{rows - shown} more rows" in screen.getvalue()) == (shown < rows)
    assert file.getvalue().count("kind") == rows
