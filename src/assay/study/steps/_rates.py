"""Read a check of the learning rate: losses by rate and size, the best, and whether the study's own is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assay import curves, data, view
from assay.core import RateLoss, RateWord, RecipeCheck
from assay.plan import Estimate, Step, StepContext
from assay.study.steps._causes import Losses, control_part, read_losses
from assay.study.steps._control import matched
from assay.study.steps._read import summary_of
from assay.study.steps._train import REPORT

CHECK = "check.json"
# Of the mean loss over so many steps, as that of one batch is noise: a training is unstable where it jumps by
# this share of the loss at the beginning above the least before, diverged where it ends above the beginning
# by that factor.  Hard batches are hard at every rate, so a jump is one above the training at the lowest rate
# on the same batches; of that one itself, one of so many standard errors of what batches scatter.
_STEPS, _JUMP, _DIVERGED, _SCATTER = 5, 0.2, 1.5, 4.0


def rates_step(
    rows: Sequence[Mapping[str, Any]],
    inputs: Mapping[str, Step],
    *,
    own: float,
    measured_on: Literal["control", "evaluation"],
    smallest_relative_gain: float,
    samples: int,
    share: float,
    short: bool,
) -> Step:
    """Return the step that reads a check.

    ``rows``: ``rate`` and ``n_train`` of each training, and whether it ``diverged``; of those that did not,
    ``inputs`` are the measurements ``loss/<row>`` (with a ``control`` slice) and ``evaluation/<row>``, and
    the training's parts ``train/<row>/<part>``; ``evaluation`` is that set, and ``untrained/control`` and
    ``untrained/evaluation`` measure the base.
    ``short``: of fewer steps than any rung, where a rate may only be found too high; one too low may
    be suspected.
    Of the slice those samples count that are like that set; where they are too few, the set itself.
    """
    settings = {
        "rows": list(rows), "own": own, "measured_on": measured_on,
        "smallest_relative_gain": smallest_relative_gain, "samples": samples, "share": share,
        "short": short,
    }  # fmt: skip
    return Step(
        "rates", 6, f"{__name__}:read_rates", settings, inputs, label="recipe check",
        estimate=Estimate(seconds=1),
    )  # fmt: skip


def read_rates(context: StepContext) -> None:
    """Write what the check found."""
    data.write_json(context.out / CHECK, dataclasses.asdict(_checked(context)))


def check_of(folder: Path) -> RecipeCheck:
    """Return what a check found, from its folder."""
    return view.restore(RecipeCheck, json.loads((folder / CHECK).read_text(encoding="utf-8")))


def _checked(context: StepContext) -> RecipeCheck:
    config = context.config
    rows = [_Row(context, index, row) for index, row in enumerate(config["rows"])]
    calmest = {row.n_train: row for row in sorted(rows, key=lambda row: row.rate, reverse=True) if row.trace}
    for row in rows:
        row.compare(calmest.get(row.n_train))
    sizes = sorted({row.n_train for row in rows})
    tried = [found for n in sizes if (found := _tried([r for r in rows if r.n_train == n])) is not None]
    best = tuple(curves.best_rate(one) for one in tried)
    gap, p = _regret(tried, config)
    outside = p is not None and p >= curves.DECIDED and not best[-1].low <= config["own"] <= best[-1].high
    outside = outside and not (config["short"] and best[-1].learning_rate > config["own"])
    against = _against([row for row in rows if row.n_train == sizes[-1]], config)
    lost = None if gap is None else (gap.low, gap.high)
    return RecipeCheck(
        own=config["own"],
        measured_on="control" if _like(context).any() else "evaluation",
        rates=tuple(row.shown(tried) for row in rows),
        best=best,
        moves=curves.moves(tried[0], tried[-1]) if len(tried) > 1 else "unknown",
        regret=None if gap is None else gap.gap,
        p=p,
        outside=outside and against is None,
        samples=config["samples"],
        share=config["share"],
        short=config["short"],
        regret_interval=lost,
        disagrees=against,
    )


def _against(rows: Sequence[_Row], config: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the evaluation set's losses at the study's own rate and at the best, where the best is worse."""
    usable = [row for row in rows if row.usable and row.evaluation is not None]
    own = next((row for row in usable if np.isclose(row.rate, config["own"], rtol=1e-9, atol=0)), None)
    best = min(usable, key=lambda row: row.measured, default=None)
    if own is None or best is None or own.evaluation is None or best.evaluation is None:
        return None
    losses = own.evaluation.loss, best.evaluation.loss
    return losses if losses[1] > losses[0] * (1 + config["smallest_relative_gain"]) else None


class _Row:
    """One training of the check."""

    def __init__(self, context: StepContext, index: int, row: Mapping[str, Any]) -> None:
        self.rate, self.n_train = float(row["rate"]), int(row["n_train"])
        self.losses: Losses | None = None
        self.evaluation: Losses | None = None
        self.word: RateWord = "diverged"
        self.trace: list[float] = []
        if not row["diverged"]:
            self.evaluation = _all(context.inputs[f"evaluation/{index}"])
            measured = _measured(context, f"loss/{index}", f"evaluation/{index}")
            self.losses = measured if np.isfinite(measured.loss) else None
            trained = sorted(name for name in context.inputs if name.startswith(f"train/{index}/"))
            reports = [json.loads((context.inputs[name] / REPORT).read_text("utf-8")) for name in trained]
            untrained = _measured(context, "untrained/control", "untrained/evaluation").loss
            self.trace = [loss for report in reports for _, loss in report["trace"]]
            worse = not measured.loss <= untrained  # batches of a good base scatter
            self.word = "diverged" if worse and diverged(self.trace) else "ok"

    def compare(self, calmest: _Row | None) -> None:
        """Say where it is unstable beside the training at the lowest rate, of the same batches."""
        if self.word == "ok" and self.trace and calmest is not None:
            beside = None if calmest is self else calmest.trace
            self.word = "unstable" if unstable(self.trace, beside) else "ok"

    @property
    def measured(self) -> float:
        """The loss that the check reads."""
        return np.inf if self.losses is None else self.losses.loss

    @property
    def usable(self) -> bool:
        return self.losses is not None and self.word != "diverged"

    def shown(self, tried: Sequence[curves.Tried]) -> RateLoss:
        """Return the row as the report shows it."""
        own = next((one for one in tried if one.n_train == self.n_train), None)
        se = None
        if own is not None and self.usable:
            se = float(own.item_se[int(np.argmin(np.abs(own.rates - self.rate)))])
        loss, evaluation = (None if o is None else o.loss for o in (self.losses, self.evaluation))
        return RateLoss(self.rate, self.n_train, loss, se, self.word, evaluation)


def _like(context: StepContext) -> NDArray[np.bool_]:
    """Return which samples of the slice are like the evaluation set; empty without a slice."""
    control = context.inputs.get("control")
    if control is None:
        return np.zeros(0, bool)
    return matched(control, summary_of(context.inputs["evaluation"]))


def _measured(context: StepContext, held: str, evaluation: str) -> Losses:
    """Return one model's losses: on what of the slice is like the evaluation set, else on that set."""
    like = _like(context)
    if context.config["measured_on"] != "control" or not like.any():
        return _all(context.inputs[evaluation])
    parts = read_losses(context.inputs[held], like)
    return parts[control_part(parts)]


def _all(measured: Path) -> Losses:
    return read_losses(measured, None)["control"]


def _means(trace: Sequence[float]) -> NDArray[np.float64]:
    """Return the mean losses of a few steps each."""
    size = max(1, min(_STEPS, len(trace) // 4))
    whole = np.asarray(trace[: len(trace) // size * size], np.float64)
    return np.array([part.mean() for part in whole.reshape(-1, size)], np.float64)


def diverged(trace: Sequence[float]) -> bool:
    """Return whether a training's losses, one a step, end far above where they began, or as no number."""
    means = _means(trace)
    return len(means) > 0 and not means[-1] <= _DIVERGED * means[0]


def unstable(trace: Sequence[float], calm: Sequence[float] | None = None) -> bool:
    """Return whether losses, one a step, jump: above those of a ``calm`` training on the same batches.

    Without one, by more than what batches scatter: that is read from the differences of neighbouring steps.
    """
    own, size = np.asarray(trace, np.float64), max(1, min(_STEPS, len(trace) // 4))
    margin = _JUMP * float(_means(trace)[0])
    if calm is None:
        scatter = 1.4826 * float(np.median(np.abs(np.diff(own)))) / np.sqrt(2) if len(own) > 1 else 0.0
        margin = max(margin, _SCATTER * scatter * float(np.sqrt(2 / size)))
    else:
        length = min(len(own), len(calm))
        own = own[:length] - np.asarray(calm[:length], np.float64)
    means = _means(own.tolist())
    return bool((means - np.minimum.accumulate(means) > margin).any())


def _tried(rows: Sequence[_Row]) -> curves.Tried | None:
    """Return the losses of one size by rate, with paired errors; None where all diverged."""
    usable = sorted((row for row in rows if row.usable), key=lambda row: row.rate)
    losses = [row.losses for row in usable if row.losses is not None]
    if not losses:
        return None
    best = min(losses, key=lambda one: one.loss)
    errors = [0.0 if one is best else curves.clustered_se(one.influences - best.influences) for one in losses]
    values = np.array([one.loss for one in losses])
    return curves.Tried(usable[0].n_train, np.array([r.rate for r in usable]), values, np.array(errors))


def _regret(
    tried: Sequence[curves.Tried], config: Mapping[str, Any]
) -> tuple[curves.Regret | None, float | None]:
    """Return how much worse the study's own rate is at the largest size; its own may have diverged."""
    if not tried:
        return None, None
    if not np.isclose(tried[-1].rates, config["own"], rtol=1e-9, atol=0).any():
        return None, 1.0
    found = curves.regret(tried[-1], config["own"], config["smallest_relative_gain"])
    return found, found.p
