"""The laws of indicators."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from assay import indicators
from assay.core import Sample
from assay.indicators import Indicator, Models, Undefined
from assay.testing._data import samples
from assay.testing._suite import Suite

_NEEDS = ("base", "second", "embedder", "reward", "dialog", "rater", "target", "reference", "pool")


def _models() -> Models:
    """Return the embedded models, and samples where an indicator wants some to compare with."""
    few = samples()[:4]
    return Models(embedder="lexical", second="pocket", target=few, reference=few, neighbour=3, max_tokens=128)


@cache
def _ready(name: str, pool: tuple[Sample, ...]) -> Indicator:
    """Return the indicator, made once for a pool: some are trained."""
    (indicator,) = indicators.ready([name], _models(), pool)
    assert indicator.measure is not None, "ready() gave no measure"
    return indicator


def _values(name: str, rows: Sequence[Sample], pool: tuple[Sample, ...]) -> list[Any]:
    measure = _ready(name, pool).measure
    assert measure is not None, "no measure"
    return list(measure(list(rows)))


@cache
def _once(name: str, rows: tuple[Sample, ...], pool: tuple[Sample, ...]) -> tuple[Any, ...]:
    """Return values that several laws look at, measured once; that a second call gives the same is a law."""
    return tuple(_values(name, rows, pool))


def fingerprint(name: str, count: int) -> list[Any]:
    """Return all values, or the reasons for there being none."""
    rows = samples(count)
    return [v.reason if isinstance(v, Undefined) else v for v in _values(name, rows, rows)]


class IndicatorSuite(Suite):
    """Inherit it and set ``name``; the models are the embedded ones.

    ``tolerance`` is by how much a value may differ between batches and orders, as a share of it: 0 for what
    is computed from the text, 1e-4 where a model's sums are taken in another order.
    """

    plugins = indicators.PLUGINS
    fingerprint = f"{__name__}:fingerprint"
    tolerance: float = 0.0
    count: int = 40
    """How many samples of the testbed are measured; fewer where an indicator is costly."""

    def arguments(self) -> tuple[Any, ...]:
        """Return name and number of samples."""
        return (self.name, self.count)

    def equal(self, first: Any, second: Any) -> bool:
        """Tell whether values are the same, within ``tolerance``: another process may use other threads."""
        return len(first) == len(second) and all(
            a == b
            or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=self.tolerance))
            for a, b in zip(first, second, strict=True)
        )

    @property
    def rows(self) -> tuple[Sample, ...]:
        """The samples that are measured."""
        return samples(self.count)

    def values(self, rows: Sequence[Sample], pool: tuple[Sample, ...] | None = None) -> list[Any]:
        """Measure samples of a pool, all of them by default."""
        return list(_once(self.name, tuple(rows), self.rows if pool is None else pool))

    def test_it_says_what_it_is(self) -> None:
        """Name, unit, direction, source and needs are there for tables and pages."""
        found = indicators.find(self.name)
        assert isinstance(found, Indicator), f"a {type(found).__name__}"
        assert found.unit.strip(), "no unit"
        assert found.source.strip(), "no source: say who proposed it"
        assert found.direction in (-1, 0, 1), f"direction {found.direction!r}"
        strange = set(found.needs) - set(_NEEDS)
        assert not strange, f"needs {strange}, none of {_NEEDS}"
        assert found.measure is not None or found.make is not None, "neither measure nor make"
        assert not (found.needs and found.make is None), "it needs something and has no make"

    def test_each_sample_has_a_value_or_a_reason(self) -> None:
        """A value is a finite number; where there is none, a reason says why; never NaN, never None."""
        rows = self.rows
        found = self.values(rows)
        assert len(found) == len(rows), f"{len(found)} values for {len(rows)} samples"
        for sample, value in zip(rows, found, strict=True):
            if isinstance(value, Undefined):
                assert value.reason.strip(), f"undefined without a reason: {sample}"
            else:
                assert isinstance(value, int | float) and math.isfinite(value), f"{value!r} for {sample}"

    def test_the_order_of_rows_changes_nothing(self) -> None:
        """Neither that of the samples nor that of the pool."""
        rows = self.rows
        turned = self.values(rows[::-1], rows[::-1])
        self.same(self.values(rows), turned[::-1], "the other way round")

    def test_the_size_of_batches_changes_nothing(self) -> None:
        """One by one, five at a time, and all at once give the same values."""
        rows = self.rows
        whole = self.values(rows)
        (indicator,) = indicators.ready([self.name], _models(), rows)
        assert indicator.measure is not None, "no measure"
        for size in (1, 5):
            parts = [rows[start : start + size] for start in range(0, len(rows), size)]
            self.same(
                whole, [v for part in parts for v in indicator.measure(list(part))], f"{size} at a time"
            )

    def test_no_samples_give_no_values(self) -> None:
        """An empty batch is measured, not refused."""
        assert self.values([]) == [], "values for no samples"

    def test_what_it_is_given_is_left_alone(self) -> None:
        """The list of samples is neither sorted nor shortened."""
        rows, measure = list(self.rows), _ready(self.name, self.rows).measure
        assert measure is not None, "no measure"
        measure(rows)
        assert rows == list(self.rows), "the list that it was given has changed"

    def test_what_is_cached_depends_on_the_text_alone(self) -> None:
        """With a ``revision`` values are kept by the digest of the messages, so nothing else may count."""
        if _ready(self.name, self.rows).revision:
            bare = tuple(Sample(sample.messages) for sample in self.rows)
            self.same(self.values(self.rows), self.values(bare, bare), "without type, language and source")

    def test_the_table_counts_what_has_no_value(self, tmp_path: Path) -> None:
        """``assay score`` writes a column in which every null has its reason."""
        import polars

        rows, out = self.rows, tmp_path / "scores.parquet"
        (summary,) = indicators.score(rows, out, [self.name], models=_models()).indicators
        table = polars.read_parquet(out)
        nulls = table.filter(polars.col(self.name).is_null())
        assert summary.undefined == len(nulls) == len(rows) - summary.defined, summary
        told = [why for why in nulls["why"].to_list() if why.startswith(f"{self.name}: ")]
        assert len(told) == len(nulls), "a null without its reason"

    def same(self, a: Sequence[Any], b: Sequence[Any], how: str) -> None:
        """Compare two columns, within the tolerance."""
        for sample, x, y in zip(self.rows, a, b, strict=True):
            near = (
                x == y
                if isinstance(x, Undefined) or isinstance(y, Undefined)
                else math.isclose(x, y, rel_tol=self.tolerance, abs_tol=self.tolerance)
            )
            assert near, f"{how}: {y!r}, not {x!r}, for {dataclasses.asdict(sample)}"
