"""Files of known benchmarks: what is asked, and what an answer scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.core import AssayError
from assay.judging import read_benchmark
from assay.judging._rules import RULES, follows
from shared_data import shared_folder

CHOICE = {"subject": "s", "question": "Which is a colour?", "A": "Red", "B": "Salt", "C": "Wind", "D": "Two"}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "set.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("A", 1.0), ("A. Red", 1.0), ("(A)", 1.0), ("The answer is (A).", 1.0), ("Answer: A", 1.0),
        ("B or not B? The answer is A", 1.0), ("答案：A", 1.0), ("答案是A。", 1.0), ("B", 0.0), ("", 0.0),
        ("Apples", 0.0), ("Answer: B, as A is wrong", 0.0),
    ],
)  # fmt: skip
def test_the_letter_of_an_answer(tmp_path: Path, answer: str, score: float) -> None:
    (question,) = read_benchmark(written(tmp_path, {**CHOICE, "answer": "A"}))
    assert question.score(answer) == score


def test_numbers_texts_and_options(tmp_path: Path) -> None:
    rows = [
        {"question": "Two and two thousand?", "answer": "Add.\n#### 2,002"},
        {"task": "t", "input": "not True is", "target": "False"},
        {"task": "t", "input": "Pick.\nOptions:\n(A) one\n(B) two", "target": "(B)"},
    ]
    number, text, choice = read_benchmark(written(tmp_path, *rows))
    assert [number.score(a) for a in ("so 2002", "2,002.0 dollars", "2002 or 3", "")] == [1, 1, 0, 0]
    assert [text.score(a) for a in ("False", "It is\nfalse.", "The answer is False", "True")] == [1, 1, 1, 0]
    assert choice.choices == ("A", "B") and choice.key == "B"


def test_the_same_items_whatever_their_order(tmp_path: Path) -> None:
    rows = [
        {**CHOICE, "question": f"Number {n}?", "answer": "ABCD"[n % 4], "split": "test"} for n in range(40)
    ]
    rows.append({**CHOICE, "question": "for examples", "answer": "A", "split": "dev"})
    first = {one.id for one in read_benchmark(written(tmp_path, *rows), 7)}
    assert first == {one.id for one in read_benchmark(written(tmp_path, *rows[::-1]), 7)} and len(first) == 7


def test_answers_that_are_not_public_fall_back_on_another_split(tmp_path: Path) -> None:
    rows = [{**CHOICE, "question": f"{s}?", "answer": a, "split": s} for s, a in (("test", ""), ("val", "C"))]
    (question,) = read_benchmark(written(tmp_path, *rows))
    assert question.prompt.startswith("val?") and question.key == "C"


def test_what_is_no_benchmark_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="no benchmark that is known"):
        read_benchmark(written(tmp_path, {"instruction": "x", "output": "y"}))
    with pytest.raises(AssayError, match="no question with a key"):
        read_benchmark(written(tmp_path, {**CHOICE, "answer": ""}))


FOLLOWED: dict[str, tuple[dict[str, Any], str, str]] = {
    "keywords:existence": ({"keywords": ["river"]}, "A River.", "A lake."),
    "keywords:frequency": ({"keyword": "a", "frequency": 2, "relation": "less than"}, "a hill", "a lava"),
    "keywords:forbidden_words": ({"forbidden_words": ["art"]}, "A part.", "An art."),
    "keywords:letter_frequency": (
        {"letter": "z", "let_frequency": 2, "let_relation": "at least"}, "Zigzag", "zip"
    ),
    "language:response_language": ({"language": "zh"}, "河水从山里流出来，汇入大海。", "The river ends."),
    "length_constraints:number_sentences": ({"num_sentences": 2, "relation": "at least"}, "A. B.", "A."),
    "length_constraints:number_words": ({"num_words": 3, "relation": "less than"}, "two words", "now I see"),
    "length_constraints:number_paragraphs": ({"num_paragraphs": 2}, "a\n***\nb", "a\n***\nb\n***\nc"),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "then"}, "A b.\n\nThen, c.", "Then b.\n\nC."
    ),
    "detectable_content:number_placeholders": ({"num_placeholders": 1}, "to [name]", "to (name)"),
    "detectable_content:postscript": ({"postscript_marker": "P.S."}, "a\nP.S. b", "a PS b"),
    "detectable_format:number_bullet_lists": ({"num_bullets": 2}, "* a\n- b", "* a\n* b\n* c"),
    "detectable_format:constrained_response": ({}, "My answer is no.", "No."),
    "detectable_format:number_highlighted_sections": ({"num_highlights": 2}, "*a b* and *c*", "*a* and b"),
    "detectable_format:multiple_sections": (
        {"section_spliter": "Section", "num_sections": 2}, "Section 1\na\nSection 2\nb", "Section 1\na"
    ),
    "detectable_format:json_format": ({}, '```json\n{"a": 1}\n```', "{a: 1}"),
    "detectable_format:title": ({}, "<<Rain>>\nIt falls.", "Rain\nIt falls."),
    "combination:two_responses": ({}, "one\n******\ntwo", "one\n******\none"),
    "combination:repeat_prompt": ({"prompt_to_repeat": "Say hi"}, "say hi\nHi", "Hi"),
    "startend:end_checker": ({"end_phrase": "The end."}, "It rained. the end.", "The end. Or not"),
    "startend:quotation": ({}, '"A word"', '"A" word'),
    "change_case:capital_word_frequency": (
        {"capital_frequency": 2, "capital_relation": "at least"}, "IT WAS so", "IT was so"
    ),
    "change_case:english_capital": ({}, "THE RIVER ENDS IN A LAKE", "The river"),
    "change_case:english_lowercase": ({}, "the river ends in a lake", "The river"),
    "punctuation:no_comma": ({}, "a and b", "a, b"),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_each_instruction(name: str) -> None:
    """Followed by one answer, not by another, and by none that is empty."""
    given, well, ill = FOLLOWED[name]
    assert follows(name, well, given) and not follows(name, ill, given) and not follows(name, " ", given)


@pytest.mark.skipif(shared_folder() is None, reason="the shared data are not there")
def test_real_files() -> None:
    """Every question of the published files is understood; of C-Eval those with a public answer."""
    counts = {
        "mmlu": 14_000,
        "ceval": 1_300,
        "cmmlu": 11_500,
        "bbh": 6_500,
        "gsm8k_test": 1_319,
        "ifeval_541": 541,
    }
    folder = shared_folder()
    assert folder is not None
    for name, least in counts.items():
        found = read_benchmark(
            folder / "data" / "eval_sets" / f"{name}.jsonl.gz", None if least < 2_000 else 50
        )
        assert len(found) >= min(least, 50)
