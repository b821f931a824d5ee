"""All findings of one set of points, in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from assay.core import CurveResult, Curves, Point, Reading, Worth
from assay.curves._balance import balance_points
from assay.curves._compare import RANDOM, compare_arms, recommend
from assay.curves._descent import double_descent
from assay.curves._fit import TRUSTED, Told, fit_curves
from assay.curves._free import FreeForm
from assay.curves._held_out import held_out


def read_curves(
    points: Iterable[Point],
    *,
    satisfied_at: float | None = None,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
    reach: float = TRUSTED,
    form: FreeForm | None = None,
    price: float | None = None,
    hours: float | None = None,
    pools: Mapping[str, int] | None = None,
    asked: int | None = None,
    baseline: str = RANDOM,
    told: Told = lambda done, total: None,
) -> Reading:
    """Fit curves, compare arms, look for double descent and balance points.

    ``price`` is what 1,000 samples cost in money, ``hours`` what one training pass with 1,000 more takes;
    ``pools`` the number of samples that each arm chooses from, ``baseline`` the arm that others are compared
    with.  The others as in :func:`fit_curves`.
    """
    rows = list(points)
    absolute, relative = smallest_gain, smallest_relative_gain
    fitted = fit_curves(
        rows,
        satisfied_at=satisfied_at,
        smallest_gain=absolute,
        smallest_relative_gain=relative,
        reach=reach,
        form=form,
        asked=asked,
        pools=pools,
        told=told,
    )
    comparisons = compare_arms(
        rows, smallest_gain=absolute, smallest_relative_gain=relative, baseline=baseline
    )
    curves = Curves(_timed(curve, hours) for curve in fitted)
    return Reading(
        curves=curves,
        worth=tuple(worth(curves, price=price, hours=hours)),
        descents=tuple(double_descent(rows, smallest_gain=absolute, smallest_relative_gain=relative)),
        balances=tuple(
            balance_points(
                rows, baseline=baseline, smallest_gain=absolute, smallest_relative_gain=relative, pools=pools
            )
        ),
        comparisons=tuple(comparisons),
        held_out=tuple(held_out(rows)),
        answer=recommend(curves, comparisons, baseline=baseline),
    )


def _timed(curve: CurveResult, hours: float | None) -> CurveResult:
    """Add to a curve's next runs how long they take, where ``hours`` per 1,000 samples is known."""
    if hours is None or curve.verdict is None or curve.verdict.next_runs is None:
        return curve
    runs = curve.verdict.next_runs
    timed = replace(runs, hours=runs.passes / 1000 * hours)
    return replace(curve, verdict=replace(curve.verdict, next_runs=timed))


def worth(
    curves: Sequence[CurveResult], *, price: float | None = None, hours: float | None = None
) -> list[Worth]:
    """Return what the next 1,000 samples would buy, the largest gain of each metric first."""
    rows = [
        Worth(
            type=c.type,
            arm=c.arm,
            metric=c.metric,
            gain=c.next_thousand,
            per_money=c.next_thousand.gain / price if price else None,
            hours=hours,
        )
        for c in curves
        if c.next_thousand is not None
    ]
    return sorted(rows, key=lambda row: (row.metric, -row.gain.gain))
