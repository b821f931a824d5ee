"""The recipe check: a few learning rates at a small and a middle rung, before a ladder is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from assay import curves
from assay import plan as planning
from assay.core import AssayError, RecipeCheck, say
from assay.core import Text as Said
from assay.model import Recipe, shared_steps
from assay.plan import Pool, Step, Store
from assay.study._config import ArmConfig
from assay.study._graph import Ladder, RunSteps
from assay.study._recipes import done, random_arm
from assay.study.steps import check_of, rates_step

SHARE = 0.15
"""The most that a check before a ladder may take, as a share of the ladder's sample passes."""
FURTHER = 4
"""How many more trainings there are at most, where the best rate is an end of those tried or uncertain."""
MOST = 0.75
"""The most that a check and these trainings take together before a ladder, as that share."""
_FACTORS = {5: (-2, -1, 0, 1, 2), 4: (-2, -1, 0, 1), 3: (-1, 0, 1)}
# A short check looks further up, as the best rate falls with the steps; what it suspects, a rung tells.
# Where none is cheap enough a rung looks up alone: a rate too high does harm that shows, one too low none.
_SHORT_FACTORS = {5: (-2, -1, 0, 1, 2), 4: (-1, 0, 1, 2), 3: (-1, 0, 2)}
_UP = (0, 1)
# The best rate falls with the third root of the steps (Bjorck et al. 2024, at a given batch size).
_FALLS, _APART = 1 / 3, math.sqrt(3)
# Where it is likelier than not that the best rate is better by what matters, a further one may show it.
_WORTH = 0.5
# A rung says something of the peak rate where most of its steps come after the warm-up.
_WARM, _FEWEST_STEPS = 1.5, 8
# A check too dear at the study's own batch takes smaller ones, of so many samples at least; rates go with the
# root of the batch (Malladi et al. 2022, for Adam).
_SMALLER, _LEAST_BATCH = (2, 4, 8), 4


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """What a check would do; ``samples``: passes beyond the ladder's, ``share``: as a share of its.

    ``smaller``: by what the batch is divided, 1 where the trainings are those of rungs.  Else the check is a
    short one: the best rate falls with the steps, so that it tells a rate that is too high, and only
    suspects one that is too low.
    """

    arm: str
    rates: tuple[float, ...]
    sizes: tuple[int, ...]
    samples: int
    share: float
    smaller: int = 1

    @property
    def short(self) -> bool:
        """Whether it trains in smaller batches than the study, below all rungs."""
        return self.smaller > 1

    def recipe(self, own: Recipe, rate: float) -> Recipe:
        """Return the recipe of a training at a rate that is meant for the study's own batch."""
        if self.smaller == 1:
            return replace(own, learning_rate=rate)
        batch = own.batch_size // self.smaller
        return replace(own, learning_rate=rate * math.sqrt(batch / own.batch_size), batch_size=batch)


@dataclass(frozen=True, slots=True)
class _Trained:
    rate: float
    n_train: int
    run: RunSteps


def planned(ladder: Ladder, limit: float | None = SHARE) -> CheckPlan | None:
    """Return the largest check within the limit: of rungs, a short one, of rungs upwards; None without."""
    arm = random_arm(ladder)
    return (
        _of_rungs(ladder, arm, limit, tuple(_FACTORS.values()))
        or _short(ladder, arm, limit)
        or _of_rungs(ladder, arm, limit, (_UP,))
    )


def _of_rungs(
    ladder: Ladder, arm: str, limit: float | None, choices: Sequence[Sequence[int]]
) -> CheckPlan | None:
    """Return the largest check at rungs that reach the peak rate, within the limit."""
    reached = _reached(ladder, arm)
    for top in [n for n in reversed(reached) if n <= _middle(ladder, arm)]:
        for factors in choices:
            found = _sized(ladder, arm, _rates(ladder, factors), tuple(sorted({reached[0], top})))
            if limit is None or found.share <= limit:
                return found
    return None


def _reached(ladder: Ladder, arm: str) -> list[int]:
    """Return the rungs that reach the peak rate, rising."""
    recipe = ladder.config.recipe
    return [
        n for n in ladder.rungs(arm) if recipe.steps(n) >= max(_WARM * recipe.warmup_steps, _FEWEST_STEPS)
    ]


def _middle(ladder: Ladder, arm: str) -> int:
    """Return the rung nearest to the geometric middle that reaches the peak rate, else the largest rung."""
    rungs = ladder.rungs(arm)
    middle = math.sqrt(rungs[0] * rungs[-1])
    return min(_reached(ladder, arm), key=lambda n: abs(math.log(n / middle)), default=rungs[-1])


def _rates(ladder: Ladder, factors: Sequence[int]) -> tuple[float, ...]:
    return tuple(ladder.config.recipe.learning_rate * 3.0**k for k in factors)


def _short(ladder: Ladder, arm: str, limit: float | None) -> CheckPlan | None:
    """Return a check of smaller batches at a size below all rungs; None where none is within the limit."""
    recipe, whole = ladder.config.recipe, ladder.passes()
    steps = math.ceil(max(_WARM * recipe.warmup_steps, _FEWEST_STEPS) / recipe.epochs)
    for smaller in _SMALLER:
        for factors in _SHORT_FACTORS.values():
            size = steps * (recipe.batch_size // smaller)
            samples = recipe.epochs * size * len(factors)
            fits = recipe.batch_size // smaller >= _LEAST_BATCH and size <= ladder.rungs(arm)[-1]
            if fits and (limit is None or samples / whole <= limit):
                rates = _rates(ladder, factors)
                return CheckPlan(arm, rates, (size,), samples, samples / whole, smaller)
    return None


def _sized(
    ladder: Ladder, arm: str, rates: Sequence[float], sizes: tuple[int, ...], before: int = 0
) -> CheckPlan:
    """Return a check at rungs; ``before`` are the sample passes of a short one that it follows."""
    samples = before + _passes(ladder, sizes) * (len(rates) - 1)
    return CheckPlan(arm, tuple(rates), sizes, samples, samples / ladder.passes())


def _upwards(ladder: Ladder, before: int = 0) -> CheckPlan:
    """Return the check that tells whether the study's rate is too low: the middle rung, a higher rate."""
    arm = random_arm(ladder)
    return _sized(ladder, arm, _rates(ladder, _UP), (_middle(ladder, arm),), before)


def _further(ladder: Ladder, plan: CheckPlan, found: RecipeCheck) -> CheckPlan | None:
    """Return the check that follows on what one found; None where it told enough.

    A short one is followed where its best rate is above the study's own even after what it falls by until the
    middle rung.  Any is followed by one more rate where the best is an end of those tried, one at rungs by a
    larger rung where a higher rate seems better and that is not certain.
    """
    best = found.chosen
    if best is None or found.disagrees is not None:
        return None
    if found.short and not found.outside:
        return _upwards(ladder, plan.samples) if _suspects(ladder, plan, found) else None
    higher = best.learning_rate > found.own and (found.p or 0.0) >= _WORTH
    if not (found.outside or higher):
        return None
    if best.edge is not None:
        return _wider(ladder, plan, best.edge)
    return None if found.outside else _larger(ladder, plan, best.learning_rate)


def _wider(ladder: Ladder, plan: CheckPlan, edge: Literal["low", "high"]) -> CheckPlan:
    """Return a check with one more rate at an end."""
    more = (*plan.rates, plan.rates[-1] * 3) if edge == "high" else (plan.rates[0] / 3, *plan.rates)
    once = ladder.config.recipe.epochs * plan.sizes[-1] if plan.short else _passes(ladder, plan.sizes)
    samples = plan.samples + once
    return replace(plan, rates=more, samples=samples, share=samples / ladder.passes())


def _larger(ladder: Ladder, plan: CheckPlan, best: float) -> CheckPlan | None:
    """Return the study's rate and the best one tried at the middle rung, or at the largest after that."""
    middle, largest = _middle(ladder, plan.arm), ladder.rungs(plan.arm)[-1]
    size = middle if plan.sizes[-1] < middle else largest
    if size == plan.sizes[-1]:
        return None
    own = ladder.config.recipe.learning_rate
    other = min((r for r in plan.rates if r > own), key=lambda rate: abs(math.log(rate / best)))
    return _sized(ladder, plan.arm, (own, other), (size,), plan.samples)


def _suspects(ladder: Ladder, plan: CheckPlan, found: RecipeCheck) -> bool:
    """Return whether a short check's best rate would still be above the study's own at the middle rung."""
    own, best = ladder.config.recipe, found.chosen
    assert best is not None  # noqa: S101 - asked only where one was found
    steps = plan.recipe(own, own.learning_rate).steps(plan.sizes[-1])
    falls = max(1.0, own.steps(_middle(ladder, plan.arm)) / steps) ** _FALLS
    sure = found.p is not None and found.p >= curves.DECIDED
    return sure and best.learning_rate > _APART * falls * own.learning_rate


def _passes(ladder: Ladder, sizes: Iterable[int]) -> int:
    """Return the sample passes of one rate: the sizes share their trunk."""
    recipe, total, reached = ladder.config.recipe, 0, 0
    for n in sorted(sizes):
        shared = shared_steps(recipe, n)
        total += recipe.samples_in(n, min(reached, shared), recipe.steps(n))
        reached = max(reached, shared)
    return total


class Check:
    """The steps of a check; rates that diverged are left out of its result once they are known."""

    def __init__(self, ladder: Ladder, plan: CheckPlan, before: Step | None = None) -> None:
        """``before`` is the step that read the check on which this one follows: it is kept with it."""
        self.ladder, self.plan, self.before = ladder, plan, before
        self.rows = [row for rate in plan.rates for row in self._rate(rate)]
        self.measured = {index: self._measured(row) for index, row in enumerate(self.rows)}
        items, every = ladder.sizes.items, enumerate(self.rows)
        self.evaluated = {
            i: ladder.loss_on(ladder.evaluation, row.run.branch, f"{self._label(row)}, evaluation", items)
            for i, row in every
        }

    def _rate(self, rate: float) -> list[_Trained]:
        own = self.ladder.config.recipe.learning_rate
        if math.isclose(rate, own) and self.plan.smaller == 1:
            runs = self.ladder.seed_runs(self.plan.arm, 0)
            return [_Trained(own, run.n_train, run) for run in runs if run.n_train in self.plan.sizes]
        config = self.ladder.config
        changed = replace(config, recipe=self.plan.recipe(config.recipe, rate))
        arms: Mapping[str, ArmConfig] = {
            self.plan.arm: replace(self.ladder.arms[self.plan.arm], rungs=self.plan.sizes)
        }
        ladder = Ladder(
            changed, self.ladder.evaluation, self.ladder.pool, self.ladder.summary, arms,
            chooser=self.ladder.chooser,
        )  # fmt: skip
        return [_Trained(rate, run.n_train, run) for run in ladder.seed_runs(self.plan.arm, 0)]

    def _label(self, row: _Trained) -> str:
        return f"{self.plan.arm} {row.n_train} rate {row.rate:.2g}"

    def _measured(self, row: _Trained) -> Step | None:
        return self.ladder.held(self.plan.arm, 0, row.run.branch, self._label(row))

    def step(self, diverged: Sequence[int] = ()) -> Step:
        """Return the step that reads the check, without the rows that ``diverged``."""
        inputs: dict[str, Step] = {"evaluation": self.ladder.evaluation}
        inputs |= {} if self.before is None else {"before": self.before}
        for index, row in enumerate(self.rows):
            if index not in diverged:
                inputs[f"evaluation/{index}"] = self.evaluated[index]
                if (held := self.measured[index]) is not None:
                    inputs[f"loss/{index}"] = held
                parts = [part for part in (*row.run.trunk, row.run.branch) if part is not None]
                inputs |= {f"train/{index}/{place:02}": part for place, part in enumerate(parts)}
        inputs |= self._untrained()
        control = self.ladder.chooser.control
        if control is not None:
            inputs["control"] = control
        return rates_step(
            [
                {"rate": r.rate, "n_train": r.n_train, "diverged": i in diverged}
                for i, r in enumerate(self.rows)
            ],
            inputs,
            own=self.ladder.config.recipe.learning_rate,
            measured_on="evaluation" if control is None else "control",
            smallest_relative_gain=self.ladder.config.question.smallest_relative_gain,
            samples=self.plan.samples,
            share=self.plan.share,
            short=self.plan.short,
        )

    def _untrained(self) -> dict[str, Step]:
        """Return the steps that measure the base on what the check reads."""
        ladder, items = self.ladder, self.ladder.sizes.items
        evaluation = ladder.loss_on(ladder.evaluation, None, "base model, evaluation", items)
        found, held = {"untrained/evaluation": evaluation}, ladder.held(self.plan.arm, 0, None, "base model")
        return found if held is None else found | {"untrained/control": held}

    def stored(self, store: Store) -> Step | None:
        """Return the step that read the check where it has run; what it lacks are rates that diverged."""
        step = self.step([index for index, one in self.evaluated.items() if not store.has(one.key)])
        return step if store.has(step.key) else None

    def run(self, store: Store, workers: Pool) -> Step:
        """Run the check and return the step that read it; a training whose loss is no number is a finding."""
        step = self.step()
        try:
            planning.run([step], store, workers)
        except AssayError:
            step = self.step([i for i, one in self.evaluated.items() if not done(one, store, workers)])
            planning.run([step], store, workers)
        return step


def follow(
    ladder: Ladder,
    plan: CheckPlan,
    done: Callable[[Check], Step | None],
    store: Store,
    before: Step | None = None,
    most: float = MOST,
) -> Step | None:
    """Return the step that read a check, or the last of those that followed on what it found.

    ``done`` returns the step of a check that has run, None where it has not; then what is known is returned.
    All together take at most the share ``most`` of the ladder's sample passes.
    """
    step = done(Check(ladder, plan, before))
    for _ in range(FURTHER + plan.short):
        if step is None or not store.has(step.key):
            return step
        further = _further(ladder, plan, read_check(store, step))
        if further is None or further.share > most:
            return step
        if (then := done(Check(ladder, further, step))) is None:
            return step
        plan, step = further, then
    return step


def checked(ladder: Ladder, store: Store, workers: Pool) -> Step | None:
    """Run the check before a ladder, where the study wants one and it fits; return the step that read it.

    A check that the command has run is taken, whatever it took.
    """
    return _to_follow(ladder, store, lambda check: check.run(store, workers))


def check_to_come(ladder: Ladder, store: Store) -> Step | None:
    """Return the step that a study's own check will read, None where it makes none; nothing is run."""
    return _to_follow(ladder, store, lambda check: check.stored(store) or check.step())


def _to_follow(ladder: Ladder, store: Store, run: Callable[[Check], Step]) -> Step | None:
    if not ladder.config.recipe_check:
        return None
    full = planned(ladder, None)
    known = None if full is None else follow(ladder, full, lambda c: c.stored(store), store, most=math.inf)
    if known is not None:
        return known
    plan = planned(ladder)
    return None if plan is None else follow(ladder, plan, run, store)


def raised(ladder: Ladder, check: Step | None, store: Store, workers: Pool) -> Step | None:
    """Return the check with which a plateau may be called one: higher rates were tried at a rung.

    Where that is so already, or no check is wanted, the given one.
    """
    known = check is not None and not read_check(store, check).short
    if known or not ladder.config.recipe_check:
        return check
    before = 0 if check is None else read_check(store, check).samples
    return follow(ladder, _upwards(ladder, before), lambda one: one.run(store, workers), store, check)


def check_notes(ladder: Ladder) -> list[Said]:
    """Return what a plan says of the check, what it takes, and what it may take later."""
    if not ladder.config.recipe_check:
        return [say("recipe.plan.off")]
    samples = ladder.config.recipe.epochs * ladder.rungs(random_arm(ladder))[-1]
    decides = say("recipe.plan.decides", samples=samples, share=samples / ladder.passes())
    return [
        _check_note(ladder),
        _further_note(ladder),
        *([] if ladder.config.question.recipes else [decides]),
    ]


def _further_note(ladder: Ladder) -> Said:
    more = _upwards(ladder)
    return say(
        "recipe.plan.further",
        most=FURTHER,
        limit=MOST,
        n=more.sizes[-1],
        samples=more.samples,
        share=more.share,
    )


def _check_note(ladder: Ladder) -> Said:
    if (plan := planned(ladder)) is not None:
        return _will(plan)
    full = planned(ladder, None)
    if full is None:
        return say("recipe.plan.short", fewest=_FEWEST_STEPS)
    return say("recipe.plan.dear", limit=SHARE, share=full.share, samples=full.samples)


def _will(plan: CheckPlan) -> Said:
    key = "recipe.plan.short_check" if plan.short else "recipe.plan.will"
    sizes = " / ".join(f"{n:,}" for n in plan.sizes)
    return say(key, count=len(plan.rates), sizes=sizes, samples=plan.samples, share=plan.share)


def read_check(store: Store, step: Step) -> RecipeCheck:
    """Return what a check found."""
    return check_of(store.path(step.key))
