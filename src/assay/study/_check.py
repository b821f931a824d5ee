"""The recipe check: a few learning rates at a small and a middle rung, before a ladder is trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
_FACTORS = {5: (-2, -1, 0, 1, 2), 4: (-2, -1, 0, 1), 3: (-1, 0, 1)}
# A rung says something of the peak rate where most of its steps come after the warm-up.
_WARM, _FEWEST_STEPS = 1.5, 8
# A check too dear at the study's own batch takes smaller ones, of so many samples at least; rates go with the
# root of the batch (Malladi et al. 2022, for Adam).
_SMALLER, _LEAST_BATCH = (2, 4, 8), 4


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """What a check would do; ``samples``: passes beyond the ladder's, ``share``: as a share of its.

    ``smaller``: by what the batch is divided, 1 where the trainings are those of rungs.  Then the check is a
    short one: the best rate falls with the steps, so that it tells a rate that is too high, not one too low.
    """

    arm: str
    rates: tuple[float, ...]
    sizes: tuple[int, ...]
    samples: int
    share: float
    smaller: int = 1

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
    """Return the largest check within the limit: of rungs, else a short one; None where none is."""
    recipe, arm = ladder.config.recipe, random_arm(ladder)
    reached = [n for n in ladder.rungs(arm) if _reaches(recipe, n)]
    if (found := _of_rungs(ladder, arm, reached, limit)) is not None:
        return found
    return _short(ladder, arm, limit)


def _of_rungs(ladder: Ladder, arm: str, reached: Sequence[int], limit: float | None) -> CheckPlan | None:
    """Return the largest check at rungs that reach the peak rate, within the limit."""
    if not reached:
        return None
    middle = math.sqrt(ladder.rungs(arm)[0] * ladder.rungs(arm)[-1])
    largest = min(reached, key=lambda n: abs(math.log(n / middle)))
    for top in [n for n in reversed(reached) if n <= largest]:
        for factors in _FACTORS.values():
            found = _sized(ladder, arm, factors, tuple(sorted({reached[0], top})))
            if limit is None or found.share <= limit:
                return found
    return None


def _short(ladder: Ladder, arm: str, limit: float | None) -> CheckPlan | None:
    """Return a check of smaller batches at a size below all rungs; None where none is within the limit."""
    recipe, whole = ladder.config.recipe, ladder.passes()
    steps = math.ceil(max(_WARM * recipe.warmup_steps, _FEWEST_STEPS) / recipe.epochs)
    for smaller in _SMALLER:
        for factors in _FACTORS.values():
            size = steps * (recipe.batch_size // smaller)
            samples = recipe.epochs * size * len(factors)
            fits = recipe.batch_size // smaller >= _LEAST_BATCH and size <= ladder.rungs(arm)[-1]
            if fits and (limit is None or samples / whole <= limit):
                rates = tuple(recipe.learning_rate * 3.0**k for k in factors)
                return CheckPlan(arm, rates, (size,), samples, samples / whole, smaller)
    return None


def _reaches(recipe: Recipe, n_train: int) -> bool:
    return recipe.steps(n_train) >= max(_WARM * recipe.warmup_steps, _FEWEST_STEPS)


def _sized(ladder: Ladder, arm: str, factors: Sequence[int], sizes: tuple[int, ...]) -> CheckPlan:
    own = ladder.config.recipe.learning_rate
    rates = tuple(own * 3.0**k for k in factors)
    once = _passes(ladder, sizes)
    samples = once * (len(rates) - 1)
    return CheckPlan(arm, rates, sizes, samples, samples / ladder.passes())


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

    def __init__(self, ladder: Ladder, plan: CheckPlan) -> None:
        self.ladder, self.plan = ladder, plan
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
        for index, row in enumerate(self.rows):
            if index not in diverged:
                inputs[f"evaluation/{index}"] = self.evaluated[index]
                if (held := self.measured[index]) is not None:
                    inputs[f"loss/{index}"] = held
                parts = [part for part in (*row.run.trunk, row.run.branch) if part is not None]
                inputs |= {f"train/{index}/{place:02}": part for place, part in enumerate(parts)}
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
            short=self.plan.smaller > 1,
        )

    def run(self, store: Store, workers: Pool) -> Step:
        """Run the check and return the step that read it; a training whose loss is no number is a finding."""
        step = self.step()
        try:
            planning.run([step], store, workers)
        except AssayError:
            step = self.step([i for i, one in self.evaluated.items() if not done(one, store, workers)])
            planning.run([step], store, workers)
        return step


def checked(ladder: Ladder, store: Store, workers: Pool) -> Step | None:
    """Run the check before a ladder, where the study wants one and it fits; return the step that read it.

    A check that the command has run is taken, whatever it took.
    """
    if not ladder.config.recipe_check:
        return None
    full = planned(ladder, None)
    if full is not None and store.has((done := Check(ladder, full).step()).key):
        return done
    plan = planned(ladder)
    return None if plan is None else Check(ladder, plan).run(store, workers)


def check_to_come(ladder: Ladder, store: Store) -> Step | None:
    """Return the step that a study's own check will read, None where it makes none; nothing is run."""
    if not ladder.config.recipe_check:
        return None
    full = planned(ladder, None)
    if full is not None and store.has((done := Check(ladder, full).step()).key):
        return done
    plan = planned(ladder)
    return None if plan is None else Check(ladder, plan).step()


def check_notes(ladder: Ladder) -> list[Said]:
    """Return what a plan says of the check, what it takes, and what it may take later."""
    if not ladder.config.recipe_check:
        return [say("recipe.plan.off")]
    samples = ladder.config.recipe.epochs * ladder.rungs(random_arm(ladder))[-1]
    decides = say("recipe.plan.decides", samples=samples, share=samples / ladder.passes())
    return [_check_note(ladder), *([] if ladder.config.question.recipes else [decides])]


def _check_note(ladder: Ladder) -> Said:
    if (plan := planned(ladder)) is not None:
        return _will(plan)
    full = planned(ladder, None)
    if full is None:
        return say("recipe.plan.short", fewest=_FEWEST_STEPS)
    return say("recipe.plan.dear", limit=SHARE, share=full.share, samples=full.samples)


def _will(plan: CheckPlan) -> Said:
    key = "recipe.plan.will" if plan.smaller == 1 else "recipe.plan.short_check"
    return say(key, count=len(plan.rates), sizes=plan.sizes, samples=plan.samples, share=plan.share)


def read_check(store: Store, step: Step) -> RecipeCheck:
    """Return what a check found."""
    return check_of(store.path(step.key))
