"""Agreement against published values, and against the definition by pairs."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.annotation import HumanLabel, agreement
from assay.judging import krippendorff_alpha

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section D: four observers, twelve units.
TABLE = """1 2 3 3 2 1 4 1 2 . . .
           1 2 3 3 2 2 4 1 2 5 . 3
           . 3 3 3 2 3 4 2 2 5 1 .
           1 2 3 3 2 4 4 1 2 5 1 ."""
UNITS = [
    [int(v) for v in unit if v != "."]
    for unit in zip(*(row.split() for row in TABLE.splitlines()), strict=True)
]


def test_the_published_example() -> None:
    nominal, interval = krippendorff_alpha(UNITS), krippendorff_alpha(UNITS, "interval")
    assert nominal.value == pytest.approx(0.743, abs=5e-4)
    assert interval.value == pytest.approx(0.849, abs=5e-4)
    assert (nominal.units, nominal.values) == (11, 40)  # the unit of one value holds no pair


def test_the_published_examples_of_two_observers() -> None:
    binary = zip("0100000010", "1110010000", strict=True)
    assert krippendorff_alpha(list(binary)).value == pytest.approx(0.095, abs=5e-4)
    named = zip("aabbdcccedda", "babbbccceddd", strict=True)
    assert krippendorff_alpha(list(named)).value == pytest.approx(0.692, abs=5e-4)


@given(st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=5), max_size=12))
def test_alpha_is_one_less_observed_over_expected(units: list[list[float]]) -> None:
    """The definition, by all pairs: within units (each value of a unit of m weighs 1), and among all."""
    paired = [unit for unit in units if len(unit) > 1]
    for level in ("nominal", "interval"):
        far = (lambda a, b: float(a != b)) if level == "nominal" else (lambda a, b: (a - b) ** 2)
        found = krippendorff_alpha(units, level)  # type: ignore[arg-type]
        values = [v for unit in paired for v in unit]
        expected = [far(a, b) for a, b in itertools.permutations(values, 2)]
        if not paired or sum(expected) == 0:
            assert found.value is None and found.reason
            continue
        observed = sum(sum(far(a, b) for a, b in itertools.permutations(u, 2)) / (len(u) - 1) for u in paired)
        wanted = 1 - (observed / len(values)) / (sum(expected) / len(expected))
        assert found.value is not None and math.isclose(found.value, wanted, abs_tol=1e-9)


def label(item: str, annotator: str, kind: str | None, answer: str | None, score: float | None) -> HumanLabel:
    return HumanLabel(item, annotator, kind, answer, score, "", "", None, 1)


def test_what_was_not_given_is_missing_not_zero() -> None:
    labels = [
        label("a", "x", "math", "一", 0.0), label("a", "y", "math", "一 \n", None),
        label("b", "x", "code", None, 1.0), label("b", "y", "math", "two", 1.0),
        label("c", "x", None, "if a:\n  b", 0.5), label("c", "y", "cot", "if a:\nb", 0.75),
    ]  # fmt: skip
    found = agreement(labels)
    assert (found.types.units, found.scores.units, found.answers.units) == (2, 2, 2)
    assert found.scores.value == krippendorff_alpha([[1.0, 1.0], [0.5, 0.75]], "interval").value
    assert found.answers.same == 0.5  # blanks at the end are nothing, indentation is something
