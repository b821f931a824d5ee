"""The suites of assay.testing, and what is particular to this package."""

from __future__ import annotations

import pytest
from assay_politeness import COURTESY, POLITENESS

from assay.core import Sample, Undefined
from assay.testing import IndicatorSuite, JudgeSuite


class TestPoliteness(IndicatorSuite):
    name = "politeness"


class TestCourtesy(JudgeSuite):
    name = "courtesy"


@pytest.mark.parametrize(
    ("answer", "rate"),
    [("Thank you, that is right.", 20.0), ("Four.", 0.0), ("谢谢。", 100.0)],
)
def test_rate_of_polite_phrases(answer: str, rate: float) -> None:
    assert POLITENESS.measure is not None
    assert POLITENESS.measure([Sample.single("2 + 2?", answer)]) == [rate]


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("Four, thanks for asking.", 1.0),
        ("Four.", 0.5),
        ("Whatever. Please shut up.", 0.0),
        ("请稍等。", 1.0),
    ],
)
def test_score(answer: str, score: float) -> None:
    assert COURTESY(Sample.single("2 + 2?", "4"), answer) == score


def test_no_answer_is_not_rude() -> None:
    assert COURTESY(Sample.single("2 + 2?", "4"), " ") == Undefined("no answer")
