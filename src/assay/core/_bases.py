"""Several base models in one study: each one's result, and "double the data or the model?": values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from assay.core._page import Shown
from assay.core._points import Gain, StudyResult

UpgradeWord: TypeAlias = Literal["data", "model", "either", "neither", "undecided"]


@dataclass(frozen=True, slots=True)
class UpgradeCost:
    """What both ways up from the smaller base on n samples cost, in floating-point operations and money.

    Of training: ``flops`` of the smaller base on n samples, ``data_flops`` on twice as many, ``model_flops``
    of the larger base on n.  ``data_money`` is the price of n samples more (None where none was given).
    """

    flops: float
    data_flops: float
    model_flops: float
    inference_ratio: float
    """Parameters of the larger base over those of the smaller: what every answer costs from then on."""
    data_money: float | None = None

    @property
    def ratio(self) -> float | None:
        """Return the training that the larger base adds, in units of what the doubling adds.

        None where either adds none, as where the larger base trains an adapter alone.
        """
        data, model = self.data_flops - self.flops, self.model_flops - self.flops
        return model / data if data > 0 and model > 0 else None


@dataclass(frozen=True, slots=True)
class Contrast:
    """Gain of the larger base minus gain of doubling the data, with a 90 % interval (``value``: as in Gain).

    ``p`` is twice the posterior probability of the other sign, ``p_adjusted`` the same corrected for the
    number of contrasts (Holm for headlines: overall, at the largest size; Benjamini-Hochberg for the rest).
    ``word``: ``neither`` where, with probability 0.9, neither gain exceeds the smallest that matters;
    ``data`` or ``model`` where ``p_adjusted`` is at most 0.1; ``either`` where the interval lies within plus
    and minus the smallest gain; else ``undecided``.
    """

    value: float
    low: float
    high: float
    p: float
    p_adjusted: float
    correction: Literal["holm", "bh"]
    word: UpgradeWord


@dataclass(frozen=True, slots=True)
class BaseRuns:
    """Runs to add: ``seeds`` of the base ``base`` on ``n_train`` samples."""

    base: str
    n_train: int
    seeds: int


@dataclass(frozen=True, slots=True)
class NextUpgrade:
    """The cheapest runs looked at that should settle a contrast, with ``items`` times as many items per type.

    ``chance`` is the probability that the interval then leaves zero out.
    """

    runs: tuple[BaseRuns, ...]
    items: int
    chance: float


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Double the data on the smaller base, or take the larger base at the same data?  One type and size.

    Gains are oriented so that positive is better: ``data`` from n to 2 n samples on the smaller base,
    ``model`` from the smaller to the larger base at n.  ``measured``: 2 n is a rung too, and ``data`` is the
    difference of the runs' means, ``curve`` what the curve says of it; otherwise the doubling is the curve's
    prediction.  ``absolute`` compares the gains as they are, ``per_cost`` per unit of training, the unit
    being what the doubling adds (None where either way adds none).
    """

    small: str
    large: str
    arm: str
    type: str
    metric: str
    n_train: int
    seeds: int
    measured: bool
    data: Gain
    model: Gain
    absolute: Contrast
    per_cost: Contrast | None
    cost: UpgradeCost
    threshold: float
    curve: Gain | None = None
    """The curve's gain from doubling, where it was measured; None where it was not."""
    next_runs: NextUpgrade | None = None
    """What should settle ``absolute`` where it is undecided; None where it is not."""


@dataclass(frozen=True, slots=True)
class BaseResult:
    """One base model of a study and all that was measured on it.

    ``model`` is the place or id, ``family`` its architecture's name in config.json, ``parameters`` their
    number; ``flops_per_token`` the operations of training: 6 a parameter (Kaplan et al. 2020, section 2.1), 4
    where only an adapter is trained.  ``page`` is its report's place beside that of the study.
    """

    name: str
    model: str
    family: str
    parameters: int
    flops_per_token: float
    page: str
    result: StudyResult
    tokens_per_sample: float
    template: str

    @property
    def flops(self) -> float:
        """Return the operations of all training on this base."""
        return self.flops_per_token * self.result.cost.tokens


@dataclass(frozen=True, slots=True, repr=False)
class BasesResult(Shown):
    """A study over several base models, smallest first."""

    name: str
    assay_version: str
    language: str
    """Language of the report: ``en`` or ``zh``."""
    question: Mapping[str, float | None]
    bases: tuple[BaseResult, ...]
    upgrades: tuple[Upgrade, ...]
    comparable: tuple[str, ...]
    """Metrics that mean the same on all bases: without the loss per token where tokenizers differ."""
    scored_by: str
    """Name of the base whose model measured the samples where a selection needs one."""
    report: str = field(default="", compare=False)
    """The folder that its report was written to, told by what ran the study; nothing in a file read again."""

    def __repr__(self) -> str:
        return f"<BasesResult {self.name}: {len(self.bases)} bases>"
