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
from assay.study.steps import check_of, rates_step

SHARE = 0.15
"""The most that a check before a ladder may take, as a share of the ladder's sample passes."""
_FACTORS = {5: (-2, -1, 0, 1, 2), 4: (-2, -1, 0, 1), 3: (-1, 0, 1)}
# A rung says something of the peak rate where most of its steps come after the warm-up.
_WARM, _FEWEST_STEPS = 1.5, 8


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """What a check would do; ``samples``: passes beyond the ladder's, ``share``: as a share of its."""

    arm: str
    rates: tuple[float, ...]
    sizes: tuple[int, ...]
    samples: int
    share: float


@dataclass(frozen=True, slots=True)
class _Trained:
    rate: float
    n_train: int
    run: RunSteps


def planned(ladder: Ladder, limit: float | None = SHARE) -> CheckPlan | None:
    """Return the largest check within the limit; None where none is, or no rung reaches the peak rate."""
    recipe, arm = ladder.config.recipe, _arm(ladder)
    reached = [n for n in ladder.rungs(arm) if _reaches(recipe, n)]
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


def _arm(ladder: Ladder) -> str:
    return next((name for name, arm in ladder.arms.items() if arm.rule == "random"), next(iter(ladder.arms)))


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
        self.untrained = ladder.loss_on(ladder.evaluation, None, "base model, evaluation", items)

    def _rate(self, rate: float) -> list[_Trained]:
        own = self.ladder.config.recipe.learning_rate
        if math.isclose(rate, own):
            runs = self.ladder.seed_runs(self.plan.arm, 0)
            return [_Trained(own, run.n_train, run) for run in runs if run.n_train in self.plan.sizes]
        config = self.ladder.config
        changed = replace(config, recipe=replace(config.recipe, learning_rate=rate))
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
        inputs: dict[str, Step] = {"untrained": self.untrained, "evaluation": self.ladder.evaluation}
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
        )

    def run(self, store: Store, workers: Pool) -> Step:
        """Run the check and return the step that read it; a training whose loss is no number is a finding."""
        step = self.step()
        try:
            planning.run([step], store, workers)
        except AssayError:
            step = self.step([i for i, one in self.evaluated.items() if not _done(one, store, workers)])
            planning.run([step], store, workers)
        return step


def _done(step: Step, store: Store, workers: Pool) -> bool:
    """Return whether a model was trained and measured; False where its loss became no number."""
    try:
        planning.run([step], store, workers)
    except AssayError as error:
        if "not a number" not in error.problem:
            raise
        return False
    return True


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


def check_note(ladder: Ladder) -> Said:
    """Return what a plan says of the check and what it takes."""
    if not ladder.config.recipe_check:
        return say("recipe.plan.off")
    if (plan := planned(ladder)) is not None:
        return _will(plan)
    full = planned(ladder, None)
    if full is None:
        return say("recipe.plan.short", fewest=_FEWEST_STEPS)
    return say("recipe.plan.dear", limit=SHARE, share=full.share, samples=full.samples)


def _will(plan: CheckPlan) -> Said:
    return say(
        "recipe.plan.will", count=len(plan.rates), sizes=plan.sizes, samples=plan.samples, share=plan.share
    )  # fmt: skip


def read_check(store: Store, step: Step) -> RecipeCheck:
    """Return what a check found."""
    return check_of(store.path(step.key))
