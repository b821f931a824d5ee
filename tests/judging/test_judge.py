"""Reference metrics against independent oracles, and means with clustered errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core import AssayError, Sample
from assay.data import synthetic
from assay.judging import Judgement, chrf, default_method, exact_match, judge, rouge_l, summarise


def item(answer: str | None, kind: str = "open_qa", checker: str | None = None) -> Sample:
    return Sample.single("What?", answer, type=kind, checker=checker)


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [("Paris.", "paris", 1.0), ("巴黎。", "巴黎", 1.0), ("４２", "42", 1.0), ("Rome", "Paris", 0.0)],
)
def test_exact_match_ignores_case_width_and_punctuation(answer: str, reference: str, score: float) -> None:
    assert exact_match(answer, reference) == score


def _longest_common(a: list[str], b: list[str]) -> int:
    """The textbook table, as the oracle."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@given(
    st.lists(st.sampled_from("red blue cat dog".split())), st.lists(st.sampled_from("red cat cow".split()))
)
def test_rouge_l_is_the_f1_of_the_longest_common_subsequence(said: list[str], wanted: list[str]) -> None:
    expected = 2 * _longest_common(said, wanted) / (len(said) + len(wanted)) if said and wanted else None
    score = rouge_l(" ".join(said), " ".join(wanted))
    assert score == pytest.approx(float(said == wanted) if expected is None else expected)


def test_rouge_l_sees_words_in_chinese() -> None:
    assert rouge_l("我喜欢北京", "我喜欢北京") == 1.0
    assert 0 < rouge_l("我喜欢上海", "我喜欢北京") < 1
    assert rouge_l("天气很好", "我喜欢北京") == 0.0


def test_chrf_is_that_of_its_library_and_orders_near_before_far() -> None:
    near, far = chrf("红色的狼。", "红色的狼"), chrf("红色的狗", "红色的狼")
    assert 1 >= near > far > 0
    assert chrf("the red wolf", "the red wolf") == pytest.approx(1.0)


def test_the_method_follows_from_the_item() -> None:
    checker = synthetic.checker("label", accept=["good"])
    assert default_method(item("x", checker=checker)) == "checker"
    assert default_method(item(None)) is None
    assert default_method(item("x", "math")) == "exact_match"
    assert default_method(item("x", "translation")) == "chrf"
    assert default_method(item("x", "summarization")) == "rouge_l"


def test_what_cannot_be_scored_has_no_score_and_a_reason() -> None:
    unscored = judge(item(None), "anything")
    assert unscored.score is None and unscored.reason == "no checker and no reference"
    assert judge(item(None), "anything", "rouge_l").score is None
    assert judge(item("x"), "anything", "checker").reason == "no checker"
    with pytest.raises(AssayError, match="exact_match"):
        judge(item("x"), "x", "vibes")


def _rows(scores: list[tuple[str, float | None]]) -> list[Judgement]:
    return [Judgement(f"{i}", "math", group, "m", score) for i, (group, score) in enumerate(scores)]


def test_the_standard_error_is_clustered_by_group() -> None:
    rng = np.random.default_rng(0)
    scores = [(f"g{i % 7}", float(rng.random())) for i in range(60)]
    (summary,) = summarise(_rows(scores))
    values = np.array([s for _, s in scores])
    residuals = values - values.mean()
    # Miller 2024, equation 4, written as the double sum over pairs of the same cluster.
    total = sum(
        residuals[i] * residuals[j] for i in range(60) for j in range(60) if scores[i][0] == scores[j][0]
    )
    assert summary.mean == pytest.approx(values.mean())
    assert summary.se == pytest.approx(math.sqrt(total) / 60)


def test_missing_scores_are_counted_and_are_not_zeros() -> None:
    (summary,) = summarise(_rows([("a", 1.0), ("b", None), ("c", 0.5)]))
    assert (summary.mean, summary.n, summary.missing) == (0.75, 2, 1)
    assert summarise(_rows([("a", None)])) == []
    assert summarise(_rows([("a", 1.0)]))[0].se is None
