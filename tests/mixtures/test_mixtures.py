"""Designs are orthogonal, effects are found and covered, and nothing is claimed where nothing is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from assay.core import AssayError
from assay.mixtures import WAYS, MixEffects, MixPage, MixRuns, fit_effects, mix_design, mix_power
from assay.view import value_html, value_json, value_markdown

NAMES = tuple("math code cot classification extraction open_qa closed_qa generation rewrite".split())
SD = 0.008


def study(
    gamma: NDArray[np.float64], seed: int = 0, *, k: int = 9, sd: float = SD, loss: bool = False,
    bend: float = 0.0, way: str = "folded",
) -> MixRuns:  # fmt: skip
    design = mix_design(dict.fromkeys(NAMES[:k], 100), way, seed=seed)  # type: ignore[arg-type]
    x = np.log2(design.counts / 100)
    rng = np.random.default_rng(seed)
    y = 0.5 + x @ gamma + bend * (x**2).sum(axis=1, keepdims=True) / k + rng.normal(0, sd, (len(x), k))
    values = np.exp(-y) if loss else y
    labels = tuple(f"run{i}" for i in range(len(x)))
    return MixRuns(design.names, design.names, design.counts.astype(float), values, loss, labels)


def planted(k: int = 9) -> NDArray[np.float64]:
    """Own effects, one harmful pair (math to extraction) and one helpful one (code to math)."""
    gamma = np.diag(np.linspace(0.02, 0.04, k))
    gamma[0, 4], gamma[1, 0] = -0.03, 0.025
    return gamma


def shown(fit: MixEffects) -> dict[tuple[str, str], float]:
    return {(e.part, e.type): e.gain for e in fit.effects if e.shown and not e.own}


@settings(max_examples=30, deadline=None)
@given(k=st.integers(2, 30))
def test_a_folded_design_tells_parts_from_each_other_and_from_pairs(k: int) -> None:
    design = mix_design({f"t{i}": 64 for i in range(k)})
    levels = design.levels[: -design.centres]
    runs = len(levels)
    assert np.array_equal(levels.T @ levels, runs * np.eye(k)) and (levels.sum(axis=0) == 0).all()
    pairs = levels[:, :1] * levels
    assert np.abs(levels.T @ pairs).max() == 0, "an effect of two parts together moves no effect of one"
    assert set(np.unique(design.counts[:-2]).tolist()) == {32, 128} and (design.counts[-2:] == 64).all()
    assert runs < 4 * k + 8


@pytest.mark.parametrize("way", WAYS)
def test_power_is_the_error_that_the_fit_has(way: str) -> None:
    design = mix_design(dict.fromkeys(NAMES, 1000), way)  # type: ignore[arg-type]
    foretold = np.array([p.error for p in mix_power(design, SD, 9)])
    fits = [fit_effects(study(planted(), seed, way=way)) for seed in range(5 if way != "dirichlet" else 0)]
    if fits:
        raw = np.array([[e.raw for e in fit.effects] for fit in fits])
        seen = raw.std(axis=0, ddof=1).reshape(9, 9).mean(axis=1)
        assert seen == pytest.approx(foretold, rel=0.4)
    assert all(p.alone < p.among for p in mix_power(design, SD, 9))


@pytest.mark.parametrize("loss", [False, True])
def test_planted_effects_are_found_and_none_is_invented(loss: bool) -> None:
    fit = fit_effects(study(planted(), 1, loss=loss))
    assert set(shown(fit)) == {("math", "extraction"), ("code", "math")}
    assert shown(fit)["math", "extraction"] == pytest.approx(-0.03, abs=0.006)
    assert all(e.shown and e.low < e.gain < e.high for e in fit.effects if e.own)
    assert fit.failed == () and fit.found == pytest.approx(0.0075, rel=0.3)


def test_intervals_hold_the_truth_and_nulls_stay_unsaid() -> None:
    """Over many studies: 90 % intervals of all cells, of large cells, and the share of false words."""
    gamma = planted()
    fits = [fit_effects(study(gamma, seed)) for seed in range(15)]
    low, high = (np.array([[getattr(e, end) for e in f.effects] for f in fits]) for end in ("low", "high"))
    inside = (low <= gamma.ravel()) & (gamma.ravel() <= high)
    own, large = np.eye(9, dtype=bool).ravel(), (np.abs(gamma) > 0.01).ravel()
    assert inside.mean() >= 0.9 and 0.82 <= inside[:, own].mean() <= 0.97
    assert inside[:, large & ~own].mean() >= 0.75
    nothing = [fit_effects(study(np.diag(np.full(9, 0.03)), seed)) for seed in range(15)]
    assert np.mean([bool(shown(f)) for f in nothing]) <= 0.24, "a false word in one study of ten, at most"


def test_a_failed_run_is_named_though_the_design_is_full() -> None:
    good = study(planted(8), 2, k=8)
    values = good.values.copy()
    values[5] -= 0.2
    fit = fit_effects(replace(good, values=values))
    assert [run.label for run in fit.failed] == ["run5"] and fit.runs == len(values) - 1
    assert set(shown(fit)) >= {("math", "extraction"), ("code", "math")}
    with_it = fit_effects(good)
    assert [e.raw for e in fit.effects] == pytest.approx([e.raw for e in with_it.effects], abs=0.02)
    assert "run5" in value_markdown(MixPage("mine", fit))


@settings(max_examples=25, deadline=None)
@given(rows=st.sets(st.integers(0, 17), max_size=6), k=st.sampled_from([3, 8]))
def test_however_many_runs_fail_there_is_an_answer(rows: set[int], k: int) -> None:
    good = study(planted()[:k, :k], 7, k=k)
    values = good.values.copy()
    failed = [row for row in rows if row < len(values)]
    values[failed] -= 0.3
    fit = fit_effects(replace(good, values=values))
    assert {run.label for run in fit.failed} <= {f"run{row}" for row in failed}
    assert all(np.isfinite([e.gain, e.low, e.high, e.q]).all() for e in fit.effects)


def test_a_bend_of_all_types_is_seen_and_moves_no_effect() -> None:
    straight, bent = (fit_effects(study(planted(), 3, bend=b)) for b in (0.0, -0.02))
    assert [e.raw for e in bent.effects] == pytest.approx([e.raw for e in straight.effects])
    assert bent.curvature[0].type == "overall" and bent.curvature[0].shown and bent.curvature[0].bend < 0
    assert bent.curvature[0].bend == pytest.approx(-0.02, abs=0.008)


def test_the_order_of_runs_parts_and_types_changes_nothing() -> None:
    one = study(planted(), 4)
    rng = np.random.default_rng(0)
    r, p, t = rng.permutation(len(one.values)), rng.permutation(9), rng.permutation(9)
    other = MixRuns(
        tuple(one.names[i] for i in p), tuple(one.types[i] for i in t), one.counts[r][:, p],
        one.values[r][:, t], False, tuple(one.labels[i] for i in r),
    )  # fmt: skip
    first, second = ({(e.part, e.type): e.gain for e in fit_effects(x).effects} for x in (one, other))
    assert second == pytest.approx(first, abs=1e-9)


def test_random_shares_with_nothing_of_some_parts_are_read() -> None:
    rng = np.random.default_rng(5)
    shares = rng.dirichlet(np.full(4, 0.8), 60)
    shares[shares < 0.02] = 0
    losses = np.exp(1.5 - 0.1 * np.log2(shares + 0.05) + rng.normal(0, 0.01, (60, 4)))
    names = NAMES[:4]
    fit = fit_effects(MixRuns(names, names, shares, losses, True, tuple(map(str, range(60)))))
    assert fit.offset > 0 and all(e.shown and e.gain > 0 for e in fit.effects if e.own)


def test_what_cannot_be_told_is_refused() -> None:
    one = study(planted(), 6)
    tied = one.counts.copy()
    tied[:, 1] = 2 * tied[:, 0]
    with pytest.raises(AssayError, match="always change together") as told:
        fit_effects(replace(one, counts=tied))
    assert "math" in str(told.value) and "code" in str(told.value) and "cot" not in str(told.value)
    still = one.counts.copy()
    still[:, 2] = 100
    with pytest.raises(AssayError, match="never changes"):
        fit_effects(replace(one, counts=still))
    with pytest.raises(AssayError, match="too few mixtures"):
        fit_effects(replace(one, counts=one.counts[3:14], values=one.values[3:14], labels=one.labels[3:14]))
    with pytest.raises(AssayError, match="no value"):
        fit_effects(replace(one, values=np.where(one.values == one.values[3, 3], np.nan, one.values)))
    with pytest.raises(AssayError, match="too small"):
        mix_design({"math": 100, "code": 1})


@pytest.mark.parametrize("loss", [False, True])
def test_sentences_say_the_direction_of_the_metric(loss: bool) -> None:
    page = MixPage("mine", fit_effects(study(planted(), 1, loss=loss)))
    en, zh = value_markdown(page, "en"), value_markdown(page, "zh")
    if loss:
        assert (
            "More math raises the loss on extraction by" in en
            and "“数学”数据每加倍一次，“抽取”损失升高" in zh
        )
        assert "More code lowers the loss on math by" in en and "损失降低" in zh
    else:
        assert "More math lowers extraction by 0.0" in en and "得分降低" in zh
        assert "More code raises math by 0.0" in en
    assert "**" in en and "heat hm" in value_html(page) and value_json(page)["blocks"]
    nothing = MixPage("mine", fit_effects(study(np.diag(np.full(9, 0.03)), 0, loss=loss)))
    text = value_markdown(nothing, "en")
    assert "No type is shown to hurt another; harm of 0." in text and "chance of 80 %" in text


def test_a_large_change_of_a_loss_is_a_share_of_it() -> None:
    """A gain of 1.4 in log loss takes three quarters of the loss away, not 140 % of it."""
    gamma = 1.4 * np.eye(3)
    gamma[0, 1] = -0.7
    runs = study(gamma, 3, k=3, loss=True)
    text = value_markdown(MixPage("mine", fit_effects(replace(runs, near_zero=(0.0,) * 3))), "en")
    assert "comes near zero" not in text
    assert "comes near zero" in value_markdown(MixPage("mine", fit_effects(runs)), "en")
    assert "75" in text.split("Its own data lower the loss of 3 of 3 types, by ")[1][:14]
    assert "More math raises the loss on code by 10" in text, "twice the loss is 100 % more"
