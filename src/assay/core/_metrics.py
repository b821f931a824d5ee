"""Metrics: what is measured of a model's answers, and in which direction each improves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias, get_args

from assay.core._errors import AssayError
from assay.core._plugins import Plugins
from assay.core._samples import Sample
from assay.core._undefined import Undefined

Metric: TypeAlias = Literal["score", "loss", "bits_per_byte"]

DIRECTIONS: Mapping[str, bool] = {
    **dict.fromkeys(("score", "accuracy", "acc", "f1", "exact_match", "em", "bleu", "rouge", "rouge1"), True),
    **dict.fromkeys(("rouge2", "rougel", "chrf", "mcc", "auc", "auroc", "win_rate", "reward"), True),
    **dict.fromkeys(("precision", "recall", "pearson", "spearman", "bertscore", "comet", "pass@1"), True),
    **dict.fromkeys(("loss", "eval_loss", "test_loss", "bits_per_byte", "perplexity", "ppl", "nll"), False),
    **dict.fromkeys(("error", "error_rate", "mae", "mse", "rmse", "wer", "cer", "cross_entropy"), False),
}
"""Metrics whose direction is known, in small letters: whether a higher value is better."""


class ItemMetric(Protocol):
    """A number for each item and its answer; a model's value is the mean over the items of a type.

    Best a frozen dataclass.  ``version`` changes whenever values do; ``direction`` is +1 where more is
    better, -1 where less is; ``unit`` is for readers; ``low`` and ``high`` bound every value (None: no
    bound).  Calling it with an item and the answer that a model gave returns the value, or
    :class:`Undefined` with the reason; equal arguments give equal values, in every process.
    """

    name: str
    version: int
    direction: int
    unit: str
    low: float | None
    high: float | None

    def __call__(self, item: Sample, answer: str) -> float | Undefined:
        """Return the value of one answer."""


def _also(found: ItemMetric) -> str | None:
    return None if found.direction in (-1, 1) else f"its direction is {found.direction!r}, not 1 or -1"


METRICS: Plugins[ItemMetric] = Plugins("assay.metrics", "metric", ItemMetric, get_args(Metric), _also)
"""Metrics of other packages; ``measure.metrics`` of a study names those that it takes."""


def metric_value(metric: ItemMetric, item: Sample, answer: str) -> tuple[float | None, str | None]:
    """Return the value of one answer, or None with its reason; raise where a plug-in gave neither."""
    found = metric(item, answer)
    if isinstance(found, Undefined) and found.reason:
        return None, found.reason
    low = -math.inf if metric.low is None else metric.low
    high = math.inf if metric.high is None else metric.high
    if isinstance(found, int | float) and math.isfinite(found) and low <= found <= high:
        return float(found), None
    raise AssayError(
        f"the metric {metric.name} gives no value",
        place=METRICS.entry(metric.name).place,
        value=found,
        expected=f"a finite number from {low:g} to {high:g}, or Undefined with a reason",
    )


def higher_is_better(metric: str) -> bool:
    """Say in which direction a metric improves: scores rise, losses fall, plug-ins say it.

    Raises :class:`AssayError` for a metric of which that is not known: a guess would turn verdicts round.
    """
    if metric in METRICS and metric not in METRICS.own:
        return METRICS[metric].direction > 0
    found = DIRECTIONS.get(metric.strip().lower())
    if found is None:
        raise AssayError(
            "the direction of this metric is unknown",
            place="metric",
            value=metric,
            expected="one of " + ", ".join([*DIRECTIONS, *METRICS]),
            hint="call it score where higher is better, loss where lower is better; packages add more by "
            f"entry points of the group {METRICS.group} (docs/plugins.md)",
        )
    return found
