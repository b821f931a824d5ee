"""The ladders of bases that their provider trains: jobs, or at Tinker Assay's own recipe step by step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay import indicators, llm, model
from assay.core import AssayError, digest, say
from assay.plan import Estimate, Step
from assay.study._config import StudyConfig
from assay.study._graph import Ladder, RunSteps, base_folder
from assay.study._sizes import Sizes, hosted_sizes
from assay.study.steps import (
    Base,
    Hosted,
    hosted_answer_step,
    tinker_answer_step,
    tinker_step,
    tune_step,
)


class HostedLadder(Ladder):
    """A ladder whose models lie at their provider: no tokens, no losses, no shared first pass."""

    def _own_base(self, config: StudyConfig) -> Base:
        return Base(Path(config.base), digest([config.base, config.hosted.revision]))

    def _own_sizes(self) -> Sizes:
        self.notes.append(say("note.hosted", base=self.config.base))
        self.hosted = Hosted.of(self.config)
        llm.check_tuning(self.hosted.base, self.hosted.config)
        for name, arm in self.arms.items():
            if arm.replay or arm.groups == "length":
                raise _needs_it(name, "replay" if arm.replay else arm.groups)
        _check_indicators(self)
        return hosted_sizes(self.config, self.evaluation, self.pool)

    @property
    def counted(self) -> Step | None:
        """Nothing is cut here: the provider reads the samples."""
        return None

    @property
    def recipe_settings(self) -> dict[str, Any]:
        """What the provider was told of the training; its own choice is None."""
        own = self.config.hosted.identity()
        return {"trainer": self.config.base.split("/")[0], **own, "batch_size": own["batch_size"] or "auto"}

    def samples_of(self, step: Step) -> int:
        """Return the sample passes of a job."""
        return int(step.config["n_train"] * step.config["epochs"])

    def seed_runs(self, arm: str, seed: int) -> Iterator[RunSteps]:
        """Yield the steps of the models of one arm and seed, rising."""
        for n_train in self.rungs(arm):
            label = f"{arm} {n_train} seed {seed}"
            tuned = tune_step(
                self.hosted, self.pool, self.order(arm, seed), seed=seed, n_train=n_train,
                n_bytes=self.sizes.tokens_per_sample, label=label,
            )  # fmt: skip
            yield self._measured(arm, seed, n_train, (), tuned, shared=False)

    def _measured(
        self, arm: str, seed: int, n_train: int, trunk: tuple[Step, ...], branch: Step | None, *, shared: bool
    ) -> RunSteps:
        label = f"{arm} {n_train} seed {seed}" if branch is not None else "base model"
        step = hosted_answer_step(
            self.hosted, self.evaluation, branch, self.config.measure, seed=seed, label=label,
            items=self.sizes.items, tokens=self.sizes.prompt_tokens,
        )  # fmt: skip
        return RunSteps(arm, seed, n_train, trunk, branch, step, self._judged(step, label), shared,
                        self._metrics(step, label))  # fmt: skip

    def _answering_cost(self) -> Estimate:
        return Estimate()


class TinkerLadder(Ladder):
    """A ladder at Tinker: tokens and recipe are Assay's, the weights are there; each rung is a whole run."""

    def _own_base(self, config: StudyConfig) -> Base:
        folder = base_folder(config)
        named = [config.base, config.hosted.revision, model.reading_digest(folder)]
        return Base(folder, digest(named))

    def _own_sizes(self) -> Sizes:
        self.notes.append(say("note.tinker", base=self.config.base))
        self.hosted = Hosted.of(self.config)
        llm.check_tuning(self.hosted.base, self.hosted.config)
        _check_indicators(self)
        return hosted_sizes(self.config, self.evaluation, self.pool)

    def seed_runs(self, arm: str, seed: int) -> Iterator[RunSteps]:
        """Yield the steps of the models of one arm and seed, rising."""
        recipe, inputs = self.config.recipe, self._rows(arm, seed)
        for n_train in self.rungs(arm):
            trained = tinker_step(
                self.hosted, self.base, recipe, inputs, seed=seed, n_train=n_train,
                n_bytes=min(self.sizes.tokens_per_sample, recipe.max_tokens),
                label=f"{arm} {n_train} seed {seed}",
            )  # fmt: skip
            yield self._measured(arm, seed, n_train, (), trained, shared=False)

    def samples_of(self, step: Step) -> int:
        """Return the sample passes of a run."""
        recipe, size = self.config.recipe, int(step.config["n_train"])
        return recipe.samples_in(size, 0, recipe.steps(size))

    def _measured(
        self, arm: str, seed: int, n_train: int, trunk: tuple[Step, ...], branch: Step | None, *, shared: bool
    ) -> RunSteps:
        measure, sizes = self.config.measure, self.sizes
        label = f"{arm} {n_train} seed {seed}" if branch is not None else "base model"
        step = tinker_answer_step(
            self.hosted, self.base, self.evaluation, branch, measure, template=self.config.recipe.template,
            seed=seed, label=label, items=sizes.items, read=sizes.prompt_tokens + sizes.reference_tokens,
        )  # fmt: skip
        judged = self._judged(step, label) if measure.answers else None
        return RunSteps(arm, seed, n_train, trunk, branch, step, judged, shared, self._metrics(step, label))

    def _answering_cost(self) -> Estimate:
        return Estimate()


def ladder_kind(base: str) -> type[Ladder]:
    """Return the ladder that suits a base."""
    if llm.is_tinker(base):
        return TinkerLadder
    return HostedLadder if llm.is_hosted(base) else Ladder


def _check_indicators(ladder: Ladder) -> None:
    for name, arm in ladder.arms.items():
        if arm.by is not None and _needs_base(arm.by, ladder.config.folder):
            raise _needs_it(name, arm.by)


def _needs_it(arm: str, value: str) -> AssayError:
    return AssayError(
        "the arm needs the base model on this machine", place=f"arms.{arm}", value=value,
        expected="random, or a selection by an indicator that needs no model of the base",
    )  # fmt: skip


def _needs_base(by: str, folder: str) -> bool:
    return "base" in indicators.needs(str(Path(folder) / by) if by.endswith(".json") else by)
