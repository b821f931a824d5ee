"""Areas under data-efficiency curves, and a line that foretells them: known truths, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core import AssayError
from assay.curves import efficiency_area, efficiency_curve, fit_areas, left_out, size_for


@given(st.floats(0.05, 0.8), st.floats(-3, 3), st.floats(0.1, 4), st.booleans())
def test_the_area_of_a_power_is_the_one_it_is_made_from(
    area: float, base: float, room: float, falling: bool
) -> None:
    best = base - room if falling else base + room
    sizes = np.unique(np.geomspace(1, 5000, 400).astype(int)).tolist()
    values = [base + (best - base) * share for share in efficiency_curve(area, sizes, 5000)]
    found = efficiency_area(sizes, values, untrained=base, best=best, largest=5000)
    assert found == pytest.approx(area, abs=0.02)


@given(st.floats(0.05, 0.95), st.floats(0.05, 1.0))
def test_the_size_of_a_share_has_that_share(area: float, share: float) -> None:
    size = size_for(area, share, 5000)
    assert 1 <= size <= 5000 * (1 + 1e-9)
    if size > 1.001:
        assert efficiency_curve(area, [size], 5000)[0] == pytest.approx(share, rel=1e-6)


def test_what_cannot_be_known_is_no_area() -> None:
    assert efficiency_area([100, 200], [0.5, 0.6], untrained=0.2, best=1.0, largest=5000) is None, "too short"
    assert efficiency_area([4000], [0.5], untrained=1.0, best=1.0, largest=5000) is None, "nothing to gain"
    below = efficiency_area([50, 5000], [0.1, 0.1], untrained=0.2, best=1.0, largest=5000)
    assert below is not None and below < 0, "worse than untrained counts as measured"


def test_a_line_is_found_and_its_interval_holds_new_types() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        x = rng.uniform(0.1, 0.7, 9)
        y = 0.5 * x + 0.25 + 0.04 * rng.normal(size=9)
        fit = fit_areas(x[:-1].tolist(), y[:-1].tolist())
        mean, low, high = fit.area(float(x[-1]))
        assert low <= mean <= high
        held.append(low <= y[-1] <= high)
    assert 0.86 < np.mean(held) < 0.94
    assert fit.outside(0.9) and not fit.outside(float(x[0]))


def test_the_error_is_that_of_types_left_out() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(size=(2, 7))
    fit = fit_areas(x.tolist(), y.tolist())
    others = left_out(x.tolist(), y.tolist())
    alone = fit_areas(x[1:].tolist(), y[1:].tolist())
    assert others[0] == pytest.approx(alone.intercept + alone.slope * x[0])
    assert fit.error == pytest.approx(float(np.sqrt(((y - others) ** 2).mean())))


def test_few_types_make_no_line() -> None:
    with pytest.raises(AssayError, match="too few types"):
        fit_areas([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4])
    with pytest.raises(AssayError, match="too few types"):
        fit_areas([0.3] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
