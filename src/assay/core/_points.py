"""Measured points, curves over them, and what a study found: values only, all frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, SupportsIndex, TypeAlias, overload

from assay.core._causes import Cause, Control, RecipeCheck, Shift
from assay.core._errors import AssayError
from assay.core._export_page import ExportPage
from assay.core._forgetting import Rise
from assay.core._metrics import Metric
from assay.core._page import Shown, Text

Refusal: TypeAlias = Literal["few_rungs", "constant"]
CurveNote: TypeAlias = Literal["all_zero", "all_equal", "ceiling", "floor"]
Exclusion: TypeAlias = Literal["not_finite", "no_training"]
VerdictWord: TypeAlias = Literal["rising", "plateau", "falling", "undecided"]

OVERALL = "overall"
"""The pseudo-type of the unweighted mean over types (BELLE, Figure 1)."""

BASE_ARM = "base"
"""The arm of the model before any fine-tuning: rung 0 of every ladder."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measured value: the mean of ``metric`` over the items of one type for one trained model.

    ``se`` is the item-level standard error of that mean (None where unknown; it does not hold the
    run-level error between seeds); ``n_eval`` the number of items; ``run`` the key of the evaluation
    step that produced it, or "" for tables from elsewhere.  ``own_share`` in [0, 1] is the share of the
    item-level variance that two models of the study do not have in common (None where not measured).
    """

    type: str
    n_train: int
    seed: int
    metric: str
    value: float
    n_eval: int | None = None
    se: float | None = None
    arm: str = "random"
    run: str = ""
    own_share: float | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """A curve on a grid of training sizes with its 90 % interval; equal lengths, ``n`` rising."""

    n: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    extrapolated_from: float
    """The largest measured size, one of ``n``; grid values above it are extrapolation.

    Above twice that size they are speculative; above four times there are none.
    """


@dataclass(frozen=True, slots=True)
class NextRuns:
    """The cheapest runs looked at that should settle an undecided verdict: ``seeds`` runs of ``n_train``.

    ``chance`` is the probability, under the posterior, that the verdict is decided after them.
    """

    n_train: int
    seeds: int
    chance: float
    hours: float | None = None
    """Training time; None where the speed is not known."""
    wanted: int | None = None
    """Samples more that the pool must hold before these runs can be made; None where it holds enough."""
    items: int | None = None
    """Evaluation items that are needed, where more runs alone will not do."""

    @property
    def passes(self) -> int:
        """Return the samples trained, for one pass over each run."""
        return self.n_train * self.seeds

    @property
    def needs(self) -> tuple[Literal["wanted", "items"], int] | None:
        """Return what these runs need first and how many: samples for the pool, or items of each type."""
        if self.wanted is not None:
            return "wanted", self.wanted
        return None if self.items is None else ("items", self.items)


@dataclass(frozen=True, slots=True)
class Gain:
    """What going from ``n_from`` to ``n_to`` samples buys, with a 90 % interval; positive is better.

    ``gain`` is the median of a curve's draws, or what runs of both measured.
    """

    n_from: int
    n_to: int
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BestSize:
    """Where in the measured range a curve is best.

    ``n`` is the smallest size that is within the smallest gain of the best with probability 0.9 (None where
    no size is); ``low`` and ``high`` hold the best size itself with probability 0.9.  ``word`` is
    ``interior`` where the largest rung is worse than the best by more than the smallest gain with probability
    0.9, ``no interior optimum`` where it is not with probability 0.9, else ``undecided``.
    """

    n: int | None
    low: int
    high: int
    word: Literal["interior", "no interior optimum", "undecided"]
    p_interior: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a type responds to more data at the end of the ladder, oriented so that a gain is positive.

    ``gain``, ``gain_low`` and ``gain_high`` are the median and 90 % interval of the gain from the next
    doubling, in units of the metric; ``p_rising``, ``p_plateau`` and ``p_falling`` the posterior
    probabilities that it lies above, within or below plus and minus ``threshold``.  ``word`` is the one that
    has at least 0.9, or ``undecided``.
    """

    word: VerdictWord
    gain: float
    gain_low: float
    gain_high: float
    p_rising: float
    p_plateau: float
    p_falling: float
    threshold: float
    next_runs: NextRuns | None = None
    """None where the verdict is decided, or nothing that can be run settles it with a chance of 0.5."""
    n_from: int | None = None
    n_to: int | None = None
    """The sizes that the verdict is about; the largest rung and its double where not asked otherwise."""

    @property
    def probability(self) -> float:
        """Return the largest of the three probabilities: that of ``word`` where it is decided."""
        return max(self.p_rising, self.p_plateau, self.p_falling)


@dataclass(frozen=True, slots=True)
class Excluded:
    """A point that the fit leaves out, and why."""

    n_train: int
    seed: int
    value: float | None
    """None where the value is not a finite number."""
    reason: Exclusion


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that looks failed: so much worse than its siblings, or than the curve, that it is best rerun.

    ``p`` is the posterior probability that it failed; the curve is fitted with it left out to that degree.
    """

    n_train: int
    seed: int
    value: float
    p: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the next measured run should give: 90 % interval of one run of ``n_train`` samples.

    Wider than the interval of the curve: it holds the noise of a run, of its items, and runs that fail.
    """

    n_train: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CurveResult:
    """The fitted curve of one type, arm and metric, as the report shows it."""

    type: str
    arm: str
    metric: str
    band: Band | None
    verdict: Verdict | None
    families: Mapping[str, float]
    """Posterior weight of each family; sums to 1."""
    refused: Refusal | None = None
    """Why no curve was fitted; then band and verdict are None."""
    satisfied_at: float | None = None
    """Smallest size whose score passes the threshold with probability 0.9, if any was asked for."""
    satisfied_from: tuple[float, float] | None = None
    """The sizes from which on it passes with probability 0.1 and 0.5; None where ``satisfied_at`` is."""
    next_thousand: Gain | None = None
    """The gain from 1,000 samples more; None where the largest rung is smaller than that."""
    best: BestSize | None = None
    excluded: tuple[Excluded, ...] = ()
    """Points that the fit leaves out."""
    next_run: Measurement | None = None
    """What one run of twice the largest size should measure; ``band`` is of the curve."""
    failed: tuple[FailedRun, ...] = ()
    """Runs that look failed and are best rerun."""
    family_holds: float | None = None
    """Probability that one of the families holds as it is; where it is low, the interval has widened."""
    notes: tuple[CurveNote, ...] = ()
    """What a reader must know first: all scores 0 (was the model asked, the judge heard?), all values equal,
    the last rung at the ceiling or floor of the score in all seeds."""


class Curves(tuple[CurveResult, ...]):
    """Curves, by place or by type: ``curves["math"]``, ``curves["math", "longest", "loss"]``.

    Without an arm and a metric the first curve of the type is meant: arms and metrics are in the order of the
    study, ``random`` and scores first where they are there.
    """

    __slots__ = ()

    @overload  # type: ignore[override]
    def __getitem__(self, index: slice) -> tuple[CurveResult, ...]: ...
    @overload
    def __getitem__(self, index: SupportsIndex | str | tuple[str, ...]) -> CurveResult: ...
    def __getitem__(self, index: Any) -> Any:
        """Return a curve; raises :class:`AssayError` with the types there are."""
        if not isinstance(index, str | tuple):
            return super().__getitem__(index)
        wanted = (index,) if isinstance(index, str) else index
        found = [c for c in self if (c.type, c.arm, c.metric)[: len(wanted)] == wanted]
        if not found:
            known = dict.fromkeys((c.type, c.arm, c.metric)[: len(wanted)] for c in self)
            raise AssayError(
                "no such curve", value=index, expected="; ".join(", ".join(parts) for parts in known)
            )
        return min(found, key=lambda c: (c.arm != "random", c.metric != "score"))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let a result be read back from its file."""
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(cls, handler(tuple[CurveResult, ...]))


@dataclass(frozen=True, slots=True)
class DoubleDescent:
    """Whether a curve gets worse between two sizes, ``valley`` and ``peak``.

    ``word``: ``nominated`` by the ladder (then ``fresh_seeds`` seeds at both sizes should confirm it),
    ``confirmed`` by fresh seeds, ``worsens`` where the rise goes on to the last rung (no second descent),
    ``not seen`` where a rise that matters would have been seen, else ``cannot tell``.  ``rise`` is how much
    worse the peak is (positive, in the metric's units); ``p`` its probability under the nearest curve that
    never gets worse, ``p_fresh`` the one-sided p of the fresh seeds.
    """

    type: str
    arm: str
    metric: str
    word: Literal["confirmed", "nominated", "worsens", "not seen", "cannot tell"]
    reason: Literal["few_rungs", "no_replicates", "weak"] | None = None
    valley: int | None = None
    peak: int | None = None
    rise: float | None = None
    p: float | None = None
    p_fresh: float | None = None
    visible_rise: float | None = None
    """The smallest rise that the ladder shows with probability 0.8; None where there is none."""
    descends_again: bool | None = None
    """Whether a later rung is better than the peak, beyond its error."""
    fresh_seeds: int = 0
    p_adjusted: float | None = None
    """``p`` corrected over the types of the arm (Holm): the one that the word follows."""


@dataclass(frozen=True, slots=True)
class CurvePower(Shown):
    """What a planned ladder can show, in units of the score."""

    detectable: float
    """The smallest difference between two arms at one size that is found with probability 0.8, level 0.05."""
    detectable_holm: float
    """The same for the worst case of Holm's correction over all types."""
    items_wanted: int | None
    """Items per type to find the wanted effect with these seeds; None where no number of items will do."""
    seeds_wanted: int | None
    """Seeds to find the wanted effect with these items; None where no number of seeds will do."""
    visible_rise: float | None
    """The smallest rise of a double descent that the ladder shows with probability 0.8; None without."""
    p_rising: float
    """Chance of the verdict rising where every doubling buys the wanted effect."""
    p_plateau: float
    """Chance of the verdict plateau where doublings buy nothing."""


@dataclass(frozen=True, slots=True)
class BalancePoint:
    """Where two arms meet: from which size on ``a`` is no better than ``b`` by more than ``threshold``.

    ``word``: ``meet`` at ``n`` (the first size from which on P(difference <= threshold) >= 0.9 holds up to
    the end), ``a stays ahead`` where P(difference > threshold) >= 0.9 at the end, else ``undecided``.
    ``low`` and ``high`` hold the meeting size with probability 0.9; ``high`` is None where that reaches
    beyond the measured sizes.  ``by_construction``: at ``n`` arm ``a`` holds at least half of its pool, so
    it has little left to choose; both arms are one at the whole pool, whatever the data.
    """

    a: str
    b: str
    type: str
    metric: str
    word: Literal["meet", "a stays ahead", "undecided"]
    n: int | None
    low: int | None
    high: int | None
    threshold: float
    by_construction: bool | None
    """None where the size of the pool is not known."""


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """Arm ``a`` minus arm ``b`` at one size, oriented so that positive means ``a`` is better."""

    a: str
    b: str
    n_train: int
    type: str
    metric: str
    difference: float
    low: float
    high: float
    seeds: int
    threshold: float
    word: Literal["better", "worse", "as good", "undecided"]
    """``better`` and ``worse`` where ``p_adjusted`` is at most 0.1; ``as good`` where the whole 90 % interval
    lies within plus and minus ``threshold``."""
    p: float
    """Two-sided p of no difference."""
    p_adjusted: float
    """``p`` corrected for the number of comparisons it stands among."""
    correction: Literal["holm", "bh"]
    """Holm for headlines (overall, at the largest size of each arm), Benjamini-Hochberg for the rest."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What 1,000 samples more of one arm buy in one type, and what they cost."""

    type: str
    arm: str
    metric: str
    gain: Gain
    per_money: float | None
    """Gain per unit of money; None where no price was given."""
    hours: float | None = None
    """Hours of training that they take; None where that is not known."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A curve's largest rung: its mean, and the 90 % interval that the other rungs predict for it."""

    type: str
    arm: str
    metric: str
    n_train: int
    value: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        """Return whether the 90 % interval holds the mean that was measured."""
        return self.low <= self.value <= self.high


@dataclass(frozen=True, slots=True, repr=False)
class Reading(Shown):
    """All that a table of points says."""

    curves: Curves
    worth: tuple[Worth, ...]
    descents: tuple[DoubleDescent, ...]
    balances: tuple[BalancePoint, ...]
    comparisons: tuple[ArmComparison, ...]
    held_out: tuple[HeldOut, ...]
    notes: tuple[Text, ...] = ()
    """What was decided in reading the table: percent, directions of metrics."""
    answer: Answer | None = None
    """What to do next; None where no curve was fitted, or another step than the next was asked about."""

    def __repr__(self) -> str:
        return f"<Reading: {len(self.curves)} curves>"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the study recommends: which arm, and what more data of it would buy.

    ``choice`` says how the arm was chosen over ``random``: it was the ``only`` one, it is ``better``, none
    was found better so random is ``as good``, or the comparison is ``undecided`` (then the arm is random, the
    cheapest).  ``n`` is the arm's largest rung; the types are sorted into their verdicts.
    """

    metric: Metric
    arm: str
    choice: Literal["only", "better", "as good", "undecided"]
    n: int
    overall: Verdict | None
    rising: tuple[str, ...] = ()
    plateau: tuple[str, ...] = ()
    falling: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRow:
    """One fine-tuned model: what it was trained on and what that cost."""

    key: str
    arm: str
    seed: int
    n_train: int
    trained_samples: int
    """Sample passes that this run added to the trunk it shares with other rungs."""
    independent_samples: int
    """Sample passes that the same run would have cost on its own."""
    tokens: int
    seconds: float
    loss_trace: tuple[tuple[int, float], ...] = ()
    """(sample passes seen, training loss in nats per answer token), thinned."""


@dataclass(frozen=True, slots=True)
class RungAnswer:
    """One model's answer to one evaluation item."""

    arm: str
    n_train: int
    seed: int
    answer: str
    score: float | None
    run: str
    said: str | None = None
    """What the judging chat model said of it, where one judged."""


@dataclass(frozen=True, slots=True)
class AnswerSheet:
    """An evaluation item with the answers of the models of the ladder to it."""

    type: str
    item: str
    prompt: str
    reference: str | None
    answers: tuple[RungAnswer, ...]


@dataclass(frozen=True, slots=True)
class SourceRow:
    """What was read from one file of the pool or the evaluation set."""

    place: str
    detected: str
    rows: int
    kept: int
    rejected: int
    duplicates: int
    digest: str


@dataclass(frozen=True, slots=True)
class DataSummary:
    """Counts of a set of samples after reading, deduplication and decontamination."""

    sources: tuple[SourceRow, ...]
    samples: int
    by_type: Mapping[str, int]
    by_language: Mapping[str, int]
    by_source: Mapping[str, int]
    length_quantiles: Mapping[str, float]
    """Characters of the answer: "min", "p10", "p50", "p90", "max"."""
    decontaminated: int = 0
    """Pool samples removed because they hold a prompt of the evaluation set."""
    unused: Mapping[str, int] = field(default_factory=dict)
    """Fields of the files that were not read, and in how many rows they stood."""
    noted: Mapping[str, int] = field(default_factory=dict)
    """What readers noted, and of how many rows."""


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One way of choosing the training data, and its rungs."""

    name: str
    rule: str
    rungs: tuple[int, ...]
    seeds: tuple[int, ...]
    note: str = ""
    selecting_seconds: float | None = None
    """What the arm's order took beyond reading the pool: its indicator and its rule; None for the base."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the ladder cost, and what independent runs would have cost."""

    trained_samples: int
    independent_samples: int
    tokens: int
    train_seconds: float
    answer_seconds: float
    device: str


@dataclass(frozen=True, slots=True)
class JudgeSummary:
    """The chat model that judged: its version, what of its replies could not be read, and what it cost.

    Scores are in the judge's own units: nobody has held it against people on these answers.
    ``calls``, ``tokens`` and ``money`` (None where the price is not known) are what judging took when it was
    done; an attempt that was killed has paid besides, which only the calls file knows.
    """

    version: str
    replies: int
    retried: int
    unparsed: int
    failed: int
    calls: int
    tokens: int
    money: float | None
    currency: str
    alarm: bool
    """More than 1 % of the replies could not be read."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """The scores of tasks that are watched along every ladder, which never enter overall.

    ``points`` are of metric ``score``, a type a task, the untrained model among them; ``curves`` those of
    each arm; ``shifts`` stand by task, arm and size: how far the score moved from that of the untrained
    model on the same items, positive is better.
    """

    points: tuple[Point, ...]
    curves: tuple[CurveResult, ...]
    shifts: tuple[Rise, ...]


@dataclass(frozen=True, slots=True)
class Forgetting:
    """The loss on plain texts of all models, which never enters overall.

    ``points`` are of metric ``loss``, a type a text, the untrained model among them; ``curves`` those of
    each arm; ``rises`` stand by text, arm and size.
    """

    points: tuple[Point, ...]
    curves: tuple[CurveResult, ...]
    rises: tuple[Rise, ...]
    largest_loss: float | None = None

    def at(self, arm: str, n_train: int) -> tuple[Rise, ...]:
        """Return the rises of one arm at one size, a text each."""
        return tuple(r for r in self.rises if (r.arm, r.n_train) == (arm, n_train))

    def allowed(self, arm: str) -> int | None:
        """Return the largest size up to which no text's loss rose by more than is allowed, with p of 0.9.

        0 where the smallest size rose by more already; None where nothing was asked.
        """
        if self.largest_loss is None:
            return None
        sizes = sorted({r.n_train for r in self.rises if r.arm == arm})
        reached = 0
        for n in sizes:
            if any(r.p_within is None or r.p_within < 0.9 for r in self.at(arm, n)):
                break
            reached = n
        return reached


@dataclass(frozen=True, slots=True)
class Robustness:
    """Whether the verdict on one type, arm and metric is the same under all recipes that were trained.

    ``word``: ``robust`` where all are decided and agree (``verdict`` is theirs), ``depends`` where two that
    are decided differ, else ``open``.  ``by`` holds the word of each recipe that has a curve.
    """

    type: str
    arm: str
    metric: str
    word: Literal["robust", "depends", "open"]
    verdict: VerdictWord | None
    by: Mapping[str, VerdictWord]


@dataclass(frozen=True, slots=True)
class EnvelopePoint:
    """The best recipe at one size.

    ``value`` is the posterior mean of the ``recipe`` whose mean is best, ``p`` the probability that it is the
    best; ``low`` and ``high`` hold the value of the best with probability 0.9, the choice accounted for.
    """

    n: int
    recipe: str
    p: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Envelope:
    """The curve of the best recipe per size, and the verdict on its next doubling, ``n_from`` to ``n_to``."""

    type: str
    arm: str
    metric: str
    rungs: tuple[EnvelopePoint, ...]
    verdict: Verdict
    n_from: int
    n_to: int


@dataclass(frozen=True, slots=True)
class RecipeLadder:
    """The ladder under another recipe: the fields it changes, what was measured, and the curves.

    ``diverged``: arm, size and seed of trainings whose loss became no number.
    """

    name: str
    changes: Mapping[str, str | int | float | bool | None]
    points: tuple[Point, ...]
    curves: Curves
    runs: tuple[RunRow, ...]
    diverged: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Recipes:
    """The recipe as a factor of the ladder: the others beside the study's ``own``."""

    own: str
    ladders: tuple[RecipeLadder, ...]
    robustness: tuple[Robustness, ...]
    envelopes: tuple[Envelope, ...]

    def of(self, type: str, arm: str, metric: str) -> Robustness | None:
        """Return whether a verdict is robust; None where only one recipe has a curve."""
        key = type, arm, metric
        return next((r for r in self.robustness if (r.type, r.arm, r.metric) == key), None)

    def envelope(self, type: str, arm: str, metric: str) -> Envelope | None:
        """Return the envelope of a type, arm and metric; None where only one recipe has a curve."""
        key = type, arm, metric
        return next((e for e in self.envelopes if (e.type, e.arm, e.metric) == key), None)


@dataclass(frozen=True, slots=True)
class PassWorth:
    """What a second pass over the same samples is worth, as a share of as many new samples, in (0, 1).

    Under the data-constrained form, with its R* (``r_star``) and 90 % intervals; from ``runs`` models.
    """

    share: float
    low: float
    high: float
    r_star: float
    r_low: float
    r_high: float
    runs: int


@dataclass(frozen=True, slots=True)
class StepsRow:
    """Fewer samples for as many steps as one rung takes: what steps buy, and what samples buy.

    Models of ``samples`` in ``passes`` times the passes of the ladder stand beside the rung ``n_train``.
    ``by_samples``: from them to the rung, at equal steps; ``by_steps``: from the rung of ``samples`` to them,
    the same samples, None where there is no such rung.  ``tokens``: theirs as a share of the rung's.
    """

    type: str
    metric: str
    n_train: int
    samples: int
    passes: int
    tokens: float
    by_samples: Shift
    by_steps: Shift | None


@dataclass(frozen=True, slots=True)
class TokensRow:
    """The largest rung of a selection beside random samples: of its number, and of its tokens.

    ``samples`` random ones have ``tokens`` times the selection's tokens; both gains are the selection's.
    """

    type: str
    metric: str
    arm: str
    n_train: int
    samples: int
    tokens: float
    equal_samples: Shift
    equal_tokens: Shift


@dataclass(frozen=True, slots=True)
class StepsOrSamples:
    """The gain from data separated from the gain from steps, for one arm, and from tokens, of selections.

    ``worth`` by type and metric, as ``"overall loss"``; ``diverged``: sizes, passes and seeds of trainings
    whose loss became no number.
    """

    arm: str
    rows: tuple[StepsRow, ...]
    worth: Mapping[str, PassWorth]
    runs: tuple[RunRow, ...]
    diverged: tuple[tuple[int, int, int], ...] = ()
    tokens: tuple[TokensRow, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class StudyResult(Shown):
    """Everything a report shows; it computes nothing of its own."""

    name: str
    assay_version: str
    language: str
    """Language of the report: ``en`` or ``zh``."""
    base: Mapping[str, str | int | float]
    recipe: Mapping[str, str | int | float | bool | None]
    question: Mapping[str, float | None]
    """``satisfied_at`` (score) and ``smallest_gain`` (score or relative loss)."""
    pool: DataSummary
    evaluation: DataSummary
    arms: tuple[ArmRow, ...]
    points: tuple[Point, ...]
    curves: Curves
    comparisons: tuple[ArmComparison, ...]
    runs: tuple[RunRow, ...]
    cost: Cost
    answers: tuple[AnswerSheet, ...]
    answer: Answer | None
    """The recommendation; None where no curve could be fitted."""
    notes: tuple[Text, ...] = field(default=())
    worth: tuple[Worth, ...] = field(default=())
    descents: tuple[DoubleDescent, ...] = field(default=())
    balances: tuple[BalancePoint, ...] = field(default=())
    held_out: tuple[HeldOut, ...] = field(default=())
    judge: JudgeSummary | None = None
    exports: tuple[ExportPage, ...] = ()
    """Exports of the study's models that lie in its folder (added by ``assay export``)."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What length took away: of the pool's ``samples`` those ``cut``, and ``unlearnable`` (no token left to
    learn); of evaluation ``items`` those ``items_too_long`` for a loss, and those with a cut reference; of
    all ``answers`` of trained models those that are ``answers_empty``."""
    abilities: Abilities | None = None
    """Scores of tasks that are watched beside the evaluation set; None where none are."""
    forgetting: Forgetting | None = None
    """What training costs elsewhere: the loss on plain text; None where it was not measured."""
    imported: tuple[str, ...] = ()
    """The tools whose runs these are, where they are not the study's own: then nothing is known of the pool,
    the evaluation set, the runs' cost and their answers; these fields are empty and no report shows them."""

    @property
    def models(self) -> int:
        """How many models were trained and measured."""
        points = {(p.arm, p.n_train, p.seed) for p in self.points if p.arm != BASE_ARM}
        return len(points) if self.imported else len(self.runs)

    control: Control | None = None
    """Loss on samples kept out of training and on samples seen; None where no slice was kept."""
    causes: tuple[Cause, ...] = ()
    """Why more data were read as harm or as no help, by arm; empty where they were not."""
    recipe_check: RecipeCheck | None = None
    """The check of the learning rate before the ladder; None where it did not run."""
    recipes: Recipes | None = None
    """The ladder under other recipes, whether its verdicts hold, and the envelope; None where not asked."""
    steps_or_samples: StepsOrSamples | None = None
    """What samples buy and what steps buy; None where not asked."""
    report: str = field(default="", compare=False)
    """The folder that its report was written to, told by what ran the study; nothing in a file read again."""

    @property
    def every_run(self) -> tuple[RunRow, ...]:
        """All models that were trained, those of other recipes and of equal steps too, each once."""
        others = [] if self.recipes is None else [r for one in self.recipes.ladders for r in one.runs]
        steps = () if self.steps_or_samples is None else self.steps_or_samples.runs
        return tuple({run.key: run for run in (*self.runs, *others, *steps)}.values())

    def __repr__(self) -> str:
        return f"<StudyResult {self.name}: {self.models} models, {len(self.curves)} curves>"
