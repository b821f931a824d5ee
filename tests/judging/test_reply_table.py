"""Replies in the words of many judges, and laws: prose does not change a verdict, nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reply_table import CHOICES, MISLEADING, NO_SCORE, ODD, ODD_CHOICES, SCORES

from assay.judging import Scale, Unparsed, parse_better, parse_score

TEN = Scale(0, 10)


@pytest.mark.parametrize(("text", "scale", "score"), SCORES)
def test_a_score_is_read(text: str, scale: Scale, score: float) -> None:
    assert parse_score(text, scale) == pytest.approx(score)


@pytest.mark.parametrize(("text", "scale"), NO_SCORE)
def test_no_score_is_guessed(text: str, scale: Scale) -> None:
    found = parse_score(text, scale)
    assert isinstance(found, Unparsed) and found.reason


@pytest.mark.parametrize(("text", "scale", "right"), [*ODD, *MISLEADING])
def test_an_odd_reply_is_read_right_or_not_at_all(text: str, scale: Scale, right: list[float]) -> None:
    found = parse_score(text, scale)
    assert isinstance(found, Unparsed) or found in [pytest.approx(score) for score in right]


@pytest.mark.parametrize(("text", "choice"), CHOICES)
def test_choices_between_two_answers(text: str, choice: str | None) -> None:
    found = parse_better(text)
    assert isinstance(found, Unparsed) if choice is None else found == choice


@pytest.mark.parametrize(("text", "choice"), ODD_CHOICES)
def test_an_odd_choice_is_read_right_or_not_at_all(text: str, choice: str | None) -> None:
    found = parse_better(text)
    assert isinstance(found, Unparsed) or found == choice


def test_no_reply_of_the_shared_cases_is_read_wrong(shared: Path) -> None:
    path = shared / "cases/replies/scores.jsonl"
    if not path.is_file():
        pytest.skip("the shared cases are absent")
    read = wanted = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found = parse_score(row["reply"], Scale(row["low"], row["high"], tuple(row["allowed"] or ())))
        wanted += bool(row["right"])
        if not isinstance(found, Unparsed):
            assert found in [pytest.approx(score) for score in row["right"]], row["reply"]
            read += 1
    assert read >= 0.9 * wanted


# Clear verdicts, and prose that says nothing of a score.
VERDICTS = [
    "Score: {}", "score: {}/10", "Rating: [[{}]]", "[RESULT] {}", "I give it {} out of 10.",
    "得分：{}分", "总体评分：{}/10", "我给这个回答打{}分。",
    '{{"reason": "r", "score": {}}}', "**Final score: {}**", "<score>{}</score>",
]  # fmt: skip
PROSE = st.lists(
    st.sampled_from(
        [
            "The answer is correct and clear.", "It gives 3 reasons and cites 2 sources.",
            "The date 1969 is right.",
            "One step is missing.", "回答正确，内容清楚。", "它列出了3个理由。",
            "The result 3 + 4 = 7 is right.",
            "It could be shorter.", "The second paragraph repeats the first.",
            "- It names GPT-4 and Llama 2.",
            "文中提到2023年的数据。", "I like the example with 5 apples.", "Overall, a good answer.", "",
            "He bought 12 apples for 4 dollars, as the question says.",
            "The style is fine, but the tone is dry.",
        ]
    ),
    max_size=4,
)  # fmt: skip


@given(st.sampled_from(VERDICTS), st.integers(0, 10), PROSE, PROSE)
def test_prose_around_a_verdict_does_not_change_it(
    form: str, value: int, before: list[str], after: list[str]
) -> None:
    text = "\n".join([*before, form.format(value), *after])
    assert parse_score(text, TEN) == value


@given(st.sampled_from(VERDICTS), st.integers(0, 10), st.integers(0, 10))
def test_what_is_thought_or_quoted_does_not_count(form: str, value: int, other: int) -> None:
    for aside in (
        f"<think>Score: {other}</think>",
        f'The answer says "Score: {other}".',
        f"> Score: {other}\n",
    ):
        assert parse_score(f"{aside}\n{form.format(value)}", TEN) == value


@given(st.text(max_size=200), st.sampled_from(VERDICTS), st.integers(0, 10))
def test_any_text_around_gives_the_verdict_or_a_number_that_stands_there(
    text: str, form: str, value: int
) -> None:
    for reply in (text, f"{text}\n\n{form.format(value)}"):
        found = parse_score(reply, TEN)
        assert (isinstance(found, Unparsed) and found.reason) or 0 <= found <= 10
        choice = parse_better(reply)
        assert choice in ("A", "B", "tie") or (isinstance(choice, Unparsed) and choice.reason)


CHOSEN = [
    "[[{}]]", "Better: {}", "Answer {} is better.", "I prefer answer {}.", "回答{}更好。",
    '{{"better": "{}"}}', "[[{}>>{}]]",
]  # fmt: skip
ABOUT = st.lists(
    st.sampled_from(
        [
            "Both answers are long.", "Answer A cites a source.", "Answer B is shorter.",
            "A is right about the date.",
            "回答B更短。", "两份回答都正确。", "The first answer gives 3 reasons.", "",
        ]
    ),
    max_size=3,
)  # fmt: skip


@given(st.sampled_from(CHOSEN), st.sampled_from("AB"), ABOUT, ABOUT)
def test_prose_around_a_choice_does_not_change_it(
    form: str, letter: str, before: list[str], after: list[str]
) -> None:
    other = "B" if letter == "A" else "A"
    text = "\n".join([*before, form.format(letter, other), *after])
    assert parse_better(text) == letter


@given(st.sampled_from(CHOSEN[:6]), st.sampled_from(CHOSEN[:6]))
def test_choices_that_contradict_are_none(one: str, other: str) -> None:
    assert isinstance(parse_better(f"{one.format('A')}\n{other.format('B')}"), Unparsed)
