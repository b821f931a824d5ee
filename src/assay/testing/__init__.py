"""Conformance suites for plug-ins: inherit one, name the plug-in, and pytest runs the laws it has to keep.

    from assay.testing import IndicatorSuite

    class TestPoliteness(IndicatorSuite):
        name = "politeness"

Our own implementations pass the same suites.  Nothing here needs pytest to be imported; a law is a method
``test_…`` that raises ``AssertionError`` with what was seen.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.testing._curve_form import CurveFormSuite
    from assay.testing._data import items, samples
    from assay.testing._indicator import IndicatorSuite
    from assay.testing._judge import JudgeSuite
    from assay.testing._metric import MetricSuite
    from assay.testing._pool import PoolSuite
    from assay.testing._reader import ReaderSuite
    from assay.testing._result_reader import ResultReaderSuite
    from assay.testing._selection import SelectionSuite
    from assay.testing._trainer import TrainerSuite

_LAZY = {
    "CurveFormSuite": "_curve_form",
    "IndicatorSuite": "_indicator",
    "JudgeSuite": "_judge",
    "MetricSuite": "_metric",
    "PoolSuite": "_pool",
    "ReaderSuite": "_reader",
    "ResultReaderSuite": "_result_reader",
    "SelectionSuite": "_selection",
    "TrainerSuite": "_trainer",
    "items": "_data",
    "samples": "_data",
}
"""Imported when they are asked for: a suite brings what it tests, trainers torch."""

__all__ = [
    "CurveFormSuite",
    "IndicatorSuite",
    "JudgeSuite",
    "MetricSuite",
    "PoolSuite",
    "ReaderSuite",
    "ResultReaderSuite",
    "SelectionSuite",
    "TrainerSuite",
    "items",
    "samples",
]


def __getattr__(name: str) -> Any:
    """Import a suite at its first use."""
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
