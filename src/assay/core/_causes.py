"""Recipe or data: what three curves say of the cause, and what a check of the learning rate found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from assay.core._page import Shown

CurveName: TypeAlias = Literal["evaluation", "control", "training"]
CauseWord: TypeAlias = Literal["data", "recipe", "overfitting", "exhausted", "open"]
Harm: TypeAlias = Literal["falling", "below_base", "plateau"]
RateWord: TypeAlias = Literal["ok", "unstable", "diverged"]


@dataclass(frozen=True, slots=True)
class Shift:
    """How one of the three curves moves from ``n_from`` to ``n_to`` samples, oriented: positive is better.

    ``low`` and ``high`` hold the change with probability 0.9; ``p_better`` and ``p_worse`` are the
    probabilities that it lies beyond the margin on either side (they sum to 1 where there is no margin).
    """

    curve: CurveName
    metric: str
    n_from: int
    n_to: int
    gain: float
    low: float
    high: float
    p_better: float
    p_worse: float


LEARNED = 0.5
"""What another recipe must learn of the pool beside the study's own to say something of the data."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The largest rung under another recipe, beside what the study's own reached before its harm.

    ``shift`` goes from the study's model that the largest rung was held against to the other recipe's largest
    rung; its probabilities are those of changes beyond the smallest gain.
    """

    recipe: str
    shift: Shift
    learned: float | None = None
    """What it learned of the pool, as a share of what the study's own recipe did: the fall of the control
    loss from no training to the largest rung; None without a slice, or where the study's own did not fall."""
    since: Shift | None = None
    """From no training to its largest rung."""

    @property
    def counts(self) -> bool:
        """Whether it learned at least half as much; who hardly trains does no harm either."""
        return self.learned is None or self.learned >= LEARNED

    @property
    def helps(self) -> bool:
        """Whether the data are better than no training under it, with probability 0.95."""
        return self.since is not None and self.since.low > 0

    @property
    def p_harmless(self) -> float:
        """The probability that under this recipe more data do no harm that matters."""
        return 1 - self.shift.p_worse


@dataclass(frozen=True, slots=True)
class Cause:
    """Why more data of one arm were read as ``harm`` or as no help.

    ``word``: ``data`` where samples of the pool that were kept out of training get better (the data are
    unlike the task, or something is forgotten); ``recipe`` where they get worse too; ``overfitting`` where
    they get worse while samples that were passed several times get better; ``exhausted`` where, on a plateau,
    they stay as they are; ``open`` where none has a probability of 0.9.  ``harm``: ``falling`` is the
    verdict, ``below_base`` the largest rung being worse than no training, ``plateau`` no help.
    """

    word: CauseWord
    probability: float
    """That of the likeliest cause, also where it is ``open``."""
    likeliest: CauseWord
    harm: Harm
    arm: str
    shifts: tuple[Shift, ...]
    elsewhere: tuple[Elsewhere, ...] = ()
    """The largest rung under other recipes, where any was trained: it excludes the recipe or convicts it."""
    since: Shift | None = None
    """From no training to the largest rung, on the evaluation set."""

    @property
    def harmless(self) -> Elsewhere | None:
        """The recipe that learned and is likeliest to do no harm; None where there is none."""
        return max(self._counted, key=lambda one: one.p_harmless, default=None)

    @property
    def harmful(self) -> Elsewhere | None:
        """The recipe that learned and is likeliest to do harm too; None where there is none."""
        return max(self._counted, key=lambda one: one.shift.p_worse, default=None)

    @property
    def _counted(self) -> list[Elsewhere]:
        return [one for one in self.elsewhere if one.counts]


@dataclass(frozen=True, slots=True)
class ControlMean:
    """The loss of one model on a part that is no evaluation set; nats per answer token.

    ``part``: ``control`` samples of the pool that no model saw; ``matched``, those of them that are like the
    evaluation set, where that is not all; ``training``, samples that all rungs of this arm and seed have
    seen.  ``n_train`` 0 is the untrained model.
    """

    part: Literal["control", "matched", "training"]
    arm: str
    n_train: int
    seed: int
    loss: float
    se: float | None
    samples: int


@dataclass(frozen=True, slots=True)
class Control:
    """The control slice of a study and the two curves beside the evaluation set's."""

    samples: int
    """Samples kept out of every training."""
    matched: int
    """Those that are like the evaluation set, by language and type: what a cause is read from.

    0 where they are fewer than 20: then it is read from all, and the data are blamed only once the largest
    rung did harm at a lower rate too.
    """
    by_type: dict[str, int] = field(default_factory=dict)
    means: tuple[ControlMean, ...] = ()


@dataclass(frozen=True, slots=True)
class RateLoss:
    """One training of a check: its learning rate and size, and the loss where it is measured.

    ``word``: ``diverged`` where the loss is no number or ends above that of no training by more than half,
    ``unstable`` where it jumped on the way.  ``se`` is the error of its difference from the best rate.
    """

    learning_rate: float
    n_train: int
    loss: float | None
    se: float | None
    word: RateWord = "ok"
    evaluation: float | None = None
    """The loss on the evaluation set."""


@dataclass(frozen=True, slots=True)
class BestRate:
    """The best learning rate at one size with its 90 % interval; an ``edge`` may be only the end tried."""

    n_train: int
    learning_rate: float
    low: float
    high: float
    edge: Literal["low", "high"] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class RecipeCheck(Shown):
    """What a check of the learning rate found, at one size or two.

    ``regret`` is how much worse the study's own rate is at the largest size checked than the best, with the
    probability ``p`` that this exceeds the smallest gain; ``outside`` where it does with probability 0.9.
    ``moves``: how the best rate moves from the smaller to the larger size.  ``regret_interval`` holds the
    regret with probability 0.9.
    """

    own: float
    measured_on: Literal["control", "evaluation"]
    rates: tuple[RateLoss, ...]
    best: tuple[BestRate, ...]
    moves: Literal["falls", "rises", "stays", "unknown"]
    regret: float | None
    p: float | None
    outside: bool
    samples: int
    """Sample passes that the check took beyond those of the ladder."""
    share: float
    """Those as a share of the ladder's own."""
    short: bool = False
    """At fewer steps than any rung, in smaller batches, with rates as if at the study's own batch: the best
    rate falls with the steps, so that one above the study's own says nothing."""
    language: str = "en"
    regret_interval: tuple[float, float] | None = None
    disagrees: tuple[float, float] | None = None
    """The loss on the evaluation set at the study's rate and at the best tried, where that is worse there by
    more than the smallest gain: the pool is unlike the task, and no other rate is called better."""

    @property
    def chosen(self) -> BestRate | None:
        """Return the best rate at the largest size that was checked; None where all runs diverged."""
        return self.best[-1] if self.best else None

    @property
    def too_low(self) -> bool:
        """Whether a higher rate than the study's own is better by more than the smallest gain."""
        return self.outside and self.chosen is not None and self.chosen.learning_rate > self.own

    def __repr__(self) -> str:
        return f"<RecipeCheck: {len(self.rates)} trainings>"
