"""The testbed: determinism, disjoint splits, exact checkers, planted defects."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core import TASK_TYPES, AssayError
from assay.data import synthetic


def test_a_prefix_of_a_stream_is_the_shorter_stream() -> None:
    long = list(synthetic.generate(500, seed=3, defects={"garbled": 0.2}))
    assert list(synthetic.generate(100, seed=3, defects={"garbled": 0.2})) == long[:100]
    assert list(synthetic.generate(100, seed=4)) != list(synthetic.generate(100, seed=3))


def test_types_and_languages_take_equal_turns() -> None:
    counts = Counter((p.sample.type, p.sample.language) for p in synthetic.generate(240, seed=0))
    assert set(counts.values()) == {10}
    assert {kind for kind, _ in counts} == set(TASK_TYPES)


def test_no_prompt_is_in_both_splits_whatever_the_seeds() -> None:
    train = {p.sample.prompt for seed in range(3) for p in synthetic.generate(3000, seed=seed)}
    held_out = {
        p.sample.prompt for seed in range(3) for p in synthetic.generate(600, seed=seed, split="eval")
    }
    assert not train & held_out


def test_most_samples_of_a_large_pool_differ() -> None:
    ids = {p.sample.id for p in synthetic.generate(20_000, seed=0)}
    assert len(ids) > 18_000


@pytest.mark.parametrize("difficulty", [0.05, 0.5, 1.0])
def test_every_answer_passes_its_own_checker(difficulty: float) -> None:
    for planted in synthetic.generate(2400, seed=1, difficulty=difficulty):
        assert planted.sample.checker and planted.sample.answer
        assert synthetic.check(planted.sample.checker, planted.sample.answer) == 1.0, planted.sample


def test_answers_are_in_their_language() -> None:
    for planted in synthetic.generate(2400, seed=1):
        sample = planted.sample
        if sample.type == "translation" or sample.answer is None:
            continue
        chinese = any("\u4e00" <= c <= "\u9fff" for c in sample.prompt[0].content)
        assert chinese == (sample.language == "zh")


def test_defects_come_in_their_shares_and_spoil_the_answer() -> None:
    shares = dict.fromkeys(synthetic.DEFECTS, 0.1)
    rows = list(synthetic.generate(12_000, seed=2, defects=shares))
    counts = Counter(row.defect for row in rows)
    for kind in synthetic.DEFECTS:
        expected = 1200 if kind != "truncated" else 1000  # one letter cannot be cut, so it stays clean
        assert abs(counts[kind] - expected) < 150, kind
    for row in rows:
        assert row.sample.checker and row.sample.answer is not None
        score = synthetic.check(row.sample.checker, row.sample.answer)
        if row.defect is None or row.defect == "near_duplicate":
            assert score == 1.0
        elif row.defect in ("refusal", "off_topic", "wrong_language"):
            assert score < 1.0, row
    wrong = [r for r in rows if r.defect == "wrong_answer"]
    scores = [synthetic.check(r.sample.checker or "", r.sample.answer or "") for r in wrong]
    assert sum(score < 1 for score in scores) / len(scores) > 0.97


def test_spans_hold_the_defect() -> None:
    for row in synthetic.generate(3000, seed=5, defects={"garbled": 0.5}):
        if row.defect == "garbled":
            assert row.span is not None and row.sample.answer is not None
            start, stop = row.span
            assert 0 <= start < stop <= len(row.sample.answer)
            assert not any(c.isalnum() and c.isascii() for c in row.sample.answer[start:stop])


def test_a_near_duplicate_is_near_an_earlier_sample() -> None:
    from rapidfuzz.distance import OSA

    seen: list[str] = []
    for row in synthetic.generate(600, seed=6, defects={"near_duplicate": 0.3}):
        prompt = row.sample.prompt[0].content
        if row.defect:
            assert min(OSA.distance(prompt, other) for other in seen) == 1
        else:
            seen.append(prompt)


def test_types_differ_in_what_there_is_to_learn() -> None:
    sizes = {kind: synthetic.learning_size(kind) for kind in TASK_TYPES}
    assert max(sizes.values()) > 20 * min(sizes.values())
    for kind in TASK_TYPES:
        assert synthetic.learning_size(kind, 1.0) >= synthetic.learning_size(kind, 0.3)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"types": ("poetry",)}, "testbed.types"),
        ({"types": ()}, "testbed.types"),
        ({"languages": ("fr",)}, "testbed.languages"),
        ({"difficulty": 0.0}, "testbed.difficulty"),
        ({"defects": {"smudged": 0.1}}, "testbed.defects"),
        ({"defects": {"garbled": 0.7, "refusal": 0.6}}, "testbed.defects"),
        ({"split": "test"}, "testbed.split"),
    ],
)
def test_bad_settings_are_refused_with_their_place(arguments: dict[str, object], place: str) -> None:
    with pytest.raises(AssayError) as caught:
        next(synthetic.generate(1, seed=0, **arguments))  # type: ignore[arg-type]
    assert caught.value.place == place


def test_type_names_match_across_spellings() -> None:
    kinds = {p.sample.type for p in synthetic.generate(8, seed=0, types=("Closed\xa0QA", "Extract"))}
    assert kinds == {"closed_qa", "extraction"}


@pytest.mark.parametrize(
    ("kind", "arguments", "answer", "score"),
    [
        ("label", {"accept": ["good"]}, " Good. ", 1.0),
        ("label", {"accept": ["好"]}, "好。", 1.0),
        ("label", {"accept": ["good"]}, "bad", 0.0),
        ("number", {"value": 7}, "3 + 4 = 7", 1.0),
        ("number", {"value": 7}, "３＋４＝７", 1.0),
        ("number", {"value": 7}, "seven", 0.0),
        ("number", {"value": 7}, "7, or 8", 0.0),
        ("steps", {"lines": ["3+4=7", "7-2=5"], "value": 5}, "3 + 4 = 7, 7 - 2 = 5. Answer: 5", 1.0),
        ("steps", {"lines": ["3+4=7", "7-2=5"], "value": 5}, "Answer: 5", 0.5),
        ("steps", {"lines": ["3+4=7", "7-2=5"], "value": 5}, "3+4=7", 0.25),
        ("items", {"accept": ["cat", "dog", "cow"], "need": 3}, "cat, dog and cow", 1.0),
        ("items", {"accept": ["cat", "dog", "cow"], "need": 3}, "cat, cat, cat", 1 / 3),
        ("items", {"accept": ["猫", "狗", "牛"], "need": 3}, "猫、狗和牛", 1.0),
        ("items", {"accept": ["cat", "dog", "cow"], "need": 3}, "cat, dog, cow, sun, sky, air", 0.5),
        ("words", {"reference": "red wolf"}, "red wolf", 1.0),
        ("words", {"reference": "红色的狼"}, "红色的狗", 0.75),
        ("expression", {"reference": "x + 3"}, "3 + x", 1.0),
        ("expression", {"reference": "x + 3"}, "x - 3", 0.0),
        ("expression", {"reference": "x + 3"}, "__import__('os').system('true')", 0.0),
        ("expression", {"reference": "x + 3"}, "9**9**9**9", 0.0),
        ("expression", {"reference": "x + 3"}, "x + ", 0.0),
        ("expression", {"reference": "x // 1"}, "x // 0", 0.0),
        ("text", {"needs": ["cat", "park"], "longest": 40}, "The cat went to the park.", 1.0),
        ("text", {"needs": ["cat", "park"], "longest": 40}, "The cat", 0.375),
    ],
)
def test_checkers(kind: str, arguments: dict[str, object], answer: str, score: float) -> None:
    checker = synthetic.checker(kind, **arguments)  # type: ignore[arg-type]
    assert synthetic.check(checker, answer) == pytest.approx(score)


@given(st.text(max_size=300))
def test_no_answer_breaks_a_checker(answer: str) -> None:
    for planted in islice(synthetic.generate(24, seed=0), 24):
        assert planted.sample.checker is not None
        assert 0.0 <= synthetic.check(planted.sample.checker, answer) <= 1.0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "magic"}', "null", '{"kind": "label"}'])
def test_what_is_no_checker_is_refused(text: str) -> None:
    with pytest.raises(AssayError):
        synthetic.check(text, "good")


def test_a_checker_is_canonical_json() -> None:
    text = synthetic.checker("label", accept=["b", "a"])
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
