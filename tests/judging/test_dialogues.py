"""Dialogues in MT-bench's layout: answered turn by turn, rated turn by turn, against references."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay import JudgeConfig, answer_turns, judge_compare, judge_turns
from assay.core import AssayError
from assay.judging import JudgeConfig as Config
from assay.judging import read_dialogues, requests, turn_items
from shared_data import shared_folder

HERE = Path(__file__).resolve().parent
MODEL = "openai-api/scripted/judge"
QUESTIONS = [
    {"question_id": 1, "category": "math", "turns": ["What is 2 + 2?", "And twice that?"]},
    {"question_id": 2, "category": "writing", "turns": ["Write a line on rain.", "Now on snow."]},
    {"question_id": 3, "category": "writing", "turns": ["写一句关于雨的诗。", "再写一句关于雪的。"]},
]
ANSWERS = [
    {"question_id": 1, "choices": [{"index": 0, "turns": ["It is 4. RATE8", "It is 9. RATE2"]}]},
    {"question_id": 2, "choices": [{"index": 0, "turns": ["It falls. RATE10", "It lies. RATE1"]}]},
    {"question_id": 3, "turns": ["雨落下。RATE4", ""]},
]
REFERENCES = [
    {"question_id": 1, "choices": [{"turns": ["REFERENCE four", "REFERENCE eight"]}]},
    {"question_id": 2, "choices": [{"turns": ["REFERENCE not read", "as writing has none"]}]},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    rows = {"question": QUESTIONS, "answer": ANSWERS, "reference": REFERENCES}
    return {name: write(tmp_path / f"{name}.jsonl", found) for name, found in rows.items()}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from chat_server import serving

    monkeypatch.setenv("PROMPTS_SEEN", str(tmp_path / "seen.jsonl"))
    with serving(script="scripted_ratings:answer", script_path=str(HERE)) as running:
        yield running


def test_each_turn_is_rated_in_its_conversation(files: dict[str, Path], server: Any, tmp_path: Path) -> None:
    by = JudgeConfig(MODEL, server.url, repeats=1, temperature=0, calls=tmp_path / "calls")
    options = {"answers": files["answer"], "references": files["reference"], "by": by}
    found = judge_turns(files["question"], out=tmp_path / "a.jsonl", **options)
    ratings = {row.item: None if row.score is None else 1 + 9 * row.score for row in found.judgements}
    assert ratings == pytest.approx({"1/1": 9, "1/2": 3, "2/1": 10, "2/2": 1, "3/1": 4, "3/2": 1})
    means = {row.type: row.mean for row in found.types}
    assert means["math"] == pytest.approx((8 / 9 + 2 / 9) / 2) and means["writing"] == pytest.approx(12 / 36)
    turns = {row.type: (row.n, row.mean) for row in found.turns}
    assert turns["1"] == (3, pytest.approx(20 / 27)) and turns["2"] == (3, pytest.approx(2 / 27))
    assert {row.rubric for row in found.judgements if row.item.startswith("1")} == {"single-reference"}
    asked = [json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines()]
    assert len(asked) == 5, "an empty answer has the lowest rating and is not asked for"
    second = next(text for text in asked if "It is 9." in text)
    said = [
        "What is 2 + 2?",
        "It is 4. RATE8",
        "And twice that?",
        "[1] REFERENCE four",
        "[2] REFERENCE eight",
    ]
    assert all(text in second for text in said)
    assert not any("not read" in text for text in asked)
    assert sum("评分标准" in text for text in asked) == 1
    again = judge_turns(files["question"], out=tmp_path / "b.jsonl", **options)
    assert again.calls == 0 and len(server.log()) == 5
    same = judge_compare(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert {row.difference for row in same.types} == {0.0}, "turns have one name whichever model answers"


def test_a_missing_answer_has_no_rating(files: dict[str, Path], server: Any, tmp_path: Path) -> None:
    write(files["answer"], [*ANSWERS[:2], {"question_id": 3, "turns": ["雨落下。"]}])
    by = JudgeConfig(MODEL, server.url, repeats=1, calls=tmp_path / "calls")
    found = judge_turns(files["question"], answers=files["answer"], by=by)
    assert [row.item for row in found.judgements if row.score is None] == ["3/2"]


def test_the_pocket_model_answers_turn_by_turn(files: dict[str, Path], tmp_path: Path) -> None:
    """The second turn follows the model's own first answer: another first turn, another second answer."""
    options: dict[str, Any] = {"max_new_tokens": 6, "store": tmp_path / "store"}
    out = tmp_path / "said.jsonl"
    found = answer_turns("pocket", files["question"], out, **options)
    assert (found.questions, found.turns) == (3, 6) and found.by_type == {"math": 1, "writing": 2}
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [len(row["choices"][0]["turns"]) for row in rows] == [2, 2, 2]
    few = answer_turns("pocket", files["question"], tmp_path / "few.jsonl", limit=1, **options)
    assert few.by_type == {"math": 1, "writing": 1}


def test_what_is_wrong_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    for rows, problem in (
        ([{"question_id": 1, "category": "math", "turns": []}], "not a list of texts"),
        ([{"category": "math", "turns": ["a"]}], "no id"),
        ([QUESTIONS[0], QUESTIONS[0]], "twice"),
        ([{**QUESTIONS[0], "reference": ["one"]}], "reference for each question"),
    ):
        with pytest.raises(AssayError, match=problem):
            read_dialogues([write(tmp_path / "wrong.jsonl", rows)])
    two = write(tmp_path / "two.jsonl", [ANSWERS[0], {"question_id": 1, "turns": ["other", "answers"]}])
    with pytest.raises(AssayError, match="second answer"):
        judge_turns(files["question"], answers=two, by=JudgeConfig(MODEL, "http://127.0.0.1:9"))
    for row, problem in (
        ({"question_id": 99, "turns": ["to nothing"]}, "not there"),
        ({"question_id": 1, "turns": ["one", "two", "three"]}, "more answers than"),
    ):
        with pytest.raises(AssayError, match=problem):
            judge_turns(
                files["question"], answers=write(tmp_path / "odd.jsonl", [row]), limit=1,
                by=JudgeConfig(MODEL, "http://127.0.0.1:9"),
            )  # fmt: skip
    stray = write(tmp_path / "stray.jsonl", [{"question_id": 98, "turns": ["a", "b"]}])
    with pytest.raises(AssayError, match="no reference belongs"):
        read_dialogues([files["question"]], [stray])
    with pytest.raises(AssayError, match="by type"):
        JudgeConfig(MODEL, grading="single", rubrics="own.toml")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("mode", ["json", "logprobs"])
def test_prompts_name_the_scale_and_the_last_question(language: Any, mode: Any) -> None:
    (one,) = read_dialogues_of(QUESTIONS[:1])
    names, items, texts = turn_items([one], {"1": ("four", "nine")})
    config = Config(MODEL, language=language, mode=mode, grading="single", repeats=1)
    asked = requests(items[1], texts[1] or "", config)[0].messages[-1].content
    assert names == ["1/1", "1/2"]
    lines = [line.split(":")[0].split("：")[0] for line in asked.splitlines() if line[:1].isdigit()]
    assert lines == [str(n) for n in (range(10) if mode == "logprobs" else range(1, 11))]


def read_dialogues_of(rows: list[dict[str, Any]]) -> list[Any]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return read_dialogues([write(Path(folder) / "q.jsonl", rows)])


def test_the_published_questions_and_references() -> None:
    place = shared_folder()
    if place is None:
        pytest.skip("MT-bench is absent: set ASSAY_SHARED to the folder of shared data")
    sets = place / "data/eval_sets"
    found = read_dialogues([sets / "mt_bench_question.jsonl.gz"], [sets / "mt_bench_reference_gpt4.jsonl.gz"])
    assert len(found) == 80 and {len(one.questions) for one in found} == {2}
    known = {one.category for one in found if one.references}
    assert known == {"math", "reasoning", "coding"} and sum(bool(one.references) for one in found) == 30
