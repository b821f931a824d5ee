"""The command that checks a study's learning rate by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from assay import plan as planning
from assay.core import AssayError, RecipeCheck
from assay.plan import open_store
from assay.study._bases import study_ladders
from assay.study._check import Check, follow, planned, read_check
from assay.study._graph import Ladder, input_steps
from assay.study._run import Study, load, read_summary, report_folder
from assay.study._spend import spending


def check(
    config: Study,
    *,
    set: Sequence[str] = (),
    share: float | None = None,
    base: str | None = None,
    pool: str | None = None,
    cap: str | None = None,
) -> RecipeCheck:
    """Try learning rates around a study's own at a small and a middle rung, before the ladder is trained.

    Five rates by factors of three, read on samples of the pool kept out of training; further ones where the
    best is the highest or lowest tried. What is trained is kept in the store: the study itself takes its own
    rate's runs from there.

    Example: `assay recipe check study.yaml`

        >>> brief = {"name": "brief", "pool": {"testbed": {"samples": 64}}, "control": False,
        ...          "evaluation": {"testbed": {"samples": 24, "seed": 1}},
        ...          "ladder": {"rungs": [32], "seeds": 1},
        ...          "recipe": {"preset": "testbed", "batch_size": 4, "warmup_steps": 0}}
        >>> len(assay.recipe.check(brief, pool="inline").rates)
        5

    Parameters
    ----------
    config
        The study file (YAML).
    set
        A setting laid over the file, `key.path=value`; may be repeated.
    share
        The most that it may take, as a share of the ladder's sample passes; no limit by default.
    base
        Which of several bases (the first).
    pool
        Where steps run: `inline` or `processes:N`.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the study file. What is finished is kept.
    """
    study = load(config, set, pool)
    store = open_store(study.where.store)
    evaluation, samples = input_steps(study)
    with (
        spending(study, report_folder(study), cap) as meter,
        planning.parse_pool(study.where.pool) as workers,
    ):
        planning.run([evaluation, samples], store, workers)
        ladders = study_ladders(study, evaluation, samples, read_summary(store, samples))
        ladder = _ladder(ladders, base)
        plan = planned(ladder, share)
        if plan is None:
            raise _too_short(ladder, share)
        store.register(f"{study.name}-recipe", [Check(ladder, plan).step()])
        step = follow(ladder, plan, lambda one: one.run(store, workers), store, most=math.inf)
        assert step is not None  # noqa: S101 - each check is run
        store.register(f"{study.name}-recipe", [step])
        found = read_check(store, step)
        meter.per |= {"run": len(found.rates), "verdict": 1}
    return replace(found, language=study.language)


def _ladder(ladders: dict[str, Ladder], base: str | None) -> Ladder:
    if base is None:
        return next(iter(ladders.values()))
    if base not in ladders or not base:
        expected = ", ".join(filter(None, ladders)) or "nothing: the study has one base"
        raise AssayError("the study has no such base", place="base", value=base, expected=expected)
    return ladders[base]


def _too_short(ladder: Ladder, share: float | None) -> AssayError:
    if (found := planned(ladder, None)) is not None:
        return AssayError(
            "no check is this cheap", place="share", value=share,
            expected=f"{found.share:.2f} or more, for {found.samples:,} sample passes",
        )  # fmt: skip
    rungs = ladder.rungs(next(iter(ladder.arms)))
    return AssayError(
        "no rung reaches the peak learning rate", place="ladder.rungs", value=list(rungs),
        expected="a rung with half as many steps again as recipe.warmup_steps, and at least 8",
        hint="add a larger rung, or lower recipe.batch_size or recipe.warmup_steps",
    )  # fmt: skip
