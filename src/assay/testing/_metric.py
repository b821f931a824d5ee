"""The laws of metrics of answers."""

from __future__ import annotations

import math
from typing import Any

from assay.core import METRICS, higher_is_better, metric_value
from assay.testing._data import items
from assay.testing._suite import Suite


def fingerprint(name: str) -> list[Any]:
    """Return all values, or the reasons for there being none."""
    found = [metric_value(METRICS[name], item, answer) for item, answer in items()]
    return [reason if value is None else value for value, reason in found]


class MetricSuite(Suite):
    """Inherit it and set ``name``."""

    plugins = METRICS
    fingerprint = f"{__name__}:fingerprint"

    def test_it_says_what_it_is(self) -> None:
        """Unit, direction and bounds are there; a bound that is no number is None."""
        found = METRICS[self.name]
        assert found.unit.strip(), "no unit"
        assert higher_is_better(self.name) == (found.direction == 1), f"direction {found.direction!r}"
        bounds = [bound for bound in (found.low, found.high) if bound is not None]
        assert all(map(math.isfinite, bounds)), "a bound that is not finite: write None"
        assert bounds == sorted(set(bounds)), "low is not below high"

    def test_each_answer_has_a_value_within_its_bounds_or_a_reason(self) -> None:
        """A value is finite and within the bounds; where there is none, a reason says why."""
        found = fingerprint(self.name)  # raises for anything else
        assert any(isinstance(value, float) for value in found), "no answer has a value"

    def test_the_order_of_answers_changes_nothing(self) -> None:
        """A metric remembers nothing of what it measured before."""
        metric = METRICS[self.name]
        turned = [metric_value(metric, item, answer) for item, answer in items()[::-1]]
        straight = [metric_value(metric, item, answer) for item, answer in items()]
        assert turned[::-1] == straight, "values depend on what was measured before"
