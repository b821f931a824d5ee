"""The arithmetic of the proof against an independent oracle: weighted regression with clustered errors."""

from __future__ import annotations

import numpy as np
import pytest

from assay.core import OVERALL, Sample
from assay.judging import Judgement
from assay.release._proof import Loss, loss_drops, same_answers, score_drops


def measured(seed: int, shift: float, n: int = 60) -> tuple[list[Sample], list[Loss], list[Loss]]:
    """Items of three types in clusters that may span types, before and after."""
    random = np.random.default_rng(seed)
    items, before, after = [], [], []
    for i in range(n):
        kind = ("math", "code", "open_qa")[i % 3]
        items.append(Sample.single(f"{seed} {i}", "x", type=kind, group=f"g{i // 4}"))
        tokens = int(random.integers(1, 30))
        nats = float(tokens * random.uniform(1, 3))
        before.append(Loss(nats, tokens))
        after.append(Loss(nats + tokens * float(random.normal(shift, 0.1)), tokens))
    return items, before, after


def test_loss_against_clustered_regression() -> None:
    models = pytest.importorskip("statsmodels.api", reason="statsmodels is the oracle")
    items, before, after = measured(0, 0.05)
    drops = {drop.type: drop for drop in loss_drops(items, before, after)}
    kinds = list(drops)[:-1]
    assert list(drops)[-1] == OVERALL and len(kinds) == 3
    tokens = np.array([row.tokens for row in before])
    rate = np.array([b.nats - a.nats for a, b in zip(before, after, strict=True)]) / tokens
    groups = np.array([int(str(item.group)[1:]) for item in items])
    design = np.array([[float(item.type == kind) for kind in kinds] for item in items])
    count = len(set(groups))
    correction = np.sqrt(count / (count - 1))
    fitted = models.WLS(rate, design, weights=tokens).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False, "df_correction": True},
        use_t=True,
    )  # fmt: skip
    contrast = np.full(3, 1 / 3)
    whole = fitted.t_test(contrast)
    assert drops[OVERALL].cost == pytest.approx(float(whole.effect[0]))
    assert drops[OVERALL].se == pytest.approx(float(whole.sd[0, 0]) * correction)
    for i, kind in enumerate(kinds):
        rows = design[:, i] > 0
        own = models.WLS(rate[rows], np.ones(rows.sum()), weights=tokens[rows]).fit(
            cov_type="cluster", cov_kwds={"groups": groups[rows]}, use_t=True
        )
        low, high = own.conf_int(0.1)[0]
        assert drops[kind].cost == pytest.approx(float(own.params[0]))
        assert (drops[kind].low, drops[kind].high) == (pytest.approx(low), pytest.approx(high))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = sum(
        drop.low <= 0.05 <= drop.high
        for seed in range(300)
        for drop in loss_drops(*measured(seed, 0.05))
        if drop.type == OVERALL and drop.low is not None and drop.high is not None
    )
    assert 0.85 <= held / 300 <= 0.95


def test_nothing_changed_costs_nothing() -> None:
    items, before, _ = measured(1, 0.0)
    for drop in loss_drops(items, before, before):
        assert (drop.cost, drop.se, drop.low, drop.high, drop.word) == (0.0, 0.0, 0.0, 0.0, "as good")


def test_a_cost_that_matters_is_named_and_a_small_one_is_none() -> None:
    items, before, _ = measured(2, 0.0)
    worse = [Loss(row.nats * 1.05 + 0.001 * i, row.tokens) for i, row in enumerate(before)]
    assert {drop.word for drop in loss_drops(items, before, worse)} == {"worse"}
    assert {drop.word for drop in loss_drops(items, worse, before)} == {"better"}
    little = [Loss(row.nats * 1.001, row.tokens) for row in before]
    assert {drop.word for drop in loss_drops(items, before, little)} == {"as good"}, "sure, and of no matter"


def test_what_could_not_be_measured_is_left_out_and_counted() -> None:
    items, before, after = measured(3, 0.1)
    drops = loss_drops(items, [None, *before[1:]], [*after[:-1], None])
    assert [drop.left_out for drop in drops] == [1, 0, 1, 2] and [drop.n for drop in drops] == [
        19,
        20,
        19,
        58,
    ]
    single = loss_drops(items[:1], before[:1], after[:1])
    assert single[0].low is None and single[0].word == "undecided" and len(single) == 1
    nothing = loss_drops(items[:1], [None], after[:1])
    assert (nothing[0].cost, nothing[0].n, nothing[0].left_out) == (None, 0, 1)


def test_scores_are_paired_and_oriented() -> None:
    def rows(scores: list[float | None]) -> list[Judgement]:
        return [
            Judgement(str(i), ("math", "code")[i % 2], None, "checker-v1", score)
            for i, score in enumerate(scores)
        ]

    before, after = rows([1.0, 1.0, 1.0, 0.0, 1.0, None]), rows([0.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    found = {drop.type: drop for drop in score_drops(before, after, 0.01)}
    assert found["math"].cost == pytest.approx(2 / 3) and found["math"].n == 3
    assert (found["math"].before, found["math"].after) == (1.0, pytest.approx(1 / 3))
    assert (found["code"].cost, found["code"].left_out, found["code"].word) == (0.0, 1, "as good")
    assert (
        found[OVERALL].cost
        == pytest.approx(1 / 3)
        == pytest.approx(
            found[OVERALL].before - found[OVERALL].after  # type: ignore[operator]
        )
    )
    assert found["math"].se == pytest.approx(np.std([1, 0, 1], ddof=1) / np.sqrt(3))


def test_answers_that_stayed() -> None:
    assert same_answers(["a", "b", None], ["a", "c", "d"]) == 0.5
    assert same_answers([], []) is None


def test_what_matters_is_measured_by_the_overall_loss_where_a_type_has_none() -> None:
    items, before, _ = measured(4, 0.0)
    known = [Loss(0.001, row.tokens) if i % 3 == 0 else row for i, row in enumerate(before)]
    after = [Loss(row.nats + 1e-4 * (1 + i % 5), row.tokens) for i, row in enumerate(known)]
    drops = {drop.type: drop for drop in loss_drops(items, known, after)}
    assert drops["math"].threshold == drops[OVERALL].threshold < drops["code"].threshold
    assert {drop.word for drop in drops.values()} == {"as good"}
