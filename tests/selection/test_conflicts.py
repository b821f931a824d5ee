"""Answers decide what is a duplicate; conflicts are reported; a pool is cleaned against another."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core import AssayError, Sample
from assay.data import read
from assay.selection import POLICIES, CleanRules, clean, text_key

ROWS = Path(__file__).parents[1] / "data" / "cases" / "rows"
TEMPLATE = (
    "You are given a sentence about the weather in a far away city. Decide whether the sentence states a "
    "fact or an opinion and answer with one word only, without any explanation, whatever you may think of "
    "the city, its weather, or of whoever wrote the sentence in the first place. Sentence: it rained. No. {}"
)


def cases(name: str) -> list[Sample]:
    return [row for row in read(ROWS / name) if isinstance(row, Sample)]


def single(prompt: str, answer: str) -> Sample:
    return Sample.single(prompt, answer)


def test_templated_rows_with_other_answers_are_no_duplicates() -> None:
    rows = [single(TEMPLATE.format(n), str(n * 7)) for n in range(40)]
    assert len(clean(rows).kept) == 40
    same = [single(TEMPLATE.format(n), "Fact") for n in range(40)]
    assert len(clean(same).kept) < 40


@pytest.mark.parametrize(
    ("one", "other"), [("-3", "3"), ("C", "C++"), ("1.5", "15"), ("<", "> a"), ("Fact", "Opinion")]
)
def test_short_answers_that_differ_in_a_sign_are_kept(one: str, other: str) -> None:
    assert (
        len(clean([single(TEMPLATE.format(1), one + " x"), single(TEMPLATE.format(1), other + " x")]).kept)
        == 2
    )


def test_case_spaces_and_a_full_stop_make_no_other_answer() -> None:
    assert len(clean([single(TEMPLATE.format(1), "Fact"), single(TEMPLATE.format(1), " fact.")]).kept) == 1


answers = st.sampled_from(["yes", "no", "Fact", "42", "-42", "4.2", "a b c", "the cat sat on the mat " * 8])


@given(
    drawn=st.lists(st.tuples(st.integers(0, 3), answers), min_size=2, max_size=14), near=st.floats(0.3, 1.0)
)
@settings(max_examples=60, deadline=None)
def test_no_removal_loses_a_short_answer(drawn: list[tuple[int, str]], near: float) -> None:
    rows = [single(TEMPLATE.format(n), answer) for n, answer in drawn]
    found = clean(rows, CleanRules(near=near))
    kept = {rows[i].answer for i in found.kept}
    assert {r.answer for r in rows} == kept
    assert len(found.kept) + len(found.receipts) == len(rows)


def test_conflicts_are_reported_and_kept_by_default() -> None:
    rows = cases("13_contradict.jsonl")
    found = clean(rows)
    assert found.kept.tolist() == list(range(6))
    assert [conflict.rows for conflict in found.conflicts] == [(0, 1, 2), (4, 5)]
    assert [conflict.answers for conflict in found.conflicts] == [3, 2]
    assert found.conflicts[0].origins[0] == "13_contradict.jsonl:1"


@pytest.mark.parametrize(
    ("policy", "kept"),
    [("keep", [0, 1, 2, 3, 4]), ("drop", [3, 4]), ("majority", [0, 3, 4]), ("best", [2, 3, 4])],
)
def test_each_policy_keeps_what_it_says(policy: str, kept: list[int]) -> None:
    pairs = [("Is it?", "yes"), ("Is it?", "Yes."), ("is it?", "no, it is not"), ("Why?", "so")]
    rows = [single(*pair) for pair in [*pairs, ("Tell me a long story please.", "Once upon a time")]]
    found = clean(rows, CleanRules(conflicts=policy, near=None))  # type: ignore[arg-type]
    expected = kept if policy in ("drop", "best") else sorted({*kept, 1})
    assert found.kept.tolist() == expected
    assert len(found.conflicts) == 1
    receipts = [r for r in found.receipts if r.rule == "conflict"]
    assert all(r.partner and "contradict" in r.detail for r in receipts)


def test_a_tie_of_the_majority_keeps_none() -> None:
    found = clean([single("Is it?", "yes"), single("Is it?", "no")], CleanRules(conflicts="majority"))
    assert found.kept.tolist() == [] and found.removed_by == {"conflict": 2}


def test_signs_make_another_question() -> None:
    assert clean([single("2+3=?", "5"), single("2-3=?", "-1")]).conflicts == ()


@pytest.mark.parametrize("other", ["is it safe ?", "Is it safe", "Ｉs  it safe？"])
def test_one_question_in_another_form_is_the_same_question(other: str) -> None:
    (found,) = clean([single("Is it safe?", "Yes"), single(other, "No")]).conflicts
    assert found.rows == (0, 1)


def test_texts_of_marks_alone_are_told_apart() -> None:
    assert len({text_key(mark) for mark in ("?", ".", "!", "")}) == 4


def test_unknown_policies_are_refused() -> None:
    assert set(POLICIES) == {"keep", "drop", "majority", "best"}
    with pytest.raises(AssayError, match="conflicts"):
        clean([], CleanRules(conflicts="toss"))  # type: ignore[arg-type]


def test_placeholders_as_answers_are_broken_with_a_receipt() -> None:
    found = clean(cases("15_placeholders.jsonl"))
    broken = {r.row: r.detail for r in found.receipts if r.rule == "broken"}
    assert set(broken) == {3, 4, 7}
    assert "<nooutput>" in broken[3]
    assert clean([single("The sign of sodium?", "Na"), single("哪些水果？", "无")]).removed_by == {}


def test_calls_alone_are_an_answer() -> None:
    calls = [s for s in cases("02_tools.jsonl") if s.messages[-1].tool_calls]
    assert calls and clean(calls).removed_by == {}


def test_a_pool_may_be_cleaned_against_another() -> None:
    old = [single(TEMPLATE.format(1), "Fact"), single("Name a boat.", "Canoe."), single("broken", "")]
    new = [
        single("Name a boat.", "Canoe."),  # equal to one that is there
        single(TEMPLATE.format(2), "fact."),  # near one that is there
        single("Name a boat.", "Barge."),  # another answer: a conflict, kept
        single("Name a tree.", "Oak, of course, and many others"),
        single("Name a tree.", "Oak, of course, and many others"),
        single("broken", ""),
    ]
    found = clean(new, against=old)
    assert found.kept.tolist() == [2, 3]
    assert found.samples == 6
    rules = {r.row: (r.rule, r.partner) for r in found.receipts}
    assert rules == {
        0: ("exact", old[1].id),
        1: ("near", old[0].id),
        4: ("exact", new[3].id),
        5: ("broken", None),
    }
    assert [c.rows for c in found.conflicts] == [(-2, 0, 2)]


@given(
    split=st.integers(0, 12), drawn=st.lists(st.tuples(st.integers(0, 2), answers), min_size=1, max_size=12)
)
@settings(max_examples=40, deadline=None)
def test_what_is_kept_against_itself_is_nothing(split: int, drawn: list[tuple[int, str]]) -> None:
    rows = [single(TEMPLATE.format(n), answer) for n, answer in drawn]
    assert len(clean(rows, against=rows).kept) == 0
    old, new = rows[:split], rows[split:]
    found = clean(new, against=old)
    assert len(found.kept) + len(found.receipts) == len(new)
    seen = {s.answer for s in old}
    assert {new[i].answer for i in found.kept} | seen == {s.answer for s in rows} | seen
