"""Order statistics and sums are those of numpy and scipy, whatever the shape, ties and gaps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.special import logsumexp

from assay.core import Point
from assay.curves._numbers import TAILS, log_sum, medians, tails
from assay.curves._table import ladders, moderated_noise, replicates

_NUMBERS = st.floats(-1e6, 1e6)


@given(arrays(np.float64, array_shapes(min_dims=1, max_dims=3, max_side=40), elements=_NUMBERS))
def test_tails_are_linear_quantiles_over_the_first_axis(draws: np.ndarray) -> None:
    np.testing.assert_allclose(tails(draws), np.quantile(draws, TAILS, axis=0), rtol=1e-12, atol=1e-9)


@given(arrays(np.float64, st.tuples(st.integers(1, 7), st.integers(1, 9)), elements=_NUMBERS), st.data())
def test_medians_leave_out_what_did_not_run(values: np.ndarray, data: st.DataObject) -> None:
    missing = data.draw(arrays(bool, values.shape))
    missing[data.draw(st.integers(0, len(values) - 1))] = False
    values[missing] = np.nan
    np.testing.assert_allclose(medians(values), np.nanmedian(values, axis=0), rtol=1e-12)


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-800, 800) | st.just(-np.inf)))
def test_log_sum_is_scipys(log: np.ndarray) -> None:
    log[0] = 3.0
    np.testing.assert_allclose(log_sum(log), logsumexp(log), rtol=1e-12)


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 4))
def test_noise_pooled_once_is_each_ladders_own_and_that_of_the_others(
    seed: int, types: int, seeds: int
) -> None:
    rng = np.random.default_rng(seed)
    points = [
        Point(f"t{t}", n, s, "loss", float(rng.uniform(1, 4)))
        for t in range(types)
        for n in (10, 20, 40)
        for s in range(seeds)
    ]
    found = ladders(points)
    pooled = replicates(found)
    for own in found:
        others = [x for x in found if x is not own]
        freedom = sum(x.freedom for x in others)
        noise = moderated_noise(own, pooled)
        if freedom + own.freedom == 0:
            assert noise is None
        elif freedom >= 4:
            prior = sum(x.squares for x in others) / freedom
            variance = (own.squares + 4 * prior) / (own.freedom + 4)
            np.testing.assert_allclose(noise, (np.sqrt(variance), own.freedom + 4))
        else:
            variance = sum(x.squares for x in found) / (freedom + own.freedom)
            np.testing.assert_allclose(noise, (np.sqrt(variance), freedom + own.freedom))
