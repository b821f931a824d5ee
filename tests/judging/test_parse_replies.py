"""Replies of judges: every known form is read, contradictions and halves never become numbers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.judging import Scale, Unparsed, parse_better, parse_pair, parse_score

FIVE = Scale(1, 5, (1, 2, 3, 4, 5))
TEN = Scale(0, 10)
UNIT = Scale()
QUARTERS = Scale(0, 1, (0, 0.25, 0.5, 0.75, 1))

READ = [
    ('{"reason": "good", "score": 0.75}', QUARTERS, 0.75),
    ('```json\n{"score": 1, "reason": "not score: 0"}\n```', QUARTERS, 1),
    ('Here it is: {"reason": "a {brace}", "score": "0.5"} as asked', QUARTERS, 0.5),
    ('{"reason": "raw\nnewline", "score": 0.25}', QUARTERS, 0.25),
    ('{"Score": "8/10"}', UNIT, 0.8),
    ('{"理由": "不错", "分数": 0.75}', QUARTERS, 0.75),
    ("{'score': 0.5, 'reason': 'single quotes'}", QUARTERS, 0.5),
    ("{'reason': 'x', 'score': 0.5}", QUARTERS, 0.5),
    ("score: 0.8", UNIT, 0.8),
    ("score: .8", UNIT, 0.8),
    ("分数：0.8", UNIT, 0.8),
    ("分数：０．８", UNIT, 0.8),
    ("得分：８／１０", TEN, 8),
    ("评分：**4**", FIVE, 4),
    ("最终得分：8分（满分10分）", TEN, 8),
    ("总分：8", TEN, 8),
    ("我给这个回答打8分。", TEN, 8),
    ("该回答的得分为0.8。", UNIT, 0.8),
    ("如果完整，得分为5。最终得分为3。", FIVE, 3),
    ("准确性得分：2\n流畅性得分：5\n综合得分：4", FIVE, 4),
    ("Score: 8/10", TEN, 8),
    ("Score: 8/10", UNIT, 0.8),
    ("Score: 4 out of 5", FIVE, 4),
    ("Score: 80%", UNIT, 0.8),
    ("Score: 80 %", TEN, 8),
    ("Score: ½", UNIT, 0.5),
    ("**Score:** 4", FIVE, 4),
    ("**Score: 4**", FIVE, 4),
    ("Score (1-5): 4", FIVE, 4),
    ("Score:\n4", FIVE, 4),
    ("Score: 4.", FIVE, 4),
    ("Score: 4, because 3 would be too low", FIVE, 4),
    ("Score: 1 if right, else 0.\nScore: 0", QUARTERS, 0),
    ("Score: 4\n- 2 errors were found", FIVE, 4),
    ("Helpfulness score: 3\nOverall score: 4", FIVE, 4),
    ("Score 1: not at all\nScore 5: fully\nScore: 2", FIVE, 2),
    ("So the final score is 3.", FIVE, 3),
    ("Feedback: it is good. [RESULT] 5", FIVE, 5),
    ("Rating: [[5]]", FIVE, 5),
    ("I would say [[3]].", FIVE, 3),
    ("It has `dp = [[0 for _ in x]]` and an open {\n\nScore: 4", FIVE, 4),
    ("Score: 4\nI repeat, score: 4.0", FIVE, 4),
    ("<think>score: 3, or score: 2?</think>score: 4", FIVE, 4),
    ("first I thought score: 3</think>\n4", FIVE, 4),
    ("0.8", UNIT, 0.8),
    ("0.8\n\nBecause it is nearly right.", UNIT, 0.8),
    ("8分", TEN, 8),
    ("Score: four", FIVE, 4),
    ("分数: 百分之八十", UNIT, 0.8),
    ("Score: 0,8", UNIT, 0.8),
    ("It says that the final score is 3.\nScore: 5\nFinal score: 4", FIVE, 4),
    ("Score: 0.5 + 0.25 = 0.75", QUARTERS, 0.75),
    ("我先打3分。\n最终得分：4", FIVE, 4),
]

UNREAD = [
    ("", UNIT),
    ("I cannot judge this.", UNIT),
    ("I compute 3 + 4 = 7, which is right", TEN),
    ("Score: 3\nScore: 4", FIVE),
    ("得分：3\n得分：4", FIVE),
    ("3\nGood in parts.\n4", FIVE),
    ('{"score": 3} and {"score": 4}', FIVE),
    ('{"score": 3}\nScore: 4', FIVE),
    ('{"score": 3, "rating": 4}', FIVE),
    ("[[3]] or [[4]]", FIVE),
    ("Score: 3-4", FIVE),
    ("Score: 3 or 4", FIVE),
    ("得分：3至4", FIVE),
    ("Score: 1e3", FIVE),
    ("Score: 6", FIVE),
    ("Score: 0.8", FIVE),
    ("Score: 0.8", QUARTERS),
    ("Score: -1", UNIT),
    ("-1", UNIT),
    ("Score: 8/10", FIVE),
    ("Score: 10/5", FIVE),
    ("Score: 80%", FIVE),
    ("The score is 5 only if nothing is missing.", FIVE),
    ("如果没有错误，得分为5", FIVE),
    ("Accuracy score: 4", FIVE),
    ("The right result is:\n\n1", QUARTERS),
    ("Score: 1 if all is right, 0 otherwise", QUARTERS),
    ("得分：1 表示完全正确", QUARTERS),
    ("1.\n2.\nThat is all.", FIVE),
    ("* 1.\n* 2.", FIVE),
    ('{"score": 1e999}', UNIT),
    ("score: " + "1" * 5000, UNIT),
    ('{"score": ' + "1" * 5000 + "}", UNIT),
    ("Score: 4 → 3 after a deduction", FIVE),
    ('{"score": 0 | 0.5 | 1}', QUARTERS),
    ("Grade: 5, Mark: 4", FIVE),
    ("Assistant 1 score: 4", FIVE),
    ("Maximum score: 5", FIVE),
    ('{"score": null}', UNIT),
    ('{"score": true}', UNIT),
    ('{"score": NaN}', UNIT),
    ('{"score": "high"}', UNIT),
    ('{"reason": "half", "score": 0', UNIT),
    ('{"reason": "half", "score": 0.', UNIT),
    ("<think>the score: 4 seems right", FIVE),
]


@pytest.mark.parametrize(("text", "scale", "score"), READ)
def test_known_forms_are_read(text: str, scale: Scale, score: float) -> None:
    assert parse_score(text, scale) == pytest.approx(score)


@pytest.mark.parametrize(("text", "scale"), UNREAD)
def test_nothing_is_guessed(text: str, scale: Scale) -> None:
    found = parse_score(text, scale)
    assert isinstance(found, Unparsed) and found.reason


def test_a_reply_cut_at_its_limit_is_not_trusted_at_its_end() -> None:
    assert parse_score("Score: 0", QUARTERS) == 0
    assert isinstance(parse_score("Score: 0", QUARTERS, cut=True), Unparsed)
    assert isinstance(parse_score("0", QUARTERS, cut=True), Unparsed)
    assert parse_score("Score: 0.75\n\nThe answer is ne", QUARTERS, cut=True) == 0.75


FORMS = [
    "{}", "score: {}", "Score: {}.", "**Score**: {}", "分数：{}", "最终得分：{}。", "[RESULT] {}", "[[{}]]",
    '{{"reason": "r", "score": {}}}', '```json\n{{"score": {}}}\n```', "Rating: [[{}]]", "{}\n\nBecause.",
]  # fmt: skip
WORDS = st.text(alphabet="abc 的好。.\n,", max_size=20)


@given(st.sampled_from(FORMS), st.sampled_from(QUARTERS.steps), WORDS, st.booleans())
def test_a_form_gives_its_number_or_none(form: str, value: float, around: str, wide: bool) -> None:
    number = f"{value:g}"
    if wide and "{{" not in form:
        number = number.translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789."})
    text = form.format(number)
    assert parse_score(text, QUARTERS) == value
    found = parse_score(f"{around}\n{text}\n{around}", QUARTERS)
    assert isinstance(found, Unparsed) or found == value


# A final score takes the place of another: it is not among the forms that contradict.
PLAIN_FORMS = [form for form in FORMS[1:9] if "最终" not in form]


@given(st.sampled_from(PLAIN_FORMS), st.sampled_from(PLAIN_FORMS), st.sampled_from([1, 2, 3, 4, 5]))
def test_two_forms_that_disagree_are_no_number(one: str, other: str, value: int) -> None:
    text = f"{one.format(value)}\n{other.format(6 - value)}"
    found = parse_score(text, FIVE)
    assert found == 3 if value == 3 else isinstance(found, Unparsed)


@given(st.text(max_size=200))
def test_any_text_is_survived(text: str) -> None:
    found = parse_score(text, UNIT)
    assert isinstance(found, Unparsed) or 0 <= found <= 1
    parse_pair(text, TEN)
    parse_better(text)


HOSTILE = (
    "*", " ", "1", "{", '{"a":', ". ", "\n", "[[", "总", "score: ", "so, ", "the ", "得 ", "\n* 1. ",
    "<think>",
    "score: 1 if ", "the score is 5 if ", "(", "score*", "8 ", "[[A]] ", "better: ", "{'score': ",
)  # fmt: skip


@pytest.mark.timeout(240)  # seconds where reading grows with the length, hours where it grows with its square
@pytest.mark.parametrize("length", [5_000, pytest.param(50_000, marks=pytest.mark.long)])
def test_hostile_replies_come_to_an_end(length: int) -> None:
    for part in HOSTILE:
        text = part * (length // len(part))
        parse_score(text, UNIT)
        parse_pair(text, TEN)
        parse_better(text)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("8 6\n\nThe first is better.", (8, 6)),
        ("8, 6", (8, 6)),
        ("8.5 9\nAssistant 1: 8", (8.5, 9)),
        ("８ ６", (8, 6)),
        ("8/10 6/10", (8, 6)),
        ("8 11", None),
        ("8", None),
        ("Assistant 1: 8\nAssistant 2: 6", None),
        ("8 6\nNo, on second thought:\n6 8", None),
        ("8 6 7", None),
    ],
)
def test_pairs_of_scores(text: str, pair: tuple[float, float] | None) -> None:
    found = parse_pair(text, TEN)
    assert found == pair if pair is not None else isinstance(found, Unparsed)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ('{"reason": "x", "better": "A"}', "A"),
        ('```json\n{"better": "tie", "reason": ""}\n```', "tie"),
        ("My verdict is [[B]]", "B"),
        ("[[C]]", "tie"),
        ("Better: answer B", "B"),
        ("更好：Ａ", "A"),
        ("更好的回答是：回答B", "B"),
        ("平局", "tie"),
        ("B", "B"),
        ("[[A]] or [[B]]", None),
        ('{"better": "A"} {"better": "B"}', None),
        ('{"better": "Answer X"}', None),
        ("A better answer would say more", None),
        ("Better: a lot of detail is missing", None),
        ("Better: A, because it is right", "A"),
        ("", None),
    ],
)
def test_choices(text: str, choice: str | None) -> None:
    found = parse_better(text)
    assert found == choice if choice is not None else isinstance(found, Unparsed)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        yield from map(json.loads, rows)


def test_no_wrong_number_on_real_pairwise_reviews(shared: Path) -> None:
    read = 0
    for row in _lines(shared / "data/judge_outputs/cherry5pct_vs_alpaca_reviews.jsonl.gz"):
        for review, scores in (("review", "scores"), ("review_reverse", "scores_reverse")):
            found = parse_pair(row[review], TEN)
            if not isinstance(found, Unparsed):
                assert list(found) == json.loads(row[scores])
                read += 1
    assert read > 2900


def test_no_wrong_number_on_real_feedback(shared: Path) -> None:
    """Feedback alone must not be read wrongly; with its score appended in any form it must be read."""
    for row in _lines(shared / "data/judge_outputs/prometheus_rubric_eval.jsonl.gz"):
        for text, score in zip(row["gpt4_feedback"], row["gpt4_score"], strict=True):
            alone = parse_score(text, FIVE)
            assert isinstance(alone, Unparsed) or alone == score
            for reply in (f"Feedback: {text} [RESULT] {score}", json.dumps({"reason": text, "score": score})):
                assert parse_score(reply, FIVE) == score
