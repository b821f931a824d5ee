"""Would the curves have foreseen the largest rung?  The check that every user's own data allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from assay.core import OVERALL, HeldOut, Point
from assay.curves._curve import LEAST_RUNGS, Curve, fit_group
from assay.curves._fit import TRUSTED
from assay.curves._numbers import tails
from assay.curves._table import Ladder, ladders

MOST = 1000
"""Curves that are fitted again, at most: enough to tell a share of nine in ten within one in a hundred."""


def held_out(points: Iterable[Point], *, most: int = MOST) -> list[HeldOut]:
    """Fit each ladder without its largest rung and predict that rung's mean, noise of its runs included.

    Ladders of fewer than four rungs, or whose largest is more than twice the one before, are left out: there
    the prediction would be refused as well.  Of more than ``most`` ladders, the overall ones and as many,
    taken evenly, are fitted again.
    """
    groups: dict[str, list[tuple[Ladder, Ladder]]] = defaultdict(list)
    rows = list(points)
    whole = {(x.type, x.arm, x.metric): x for x in ladders(rows)}
    tops = {
        key: x.n[-1] for key, x in whole.items() if len(x.n) > LEAST_RUNGS and x.n[-1] <= TRUSTED * x.n[-2]
    }
    if len(tops) > most:
        evenly = set(np.linspace(0, len(tops) - 1, most).astype(int).tolist())
        tops = {key: top for i, (key, top) in enumerate(tops.items()) if i in evenly or key[0] == OVERALL}
    shorter = [p for p in rows if p.n_train < tops.get((p.type, p.arm, p.metric), 0)]
    for ladder in ladders(shorter):
        groups[ladder.metric].append((ladder, whole[ladder.type, ladder.arm, ladder.metric]))
    found = []
    for group in groups.values():
        curves = fit_group([ladder for ladder, _ in group], common_items=False)
        found += [_foreseen(curve, full) for curve, (_, full) in zip(curves, group, strict=True)]
    return found


def _foreseen(curve: Curve, full: Ladder) -> HeldOut:
    draws = curve.draw(full.n[-1:])
    seeds = [curve.draw_run(full.n[-1:], draws, stream)[:, 0] for stream in range(int(full.seeds[-1]))]
    low, high = tails(np.mean(seeds, axis=0))
    return HeldOut(
        full.type, full.arm, full.metric, int(full.n[-1]), float(full.value[-1]), float(low), float(high)
    )
