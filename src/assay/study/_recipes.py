"""A ladder under other recipes, and fewer samples at equal steps: trainings beside the study's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from assay import plan as planning
from assay.core import DIVERGED, AssayError, Text, say
from assay.model import Recipe, TokenTable
from assay.plan import Pool, Step, Store
from assay.study._config import ArmConfig, other_recipes, recipe_name
from assay.study._graph import Ladder, RunSteps

REPEATS = (2, 4)
"""How many times the passes of the ladder halves and quarters of a rung take."""
_RUNGS = 2

_ALIKE = 0.05
"""Selections whose tokens differ by less from those of random samples have equal tokens as they are."""

Kind = Literal["recipe", "steps", "deciding", "tokens"]


@dataclass(frozen=True, slots=True)
class Variant:
    """Trainings beside the ladder's own: under another recipe, or fewer samples for as many steps.

    ``passes``: how many times the passes of the ladder each takes (1 where the recipe is a factor).
    """

    kind: Kind
    name: str
    passes: int
    ladder: Ladder
    runs: tuple[RunSteps, ...]

    @property
    def changes(self) -> dict[str, object]:
        """The fields in which the recipe differs from the study's."""
        assert self.ladder.other is not None  # noqa: S101 - a variant stands beside a ladder
        own, here = (dataclasses.asdict(one.config.recipe) for one in (self.ladder.other, self.ladder))
        return {name: value for name, value in here.items() if value != own[name]}

    def passes_of(self) -> dict[str, int]:
        """Return by key the sample passes of what is trained beyond what is shared with the ladder."""
        return {step.key: self.ladder.samples_of(step) for step in self._added()}

    def _added(self) -> Iterator[Step]:
        shared = {part.key for run in self.runs if run.shared for part in run.trunk}
        for run in self.runs:
            yield from (part for part in (*run.trunk, run.branch) if part and part.key not in shared)


@dataclass(frozen=True, slots=True)
class Beside:
    """The trainings beside a ladder, and the keys of those whose loss became no number."""

    variants: tuple[Variant, ...] = ()
    diverged: frozenset[str] = frozenset()

    def with_more(self, other: Beside) -> Beside:
        """Return both together."""
        return Beside((*self.variants, *other.variants), self.diverged | other.diverged)

    def rows(self) -> Iterator[tuple[dict[str, Any], RunSteps]]:
        """Yield every training with what it is, as a result reads it."""
        for one in self.variants:
            what = {"kind": one.kind, "name": one.name, "passes": one.passes, "changes": one.changes}
            what["epochs"] = one.ladder.config.recipe.epochs
            what["batch_size"] = one.ladder.config.recipe.batch_size
            for run in one.runs:
                yield what | {"diverged": run.answer.key in self.diverged}, run


def variants(ladder: Ladder) -> list[Variant]:
    """Return what a study asks for beside its ladder: other recipes, fewer samples at equal steps."""
    found = [
        _variant("recipe", name, 1, ladder, recipe, ladder.arms)
        for name, recipe in other_recipes(ladder.config).items()
    ]
    return [*found, *_steps(ladder)] if ladder.config.question.steps_or_samples else found


def equal_tokens(ladder: Ladder, store: Store, workers: Pool) -> list[Variant]:
    """Return random samples with the tokens of each selection's largest rung, for each seed.

    None where the tokens are the same anyway, or the pool has too few of them.
    """
    arm, found = random_arm(ladder), list[Variant]()
    for name in _selections(ladder):
        for seed in range(ladder.config.ladder.seeds):
            size = _size(ladder, arm, name, seed, store, workers)
            if size is not None:
                arms = {arm: replace(ladder.arms[arm], rungs=(size,))}
                found.append(_variant("tokens", name, 1, ladder, ladder.config.recipe, arms, [seed]))
    return found


def _selections(ladder: Ladder) -> list[str]:
    """Return the arms that select, where the study asks what samples buy and has random ones beside them."""
    if not ladder.config.question.steps_or_samples or ladder.arms[random_arm(ladder)].rule != "random":
        return []
    return [name for name, arm in ladder.arms.items() if arm.rule not in ("random", "balanced")]


def _size(ladder: Ladder, arm: str, name: str, seed: int, store: Store, workers: Pool) -> int | None:
    """Return how many random samples have the tokens of a selection's largest rung, if others than it has."""
    orders, tokens = [ladder.chooser.order(one, seed) for one in (name, arm)], ladder.tokens()
    planning.run([*orders, tokens], store, workers)
    lengths = TokenTable(store.path(tokens.key)).lengths
    own, chance = (lengths[np.load(store.path(one.key) / "order.npy")].cumsum() for one in orders)
    n_train = ladder.rungs(name)[-1]
    wanted = own[n_train - 1]
    if wanted > chance[-1] or abs(chance[n_train - 1] / wanted - 1) < _ALIKE:
        return None
    return int(np.searchsorted(chance, wanted)) + 1


def own_name(ladder: Ladder) -> str:
    """Return how the study's own recipe is named beside the others: by the fields that those change."""
    own, changed = dataclasses.asdict(ladder.config.recipe), dict[str, object]()
    for recipe in other_recipes(ladder.config).values():
        other = dataclasses.asdict(recipe)
        changed |= {name: own[name] for name in own if own[name] != other[name]}
    return recipe_name(changed)


def deciding(ladder: Ladder, rate: float, seed: int) -> Variant:
    """Return one training of the largest rung at another rate, which tells whether harm goes away."""
    arm = random_arm(ladder)
    recipe = replace(ladder.config.recipe, learning_rate=rate)
    rungs = {arm: replace(ladder.arms[arm], rungs=ladder.rungs(arm)[-1:])}
    return _variant("deciding", recipe_name({"learning_rate": rate}), 1, ladder, recipe, rungs, [seed])


def random_arm(ladder: Ladder) -> str:
    """Return the arm of random samples, else the first."""
    return next((name for name, arm in ladder.arms.items() if arm.rule == "random"), next(iter(ladder.arms)))


def _steps(ladder: Ladder) -> Iterator[Variant]:
    """Yield halves and quarters of the largest rungs at equal steps, no smaller than the smallest rung.

    Of the random arm alone: half of a selection is another selection.
    """
    arm = random_arm(ladder)
    rungs, epochs = ladder.rungs(arm), ladder.config.recipe.epochs
    for times in REPEATS:
        sizes = tuple(n // times for n in rungs[-_RUNGS:] if n // times >= rungs[0])
        if sizes and ladder.arms[arm].rule == "random":
            recipe = replace(ladder.config.recipe, epochs=epochs * times)
            arms = {arm: replace(ladder.arms[arm], rungs=sizes)}
            yield _variant("steps", recipe_name({"epochs": epochs * times}), times, ladder, recipe, arms)


def _variant(
    kind: Kind, name: str, passes: int, ladder: Ladder, recipe: Recipe, arms: Mapping[str, ArmConfig],
    seeds: Sequence[int] = (),
) -> Variant:  # fmt: skip
    found = Ladder(
        replace(ladder.config, recipe=recipe),
        ladder.evaluation,
        ladder.pool,
        ladder.summary,
        arms,
        chooser=ladder.chooser,
        other=ladder,
    )
    every = seeds or range(ladder.config.ladder.seeds)
    runs = tuple(run for arm in arms for seed in every for run in found.seed_runs(arm, seed))
    return Variant(kind, name, passes, found, runs)


def trained(found: Sequence[Variant], store: Store, workers: Pool) -> Beside:
    """Train and measure variants; a training whose loss becomes no number is a finding, no failure."""
    runs = [run for variant in found for run in variant.runs]
    try:
        planning.run([step for run in runs for step in run.parts.values()], store, workers)
    except AssayError as error:
        if DIVERGED not in error.problem:
            raise
        failed = (run.answer.key for run in runs if not done(run.answer, store, workers))
        return Beside(tuple(found), frozenset(failed))
    return Beside(tuple(found))


def done(step: Step, store: Store, workers: Pool) -> bool:
    """Return whether a model was trained and measured; False where its loss became no number."""
    try:
        planning.run([step], store, workers)
    except AssayError as error:
        if DIVERGED not in error.problem:
            raise
        return False
    return True


def variants_note(ladder: Ladder, found: Sequence[Variant]) -> Iterator[Text]:
    """Yield what a plan says of the variants and what they take."""
    whole, known = ladder.passes(), set[str]()
    for kind in ("recipe", "steps"):
        own = [one for one in found if one.kind == kind]
        parts = {key: n for one in own for key, n in one.passes_of().items() if key not in known}
        samples, models = sum(parts.values()), len({r.answer.key for one in own for r in one.runs} - known)
        known |= parts.keys() | {run.answer.key for one in own for run in one.runs}
        if own:
            names = ", ".join(one.name for one in own)
            yield say(
                f"recipes.plan.{kind}", names=names, models=models, samples=samples, share=samples / whole
            )
    if arms := _selections(ladder):
        yield say("recipes.plan.tokens", arms=", ".join(arms), models=len(arms) * ladder.config.ladder.seeds)
    if ladder.config.question.steps_or_samples and not any(one.kind == "steps" for one in found):
        yield say("recipes.plan.none")
