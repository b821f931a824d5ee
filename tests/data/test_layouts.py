# ruff: noqa: E501 - rows of a table
"""The layouts that are read, one row of each, and the map for all others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core import AssayError, Sample
from assay.data import SCHEMAS, Rejected, parse_map, read

U, A, S, T = "user", "assistant", "system", "tool"

LAYOUTS: list[tuple[str, str, dict[str, Any], list[tuple[str, str]]]] = [
    ("openai", "messages", {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                                         {"role": "assistant", "content": "a"}]}, [(S, "s"), (U, "q"), (A, "a")]),
    ("tulu", "messages", {"id": "t1", "dataset": "flan", "messages": [{"role": "user", "content": "q"},
                                                                      {"role": "assistant", "content": "a"}]},
     [(U, "q"), (A, "a")]),
    ("no-robots", "messages", {"prompt": "q", "prompt_id": "1", "category": "Open QA",
                               "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
     [(U, "q"), (A, "a")]),
    ("parts", "messages", {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]},
                                        {"role": "assistant", "content": "a"}]}, [(U, "q"), (A, "a")]),
    ("lima", "lima", {"conversations": ["q", "a", "q2", "a2"], "source": "lima"},
     [(U, "q"), (A, "a"), (U, "q2"), (A, "a2")]),
    ("sharegpt", "sharegpt", {"id": "x", "system": "s", "conversations": [{"from": "human", "value": "q"},
                                                                          {"from": "gpt", "value": "a"}]},
     [(S, "s"), (U, "q"), (A, "a")]),
    ("magpie", "sharegpt", {"uuid": "u", "instruction": "q", "response": "a", "task_category": "Math",
                            "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
     [(U, "q"), (A, "a")]),
    ("sharegpt tools", "sharegpt", {"conversations": [
        {"from": "human", "value": "q"}, {"from": "gpt", "value": "I look."},
        {"from": "function_call", "value": '{"name": "w", "arguments": {}}'},
        {"from": "observation", "value": "4"}, {"from": "gpt", "value": "a"}], "tools": '[{"name": "w"}]'},
     [(U, "q"), (A, "I look."), (T, "4"), (A, "a")]),
    ("moss 003", "moss", {"meta_instruction": "m", "chat": {
        "turn_1": {"Human": "<|Human|>: q<eoh>\n", "Inner Thoughts": "<|Inner Thoughts|>: hm<eot>\n",
                   "Commands": '<|Commands|>: Search("x")<eoc>\n', "Tool Responses": "<|Results|>: r<eor>\n",
                   "MOSS": "<|MOSS|>: a<eom>\n"},
        "turn_2": {"Human": "<|Human|>: q2<eoh>\n", "Commands": "<|Commands|>: None<eoc>\n",
                   "MOSS": "<|MOSS|>: a2<eom>\n"}}},
     [(S, "m"), (U, "q"), (A, ""), (T, "r"), (A, "a"), (U, "q2"), (A, "a2")]),
    ("moss 002", "moss", {"prefix": "p", "plain_text": "[Human]: q<eoh> [MOSS]: a<eoa>", "num_turns": 1},
     [(S, "p"), (U, "q"), (A, "a")]),
    ("oasst tree", "oasst-tree", {"message_tree_id": "1", "prompt": {"text": "q", "role": "prompter", "replies": [
        {"text": "worse", "role": "assistant", "rank": 1, "replies": []},
        {"text": "best", "role": "assistant", "rank": 0, "replies": [
            {"text": "thanks", "role": "prompter", "replies": []}]}]}}, [(U, "q"), (A, "best")]),
    ("mt-bench", "mt-bench", {"question_id": 81, "category": "math", "turns": ["q", "q2"], "reference": ["a", "a2"]},
     [(U, "q"), (A, "a"), (U, "q2"), (A, "a2")]),
    ("mt-bench open", "mt-bench", {"question_id": 82, "category": "writing", "turns": ["q", "q2"]}, [(U, "q")]),
    ("mt-bench hub", "mt-bench", {"prompt": ["q", "q2"], "reference": [], "prompt_id": 3}, [(U, "q")]),
    ("ultrachat", "ultrachat", {"id": "0", "data": ["q", "a", "q2", "a2"]}, [(U, "q"), (A, "a"), (U, "q2"), (A, "a2")]),
    ("stackexchange", "ranked-answers", {"qid": 1, "question": "q", "answers": [
        {"text": "low", "pm_score": 1, "selected": False}, {"text": "high", "pm_score": 9, "selected": False}]},
     [(U, "q"), (A, "high")]),
    ("stackexchange accepted", "ranked-answers", {"title": "t", "body": "b", "answers": [
        {"body": "high", "score": 9}, {"body": "accepted", "score": 1, "accepted": True}]}, [(U, "t\n\nb"), (A, "accepted")]),
    ("wikihow", "wikihow", {"title": "How to sit", "headline": "h", "text": "Find a chair."},
     [(U, "How to sit"), (A, "Find a chair.")]),
    ("wikihow steps", "wikihow", {"title": "How to sit", "introduction": "Sit well.", "methods": [
        {"name": "On a chair", "steps": ["Find it.", "Sit."]}]},
     [(U, "How to sit"), (A, "Sit well.\nOn a chair\nFind it.\nSit.")]),
    ("dolly", "dolly", {"instruction": "q", "context": "c", "response": "a", "category": "closed_qa"},
     [(U, "q\n\nc"), (A, "a")]),
    ("openorca", "openorca", {"id": "o", "system_prompt": "s", "question": "q", "response": "a"},
     [(S, "s"), (U, "q"), (A, "a")]),
    ("firefly", "input-target", {"kind": "NER", "input": "q", "target": "a"}, [(U, "q"), (A, "a")]),
    ("belle multi", "alpaca", {"instruction": "Human:q\nAssistant:a\nHuman:q2\nAssistant:", "input": "", "output": "a2"},
     [(U, "q"), (A, "a"), (U, "q2"), (A, "a2")]),
    ("coig-cqia", "alpaca", {"instruction": "q", "input": "", "output": "a",
                             "task_type": {"major": ["问答"], "minor": ["百科"]}, "domain": ["x"], "metadata": None},
     [(U, "q"), (A, "a")]),
    ("llama-factory", "alpaca", {"instruction": "q2", "input": "i", "output": "a2", "system": "s",
                                 "history": [["q", "a"]]},
     [(S, "s"), (U, "q"), (A, "a"), (U, "q2\n\ni"), (A, "a2")]),
    ("firefly turns", "exchanges", {"conversation": [{"human": "q", "assistant": "a"}, {"human": "q2", "assistant": "a2"}],
                                    "category": "x"}, [(U, "q"), (A, "a"), (U, "q2"), (A, "a2")]),
    ("xtuner", "exchanges", {"conversation": [{"system": "s", "input": "q", "output": "a"}]}, [(S, "s"), (U, "q"), (A, "a")]),
    ("xp3", "input-target", {"inputs": "q", "targets": "a", "lang": "zh"}, [(U, "q"), (A, "a")]),
    ("dialogue", "dialogue", {"text": "### Human: q\n### Assistant: a"}, [(U, "q"), (A, "a")]),
]  # fmt: skip


def reading_of(path: Path, rows: list[dict[str, Any]], **options: Any) -> Any:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return read(path, **options)


def turns(sample: Sample | Rejected) -> list[tuple[str, str]]:
    assert isinstance(sample, Sample), sample
    return [(m.role, m.content) for m in sample.messages]


@pytest.mark.parametrize(("name", "format", "row", "expected"), LAYOUTS, ids=[one[0] for one in LAYOUTS])
def test_each_layout_is_read(
    name: str, format: str, row: dict[str, Any], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    reading = reading_of(tmp_path / "x.jsonl", [row])
    assert [turns(sample) for sample in reading] == [expected]
    assert reading.detection.format == format


def test_layouts_may_be_joined_in_one_table(tmp_path: Path) -> None:
    """A union of layouts, as a table of all columns makes it, gives the samples of each."""
    rows = [row for name, _, row, _ in LAYOUTS if name in ("dolly", "openorca", "ultrachat", "firefly")]
    keys = {key for row in rows for key in row}
    pq.write_table(
        pa.Table.from_pylist([{key: row.get(key) for key in keys} for row in rows]), tmp_path / "u.parquet"
    )
    own = [turns(next(iter(reading_of(tmp_path / "x.jsonl", [row])))) for row in rows]
    assert [turns(sample) for sample in read(tmp_path / "u.parquet")] == own


def test_labels_of_layouts(tmp_path: Path) -> None:
    by_name = {name: row for name, _, row, _ in LAYOUTS}
    wanted = {
        "firefly": "ner",
        "coig-cqia": "问答",
        "magpie": "math",
        "dolly": "closed_qa",
        "no-robots": "open_qa",
    }
    for name, kind in wanted.items():
        (sample,) = reading_of(tmp_path / "x.jsonl", [by_name[name]])
        assert sample.type == kind
    (tulu,) = reading_of(tmp_path / "x.jsonl", [by_name["tulu"]])
    assert tulu.source == "flan"


def test_fields_that_are_not_used_are_counted_once(tmp_path: Path) -> None:
    rows = [{"instruction": "q", "output": "a", "quality": i, "id": None} for i in range(3)]
    reading = reading_of(tmp_path / "x.jsonl", rows)
    for _ in range(2):
        assert len(list(reading)) == 3
        assert dict(reading.unused) == {"quality": 3}


def within(value: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return the objects inside a row, with the names of the fields that lead to them."""
    if isinstance(value, dict):
        return [(path, value)] + [one for key, item in value.items() for one in within(item, f"{path}.{key}")]
    return [one for item in value for one in within(item, path)] if isinstance(value, list) else []


@pytest.mark.parametrize(("name", "format", "row", "expected"), LAYOUTS, ids=[one[0] for one in LAYOUTS])
def test_no_field_vanishes_at_any_depth(
    name: str, format: str, row: dict[str, Any], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    """What is added to any object of a row is counted as unused, or the row is rejected for it."""
    other = (".task_type", ".messages.content")  # a label with parts, and parts of a text
    for place, _ in enumerate(within(row)):
        changed = json.loads(json.dumps(row))
        path, inner = within(changed)[place]
        inner["reasoning"] = "because"
        reading = reading_of(tmp_path / "x.jsonl", [changed])
        (found,) = reading
        if isinstance(found, Rejected):
            assert path == ".chat" and "reasoning is no object" in found.reason
            continue
        assert turns(found) == expected
        left = [one for one in reading.unused if one.endswith("reasoning")]
        assert left or path in other or any("best" in note for note in reading.notes), path


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question_id": 81, "choices": [{"index": 0, "turns": ["a"]}]}, "without the question"),
        ({"message_id": "1", "parent_id": None, "text": "t", "role": "prompter"}, "conversation tree"),
        ({"instruction": "q", "output": None}, "output is null"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "'image_url'"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 0}]}, "nothing to learn"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 0.5}]}, "only 0 and 1"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": ""}]}, "answer is empty"),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "no json"}]}, "not JSON"),
        ({"instruction": "q", "output": "a", "type": "\ud800"}, "type holds half"),
        ({"instruction": "q", "output": "a", "checker": "\udfff"}, "checker holds half"),
    ],
)  # fmt: skip
def test_rejected_rows_say_why(row: dict[str, Any], reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    (found,) = read(tmp_path / "x.jsonl")
    assert isinstance(found, Rejected)
    assert reason in found.reason


def test_a_map_reads_any_layout(tmp_path: Path) -> None:
    row = {"frage": "q", "antwort": {"texte": ["a", "b"]}, "extra": "x", "art": "Math", "rolle": "s"}
    given = "prompt=frage,answer=antwort.texte.1,type=art,system=rolle"
    reading = reading_of(tmp_path / "x.jsonl", [row, {"frage": None}], map=given)
    kept, lost = list(reading)
    assert turns(kept) == [(S, "s"), (U, "q"), (A, "b")]
    assert isinstance(kept, Sample) and kept.type == "math"
    assert isinstance(lost, Rejected) and "prompt (`frage`) is null" in lost.reason
    assert dict(reading.unused) == {"extra": 1}
    assert reading.detection.format == "mapped" and "`frage`" in reading.detection.why


def test_a_map_may_name_messages(tmp_path: Path) -> None:
    row = {"log": {"turns": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}}
    (found,) = reading_of(tmp_path / "x.jsonl", [row], map={"messages": "log.turns"})
    assert turns(found) == [(U, "q"), (A, "a")]


@pytest.mark.parametrize(
    ("given", "problem"),
    [("prompt", "no `="), ("promt=q", "no known field"), ("answer=a", "needs the prompt"), ("prompt=", "without a field"),
     ("prompt=a,instruction=b", "twice"), ("prompt=a,messages=b", "not both")],
)  # fmt: skip
def test_a_map_that_says_nothing_is_refused(given: str, problem: str) -> None:
    with pytest.raises(AssayError, match=problem):
        parse_map(given)


def test_the_docs_name_every_layout() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert [s.name for s in SCHEMAS if f"`{s.name}`" not in text] == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(sorted({key for s in SCHEMAS for key in s.reads}))


@given(rows=st.lists(st.dictionaries(names, json_values, max_size=6), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_values_in_any_layout_are_kept_or_rejected(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.jsonl"
    rows = [{"instruction": "q", "output": "a"}, {"instruction": "q", "output": "b"}, *rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = list(read(path))
    assert len(found) == len(rows)
    array = path.with_suffix(".json")
    array.write_text(json.dumps(rows))
    again = list(read(array))
    assert [getattr(r, "messages", None) for r in again] == [getattr(r, "messages", None) for r in found]


number = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)


@given(text=number, name=st.sampled_from(["x.jsonl", "x.json"]))
@settings(max_examples=150, deadline=None)
def test_numbers_are_kept_to_the_letter(
    text: str, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("n") / name
    row = f'{{"instruction": "q", "output": {text}}}'
    path.write_text(row + "\n" if name == "x.jsonl" else f"[\n{row}\n]")
    (found,) = read(path)
    assert isinstance(found, Sample) and found.answer == text
