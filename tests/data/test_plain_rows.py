"""A row of a prompt and its answer alone is read as all others are, by fewer questions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.data import language_of
from assay.data._layouts import SCHEMAS, Schema
from assay.data._rows import MAX_CHARACTERS, Draft, draft, plain_draft

PLAIN = [schema for schema in SCHEMAS if schema.plain is not None]
TEXTS = [
    *("", " \n", " " * 30, "The list of words.", "写一首诗", "x" * 599, "the " * 150, "é", "5", "İ"),
    *("Human: a\nAssistant: b\nHuman: c", "a\n### Human: b", "Human nature"),
    *("N/A", "<noinput>", "无", "a\0b", "\ud800", "xyz " * 100 + "the of and to " * 5),
]
texts = st.sampled_from(TEXTS) | st.text(max_size=5)
values: st.SearchStrategy[Any] = texts | st.sampled_from([None, [], 5, 1.5, True, {"a": "b"}])


@st.composite
def rows(draw: st.DrawFn) -> tuple[Schema, dict[str, Any]]:
    """Draw a layout, and a row of its plain fields: one may be missing, or no text, and one more there."""
    schema = draw(st.sampled_from(PLAIN))
    assert schema.plain is not None
    row: dict[str, Any] = {name: draw(texts) for name in schema.plain if name or draw(st.integers(0, 3)) == 0}
    for name in draw(st.lists(st.sampled_from([*schema.reads, "more"]), max_size=1)):
        row[name] = draw(values)
    for name in draw(st.lists(st.sampled_from([*row]), max_size=1)):
        del row[name]
    return schema, row


def told(found: Draft) -> tuple[Any, ...]:
    """Return what becomes of a draft."""
    return *found[:-1], found[2] or language_of(found[-1])


@given(drawn=rows())
@example(drawn=(PLAIN[-1], dict(zip(PLAIN[-1].needs, ("x" * MAX_CHARACTERS, "y" * 2), strict=True))))
@example(drawn=(PLAIN[-1], dict(zip(PLAIN[-1].needs, ("x" * (MAX_CHARACTERS + 1), "y"), strict=True))))
@settings(max_examples=1500, deadline=None)
def test_a_plain_row_is_read_as_any_other(drawn: tuple[Schema, dict[str, Any]]) -> None:
    schema, row = drawn
    assert schema.plain is not None
    plain = plain_draft(row, schema.plain, "source", "origin")
    if plain is not None:
        found, unused, notes = draft(row, schema, "source", "origin")
        assert told(plain) == told(found)
        assert not unused and not notes


@pytest.mark.parametrize("schema", PLAIN, ids=lambda s: f"{s.name}-{s.needs[0]}-{s.needs[1]}")
def test_usual_rows_are_plain(schema: Schema) -> None:
    assert schema.plain is not None
    asked, beside, answered = schema.plain
    row = {
        asked: "Name it.",
        answered: "It is a list.",
        **({beside: "A thing of some length."} if beside else {}),
    }
    found = plain_draft(row, schema.plain, "source", "origin")
    assert found is not None
    assert [turn.content for turn in found[0]][-1] == "It is a list."
