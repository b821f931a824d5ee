"""Judging from the command line's side: files in, judgements, calibration, comparisons and logs out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay import JudgeConfig, data, judge, judge_calibrate, judge_compare, judge_estimate, judge_pairs
from assay.core import AssayError, Sample, to_json


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def options(server: Any) -> JudgeConfig:
    return JudgeConfig("openai-api/scripted/judge", server.url)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def items(tmp_path: Path) -> str:
    """Chinese and English items with class names as BELLE publishes them, one of them unusable."""
    rows: list[dict[str, Any]] = [
        {"question": f"中国的第{i}个问题是什么？", "std_answer": "答案", "class": "closed\u00a0qa"}
        for i in range(20)
    ]
    rows += [{"question": f"List {i} ideas.", "std_answer": "", "class": "brainstorming"} for i in range(20)]
    rows.append({"question": "", "std_answer": "x", "class": "math"})
    return str(write(tmp_path / "items.jsonl", rows))


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answers(path: Path, words: list[str | None]) -> Path:
    return write(path, [{"answer": word} for word in words])


WORDS: list[str | None] = ["GOOD", "FAIR", "GOOD\u2028BAD", "odd"] * 10


def test_a_file_of_answers_is_judged_and_resumed(
    items: str, options: JudgeConfig, server: Any, tmp_path: Path
) -> None:
    given = answers(tmp_path / "a.jsonl", [*WORDS[:38], "GARBLE", None])
    found = judge(
        [items], answers=given, out=tmp_path / "j.jsonl", by=replace(options, repeats=2), log=tmp_path / "l"
    )
    by_type = {row.type: row for row in found.types}
    assert (found.items, found.rejected, found.units) == (40, 1, "judge")
    assert by_type["closed_qa"].mean == pytest.approx((1 + 0.5 + 1 + 0.25) / 4)
    assert (by_type["brainstorming"].n, by_type["brainstorming"].missing) == (18, 2)
    low, high = by_type["overall"].low, by_type["overall"].high
    assert low is not None and high is not None and low < (by_type["overall"].mean or 0) < high
    assert found.unparsed == 2 and found.alarm and "%" in str(found.alarm)
    assert found.replies == 78 and found.money == 0.0
    assert found.log and Path(found.log).suffix == ".eval"
    rows = [json.loads(line) for line in (tmp_path / "j.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert len(rows) == 40 and rows[0]["scores"] == [1.0, 1.0] and rows[0]["language"] == "zh"
    assert rows[39]["score"] is None and rows[39]["characters"] is None
    asked = len(server.log())
    again = judge([items], answers=given, out=tmp_path / "k.jsonl", by=replace(options, repeats=2))
    assert len(server.log()) == asked and again.calls == 0
    assert (tmp_path / "k.jsonl").read_bytes() == (tmp_path / "j.jsonl").read_bytes()
    assert again.types == found.types
    assert json.dumps(to_json(found), ensure_ascii=False)


def test_repeats_adapt_to_the_judges_noise(items: str, options: JudgeConfig, tmp_path: Path) -> None:
    steady = answers(tmp_path / "a.jsonl", WORDS)
    found = judge([items], answers=steady, out=tmp_path / "j.jsonl", by=options, adapt=True)
    assert found.repeats and found.repeats.repeats == 1 and found.repeats.judge_sd == 0
    wavers = answers(tmp_path / "b.jsonl", [f"WAVER {w}" for w in WORDS])
    found = judge([items], answers=wavers, out=tmp_path / "k.jsonl", by=options, adapt=True, cost_ratio=9)
    assert found.repeats and found.repeats.repeats > 1 and found.repeats.judge_sd == pytest.approx(0.25)
    assert "×10" in found.judged_by


def test_a_judge_is_held_against_people_and_models_against_each_other(
    items: str, options: JudgeConfig, tmp_path: Path
) -> None:
    good = answers(tmp_path / "a.jsonl", ["GOOD"] * 30 + ["FAIR"] * 10)
    poor = answers(tmp_path / "b.jsonl", ["FAIR"] * 30 + ["BAD"] * 10)
    for name, given in (("good", good), ("poor", poor)):
        judge([items], answers=given, out=tmp_path / f"{name}.jsonl", by=replace(options, repeats=1))
    compared = judge_compare(tmp_path / "good.jsonl", tmp_path / "poor.jsonl", effect=0.05)
    overall = {row.type: row for row in compared.types}["overall"]
    assert overall.difference == 0.5 and overall.p_adjusted == 0.0 and overall.n == 40
    assert compared.units == "judge" and compared.people == ()
    judged = rows(tmp_path / "good.jsonl")
    assert {row["characters"] for row in judged} == {4}
    labels = write(
        tmp_path / "people.jsonl",
        [{"item": row["item"], "score": row["score"] - 0.25, "annotator": "x"} for row in judged]
        + [{"item": judged[0]["item"], "score": None, "annotator": "y"}],
    )
    held = judge_calibrate(tmp_path / "good.jsonl", labels=labels)
    assert held.units == "judge" and held.unscored == 1
    whole = {row.type: row for row in held.types}["overall"]
    assert whole.agreement and whole.agreement.difference == pytest.approx(0.25)
    assert whole.agreement.spearman and whole.agreement.spearman.value == pytest.approx(1)
    both = judge_compare(tmp_path / "good.jsonl", tmp_path / "poor.jsonl", labels_a=labels, labels_b=labels)
    assert [(row.labels, row.wanted) for row in both.people] == [(20, 30), (20, 30), (40, 10)]
    other = write(tmp_path / "other.jsonl", [{"item": judged[0]["item"], "score": 1, "judged": "not this"}])
    with pytest.raises(AssayError, match="different answers"):
        judge_calibrate(tmp_path / "good.jsonl", labels=other)
    same = write(tmp_path / "same.jsonl", [{"item": judged[0]["item"], "score": 1, "judged": " GOOD\n"}])
    assert judge_calibrate(tmp_path / "good.jsonl", labels=same).types[0].labels == 1
    with pytest.raises(AssayError, match="both or none"):
        judge_compare(tmp_path / "good.jsonl", tmp_path / "poor.jsonl", labels_a=labels)


def test_the_cost_is_said_before(items: str, options: JudgeConfig, server: Any, tmp_path: Path) -> None:
    given = answers(tmp_path / "a.jsonl", WORDS)
    before = judge_estimate([items], answers=given, by=replace(options, repeats=2))
    assert (before.requests, before.cached, before.money) == (80, 0, 0.0) and server.log() == []
    found = judge([items], answers=given, out=tmp_path / "j.jsonl", by=replace(options, repeats=2))
    assert found.tokens <= before.tokens_in + before.tokens_out
    after = judge_estimate([items], answers=given, by=replace(options, repeats=2))
    assert after.cached == 80 and after.tokens_out == 0


def test_a_budget_stops_before_it_is_passed(items: str, options: JudgeConfig, tmp_path: Path) -> None:
    given = answers(tmp_path / "a.jsonl", WORDS)
    short = replace(options, budget="20k tokens", max_tokens=100)
    found = judge([items], answers=given, out=tmp_path / "j.jsonl", by=replace(short, repeats=1))
    assert 0 < found.lost < 40 and found.tokens <= 20_000 and found.failed == found.lost
    assert sum(row.missing for row in found.types if row.type != "overall") == found.lost
    more = judge(
        [items], answers=given, out=tmp_path / "j.jsonl",
        by=replace(short, budget=None, repeats=1),
    )  # fmt: skip
    assert more.lost == 0 and more.calls == found.lost


def test_two_judges_are_not_compared(items: str, options: JudgeConfig, tmp_path: Path) -> None:
    given = answers(tmp_path / "a.jsonl", WORDS)
    for repeats in (1, 2):
        judge([items], answers=given, out=tmp_path / f"{repeats}.jsonl", by=replace(options, repeats=repeats))
    with pytest.raises(AssayError, match="two judges"):
        judge_compare(tmp_path / "1.jsonl", tmp_path / "2.jsonl")
    moved = judge_compare(tmp_path / "1.jsonl", tmp_path / "2.jsonl", drift=True)
    assert len(moved.judges) == 2 and {row.difference for row in moved.types} == {0.0}
    others = answers(tmp_path / "b.jsonl", WORDS[::-1])
    judge([items], answers=others, out=tmp_path / "b-judged.jsonl", by=replace(options, repeats=2))
    with pytest.raises(AssayError, match="the same answers"):
        judge_compare(tmp_path / "1.jsonl", tmp_path / "b-judged.jsonl", drift=True)


def test_finalists_meet_in_both_orders(items: str, options: JudgeConfig, tmp_path: Path) -> None:
    a = answers(tmp_path / "a.jsonl", ["GOOD"] * 25 + ["FAIR"] * 15)
    b = answers(tmp_path / "b.jsonl", ["FAIR"] * 39 + [None])
    found = judge_pairs([items], a=a, b=b, out=tmp_path / "p.jsonl", by=options)
    by_type = {row.type: row for row in found.types}
    assert (found.items, found.left_out) == (39, 1)
    assert (by_type["closed_qa"].wins, by_type["brainstorming"].wins) == (20, 5)
    assert by_type["brainstorming"].ties == 14
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == 39


def test_answers_find_their_items(items: str, options: JudgeConfig, tmp_path: Path) -> None:
    named = [row.id for row in data.read(items) if isinstance(row, Sample)]
    keyed = [{"item": name, "answer": WORDS[i % 2]} for i, name in enumerate(named)][::-1]
    given = write(tmp_path / "k.jsonl", keyed[:-1])
    judge([items], answers=given, out=tmp_path / "j.jsonl", by=replace(options, repeats=1))
    found = {row["item"]: row["score"] for row in rows(tmp_path / "j.jsonl")}
    assert [found[name] for name in named] == [None, *([0.5, 1.0] * 20)[:39]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"answer": "x"}], "1 answers, 40 items"),
        ([{"item": "elsewhere", "answer": "x"}], "unknown item"),
        ([{"said": "x"}] * 40, "no answer in the row"),
        ([{"answer": 3}] * 40, "not a text"),
        ([{"answer": "x"}, {"item": "a", "answer": "x"}], "some rows"),
    ],
)
def test_answers_that_do_not_fit_are_named(
    items: str, options: JudgeConfig, tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    given = write(tmp_path / "bad.jsonl", rows)
    with pytest.raises(AssayError, match=message) as caught:
        judge_estimate([items], answers=given, by=options)
    assert "bad.jsonl" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}\n", "not a label"),
        ('{"item": "a", "score": "x"}\n', "not a number"),
        ("{\n", "not JSON"),
        ("3\n", "not an"),
        ('{"item": "a", "score": 3}\n', "not in"),
    ],
)
def test_bad_labels_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text('{"item": "b", "score": 1}\n' + text, encoding="utf-8")
    judged = {"item": "b", "type": "math", "method": "judge", "score": 1.0}
    with pytest.raises(AssayError, match=message) as caught:
        judge_calibrate(write(tmp_path / "j.jsonl", [judged]), labels=path)
    assert "people.jsonl:2" in str(caught.value)


def test_belles_public_set_is_read_with_its_types(shared: Path) -> None:
    from collections import Counter

    from assay.judging import JudgeConfig, requests, rubric_for

    samples = [row for row in data.read(str(shared / "data/belle/eval_set.jsonl")) if isinstance(row, Sample)]
    counts = Counter(s.type for s in samples)
    assert counts["closed_qa"] == 52 and counts["extraction"] == 37 and sum(counts.values()) == 1000
    config = JudgeConfig("openai/any")
    assert all(rubric_for(s, config)[1].type == s.type for s in samples)
    chinese = sum("阅卷人" in requests(s, "x", config)[0].messages[0].content for s in samples)
    assert chinese > 950


@pytest.mark.parametrize("length", ["1e999", "-3", '"x"', "true", "2.5", "[1]"])
def test_the_length_of_an_answer_is_a_count(length: str, tmp_path: Path) -> None:
    row = f'{{"item": "a", "type": "math", "method": "m", "score": 0.5, "characters": {length}}}\n'
    (tmp_path / "j.jsonl").write_text(row, encoding="utf-8")
    with pytest.raises(AssayError, match="not a count"):
        judge_compare(tmp_path / "j.jsonl", tmp_path / "j.jsonl")
