from __future__ import annotations

import pickle

import pytest

from assay.core import TASK_TYPES, AssayError, Message, Sample, task_type


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("closed\xa0qa", "closed_qa"),
        ("Closed QA", "closed_qa"),
        ("closed-qa", "closed_qa"),
        ("Extract", "extraction"),
        ("open QA", "open_qa"),
        ("CoT", "cot"),
        ("摘要", "summarization"),
        (" Rewrite ", "rewrite"),
        ("ｍａｔｈ", "math"),
        ("my own type", "my_own_type"),
    ],
)
def test_type_names_match_across_spellings(spelling: str, name: str) -> None:
    assert task_type(spelling) == name


def test_standard_names_are_fixed_points() -> None:
    assert [task_type(t) for t in TASK_TYPES] == list(TASK_TYPES)


def test_id_depends_on_the_conversation_only() -> None:
    a = Sample.single("hi", "yes", type="math", source="a.jsonl", origin="a.jsonl:1")
    b = Sample.single("hi", "yes", type="code", source="b.jsonl", origin="b.jsonl:9")
    assert a.id == b.id
    assert a.id != Sample.single("hi", "no").id
    assert a.id != Sample((Message("user", "hi"), Message("user", "yes"))).id


def test_missing_answer_is_not_an_empty_one() -> None:
    assert Sample.single("hi", None).answer is None
    assert Sample.single("hi", "").answer == ""
    assert Sample.single("hi", "yes").prompt == (Message("user", "hi"),)


def test_errors_name_place_value_expectation_and_mend() -> None:
    error = AssayError("bad", place="a.b[2]", value="x" * 999, expected="y", hint="do z")
    text = str(error)
    assert all(part in text for part in ("a.b[2]", "expected: y", "try:      do z"))
    assert len(text) < 400


def test_errors_cross_processes_whole() -> None:
    error = AssayError("bad", place="p", value={"not": "plain"}, expected="y", hint="z")
    assert str(pickle.loads(pickle.dumps(error))).splitlines()[2:] == str(error).splitlines()[2:]
