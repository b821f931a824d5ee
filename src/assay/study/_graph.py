"""A study as steps: read, tokenize, order, trunk and branches, answer, judge, result, report."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from assay import data, indicators, llm, model, selection
from assay._version import __version__
from assay.core import (
    BASE_ARM,
    AssayError,
    DataSummary,
    Text,
    say,
    to_json,
)
from assay.plan import Estimate, Step, local_folder
from assay.study._config import FULL, ArmConfig, StudyConfig, TestbedConfig
from assay.study._control import control_notes, control_size, loss_only, spared
from assay.study._sizes import Sizes, kind_of, measuring_cost, reading_cost, sizes_of, training_cost
from assay.study.steps import (
    SEEN,
    Base,
    ability_steps,
    answer_step,
    check_step,
    control_step,
    dialogue_steps,
    expand,
    held_step,
    joined_tokens_step,
    judge_step,
    metrics_step,
    models_of,
    needs_of,
    order_step,
    place_digest,
    plain_tokens_step,
    read_step,
    replay_order_step,
    runtime,
    text_places,
    text_step,
    tokens_step,
    train_step,
)


@dataclass(frozen=True, slots=True)
class RunSteps:
    """The steps of one trained model: its trunk so far, its branch, and its measurements."""

    arm: str
    seed: int
    n_train: int
    trunk: tuple[Step, ...]
    branch: Step | None
    answer: Step
    judged: Step | None
    shared: bool
    """True where an earlier rung of the same arm and seed already counts this trunk's last part."""
    metrics: Step | None = None
    """What plug-ins measure of the answers."""
    text: Step | None = None
    """The loss on plain text."""
    tasks: tuple[tuple[str, Step], ...] = ()
    """Tasks and benchmarks by name: ``task/…`` are part of the evaluation, ``ability/…`` stand beside it."""
    held: Step | None = None
    """The loss on the control slice and on samples seen; None without a slice, and for the base model."""

    @property
    def parts(self) -> dict[str, Step]:
        """The steps that a result reads, by name."""
        own = {"answer": self.answer, "judge": self.judged, "metrics": self.metrics, "branch": self.branch}
        own["held"] = self.held
        own["text"] = self.text
        own |= dict(self.tasks)
        trunk = {f"trunk{i}": step for i, step in enumerate(self.trunk)}
        return {name: step for name, step in {**own, **trunk}.items() if step is not None}


def input_steps(config: StudyConfig) -> tuple[Step, Step]:
    """Return the steps that read the evaluation set and the pool."""
    folder = Path(config.folder)
    sets = [evaluation_step(config, source) for source in config.sets]
    evaluation = sets[0] if config.measured is None else evaluation_step(config, config.measured)
    wanted = config.decontaminate
    embedder = str(model_place(wanted.embedder, folder))
    rules = {"contained": wanted.contained, "alike": wanted.alike, "embedder": model.embedder_id(embedder)}
    where = {"embedder": embedder, "cache": str(cache_folder(config))}
    # In the order of their keys, so that the pool is the same whichever of the sets is measured.
    ordered = sorted({step.key: step for step in sets}.items())
    if len(ordered) < len(sets):
        raise AssayError(
            "the same evaluation set is used twice", place="evaluation",
            expected="separate sets: evaluation, rule.evaluation, search.evaluation",
            hint="`assay evalset split` makes them",
        )  # fmt: skip
    inputs = {f"evaluation{index or ''}": step for index, (_, step) in enumerate(ordered)}
    pool = read_step(
        "pool", config.pool, folder=folder, key="pool", inputs=inputs, settings={"decontaminate": rules},
        where=where, base=template_base(config), template=config.recipe.template, fields=config.map.pool,
    )  # fmt: skip
    return evaluation, pool


def base_folder(config: StudyConfig) -> Path:
    """Return the folder of the study's base, the first of several; of one at Tinker its tokenizer's."""
    folder = Path(config.folder)
    if llm.is_tinker(config.base):
        # Tinker's names may end in a variant: owner/model:peft:131072.
        own = config.base.partition("/")[2].partition(":")[0]
        place = model_place(config.hosted.tokenizer, folder)
        return model.tokenizer_folder(place or own, "hosted.tokenizer")
    return model.resolve_base(str(model_place(config.base, folder)))


def template_base(config: StudyConfig) -> Path | None:
    """Return the base whose chat template every conversation must suit; None where it is its provider's."""
    here = llm.is_tinker(config.base) or not llm.is_hosted(config.base)
    return base_folder(config) if here else None


def evaluation_step(config: StudyConfig, source: Sequence[str] | TestbedConfig) -> Step:
    """Return the step that reads an evaluation set of the study."""
    return read_step(
        "evaluation", source, folder=Path(config.folder), key="evaluation", base=template_base(config),
        template=config.recipe.template, fields=config.map.evaluation,
    )  # fmt: skip


def cache_folder(config: StudyConfig) -> Path:
    """Return where values of models are kept."""
    return local_folder(config.where.store) / "scores"


def _check_arm(name: str, arm: ArmConfig, folder: str) -> None:
    """Raise where an arm's rule and its indicator do not go together."""
    other = arm.rule in selection.PLUGINS
    if "score" in needs_of(arm.rule):
        if arm.by is None:
            raise AssayError(
                "the arm lacks an indicator",
                place=f"arms.{name}.by",
                expected="one of " + ", ".join(indicators.PLUGINS.names) + ", or a rule's file",
            )
    elif arm.rule == "file" and arm.file is None:
        raise AssayError(
            "the arm lacks its file", place=f"arms.{name}.file", expected="samples, or ids (.ids)"
        )
    elif arm.by is not None and arm.rule not in ("clusters", "tags") and not other:
        raise AssayError(
            "the rule takes no indicator",
            place=f"arms.{name}.by",
            value=arm.by,
            expected=f"nothing with {arm.rule}",
            hint="write rule: top to take the best by an indicator",
        )
    if arm.by is not None:
        try:
            indicators.find(_place(arm.by, folder))
        except AssayError as error:
            raise AssayError(
                error.problem, place=f"arms.{name}.by", value=arm.by, expected=error.expected
            ) from None


def model_place(name: str | None, folder: Path) -> str | None:
    """Return a model's name, or its path where that is a folder seen from the study file's."""
    return str(folder / name) if name is not None and (folder / name).is_dir() else name


def _place(by: str, folder: str) -> str:
    """Return an indicator's name, or the path of a rule's file, which starts from the study file's folder."""
    return str(Path(folder) / by) if by.endswith(".json") else by


class Ladder:
    """Builds the steps of all arms, seeds and rungs of a study whose pool has been read, each once."""

    def __init__(
        self,
        config: StudyConfig,
        evaluation: Step,
        pool: Step,
        summary: DataSummary,
        arms: Mapping[str, ArmConfig] | None = None,
        chooser: Ladder | None = None,
        other: Ladder | None = None,
    ) -> None:
        """Resolve the base model and the arms: those given alone, or the study's with their baselines.

        ``chooser`` is the ladder of the base that chooses the data of all bases; without it this one does.
        ``other`` is the ladder of the same data beside which this one stands under another recipe; its trunks
        are gone on from where that is exact.
        """
        self.config: StudyConfig = config
        self.evaluation, self.pool, self.summary = evaluation, pool, summary
        self.chooser, self.other = chooser or self, other
        alike = other is not None and other.config.recipe.begins_like(config.recipe)
        self.begun = other if alike else None
        self._orders: dict[tuple[str, int], Step] = {}
        self.base = self._own_base(config)
        self.runtime = runtime(config.measure, config.where.device, config.where.vllm)
        self.control_samples = control_size(config, summary)
        noted = control_notes(config, summary, self.control_samples)
        self.notes: list[Text] = list(chooser.notes) if chooser else [*noted]
        self.arms = self._arms() if arms is None else dict(arms)
        self.sizes = self._own_sizes()

    def _own_base(self, config: StudyConfig) -> Base:
        return Base.at(base_folder(config))

    def _own_sizes(self) -> Sizes:
        return sizes_of(self.config, self.base, self.evaluation, self.pool)

    @property
    def counted(self) -> Step | None:
        """The step that counts what length takes away of the pool; None where nothing is cut here."""
        return self.tokens()

    @property
    def recipe_settings(self) -> dict[str, Any]:
        """What a report shows of the training."""
        return dataclasses.asdict(self.config.recipe)

    def _arms(self) -> dict[str, ArmConfig]:
        """Return the arms with the baselines that a selection is compared with."""
        arms = {"random": ArmConfig(), **self.config.arms}
        for name, arm in arms.items():
            _check_arm(name, arm, self.config.folder)
            if "targets" in needs_of(arm.rule) and not self.config.models.target:
                raise AssayError(
                    "the arm lacks target samples", place="models.target", expected="files of samples",
                    hint=f"arms.{name} takes what is like them; never the set that you report on",
                )  # fmt: skip
        selections = [n for n, a in arms.items() if a.rule not in ("random", "balanced")]
        if selections and self.config.baselines:
            arms.setdefault("balanced", ArmConfig("balanced", rungs=arms[selections[0]].rungs))
            top = arms["random"].rungs or self.config.ladder.rungs
            if FULL not in top:
                arms["random"] = ArmConfig("random", rungs=(*top, FULL))
        if len(self.summary.by_source) < 2:
            for name in [n for n, a in arms.items() if a.rule == "balanced"]:
                del arms[name]
                self.notes.append(say("note.balanced", arm=name))
        return arms

    @property
    def usable(self) -> int:
        """The samples of the pool that may be trained on: all but the control slice."""
        return self.summary.samples - self.control_samples

    @cached_property
    def control(self) -> Step | None:
        """The step that chooses the control slice; None without one.  It is the same for all bases."""
        samples = self.control_samples
        return control_step(self.pool, samples, spared(self.config)) if samples else None

    def rungs(self, arm: str) -> tuple[int, ...]:
        """Return the sizes of an arm, rising; raise where the pool is too small for one."""
        wanted = self.arms[arm].rungs or self.config.ladder.rungs
        sizes = sorted({self.usable if r == FULL else int(r) for r in wanted})
        if sizes[-1] > self.usable:
            raise AssayError(
                "the rung is larger than the pool",
                place="ladder.rungs" if self.arms[arm].rungs is None else f"arms.{arm}.rungs",
                value=sizes[-1],
                expected=f"at most {self.usable}, the usable samples of the pool",
                hint="add data, lower the rung, or write `full` for the whole pool",
            )
        return tuple(sizes)

    def runs(self) -> list[RunSteps]:
        """Return the steps of every model of the study, the base model first."""
        return list(self._runs)

    @cached_property
    def _runs(self) -> list[RunSteps]:
        runs = [self._measured(BASE_ARM, 0, 0, (), None, shared=False)]
        for arm in self.arms:
            for seed in range(self.config.ladder.seeds):
                runs += self.seed_runs(arm, seed)
        return runs

    def passes(self) -> int:
        """Return the sample passes of the whole ladder; what rungs share counts once."""
        trained = [step for run in self.runs() for step in (*run.trunk, run.branch) if step is not None]
        return sum({step.key: self.samples_of(step) for step in trained}.values())

    def samples_of(self, step: Step) -> int:
        """Return the sample passes of a step that trains."""
        recipe, settings = self.config.recipe, step.config
        size = settings["n_train"] or settings["stop"] * recipe.batch_size
        return recipe.samples_in(int(size), int(settings["start"]), int(settings["stop"]))

    def seed_runs(self, arm: str, seed: int) -> Iterator[RunSteps]:
        """Yield the steps of the models of one arm and seed, rising."""
        recipe = self.config.recipe
        inputs = self._rows(arm, seed)
        if self.begun is not None and arm in self.begun.arms:
            yield from self._gone_on(self.begun.trunk(arm, seed), arm, seed, inputs)
            return
        trunk: tuple[Step, ...] = ()
        reached, before = 0, 0
        for n_train in self.rungs(arm):
            shared = model.shared_steps(recipe, n_train)
            if shared > reached:
                inputs_here = {**inputs, **({"state": trunk[-1]} if trunk else {})}
                trunk = (*trunk, self._train(arm, seed, None, reached, shared, inputs_here))
                reached = shared
            start = inputs | ({"state": trunk[-1]} if trunk and shared else {})
            branch = self._train(arm, seed, n_train, shared, recipe.steps(n_train), start)
            yield self._measured(arm, seed, n_train, trunk, branch, shared=len(trunk) == before)
            before = len(trunk)

    def _rows(self, arm: str, seed: int) -> dict[str, Step]:
        """Return what a run reads: a table of tokens, and the order of its rows."""
        order, chosen = self.chooser.order(arm, seed), self.arms[arm]
        if not chosen.replay:
            return {"order": order, "tokens": self.tokens()}
        tables = [one.joined(arm) for one in (self, self.chooser)]
        mixed = replay_order_step(
            order, tables[1], share=chosen.share, seed=seed, label=f"{arm}, seed {seed}"
        )
        return {"order": mixed, "tokens": tables[0]}

    def joined(self, arm: str) -> Step:
        """Return the step that puts an arm's general data behind the tokens of the pool."""
        recipe, key = self.config.recipe, f"arms.{arm}.replay"
        places = expand(self.arms[arm].replay, Path(self.config.folder), key)
        texts = [place for place in places if Path(place).is_file() and data.holds_texts(Path(place))]
        parts = [plain_tokens_step(self.base, recipe, texts)] if texts else []
        if samples := [place for place in places if place not in texts]:
            # Nothing of the evaluation set may come back by way of the replay.
            rules = {"decontaminate": self.pool.config["decontaminate"]}
            inputs = {n: s for n, s in self.pool.inputs.items() if n.startswith("evaluation")}
            where = {name: self.pool.where[name] for name in ("embedder", "cache")}
            read = read_step(
                "pool", samples, key=key, inputs=inputs, settings=rules, where=where,
                base=template_base(self.chooser.config), template=recipe.template,
            )  # fmt: skip
            parts.append(tokens_step(self.base, recipe, read, Estimate(seconds=2)))
        return joined_tokens_step(self.tokens(), parts)

    def trunk(self, arm: str, seed: int) -> tuple[Step, ...]:
        """Return all parts of the trunk of one arm and seed, rising."""
        parts: tuple[Step, ...] = ()
        for run in self.seed_runs(arm, seed):
            parts = max(parts, run.trunk, key=len)
        return parts

    def _gone_on(
        self, trunk: Sequence[Step], arm: str, seed: int, inputs: Mapping[str, Step]
    ) -> Iterator[RunSteps]:
        """Yield the models of an arm and seed, each from the last part of a given trunk that it shares."""
        recipe = self.config.recipe
        for n_train in self.rungs(arm):
            shared = recipe.shared_steps(n_train)
            own = tuple(part for part in trunk if part.config["stop"] <= shared)
            start, here = (own[-1].config["stop"], {**inputs, "state": own[-1]}) if own else (0, inputs)
            branch = self._train(arm, seed, n_train, start, recipe.steps(n_train), here)
            yield self._measured(arm, seed, n_train, own, branch, shared=True)

    def order(self, arm: str, seed: int) -> Step:
        """Return the step that puts the pool in the order in which an arm takes it."""
        if (arm, seed) not in self._orders:
            self._orders[arm, seed] = self._order(arm, seed)
        return self._orders[arm, seed]

    def _order(self, arm: str, seed: int) -> Step:
        chosen = self.arms[arm]
        settings: dict[str, Any] = {"seed": seed, "rule": chosen.rule}
        inputs: dict[str, Step] = {}
        where: dict[str, Any] = {}
        if self.control is not None:
            inputs["control"] = self.control
        if chosen.rule not in ("random", "balanced"):
            settings["rungs"] = list(self.rungs(arm))
        if chosen.groups != "source":
            settings["groups"] = chosen.groups
        if chosen.groups == "length" or chosen.rule not in ("random", "balanced", "file"):
            inputs["tokens"] = self.tokens()
        if chosen.by is not None:
            by = _place(chosen.by, self.config.folder)
            settings |= {"by": indicators.find(by).name, "direction": indicators.direction(by)}
            inputs["scores"] = self.scores(by)
        if chosen.file is not None:
            (place,) = expand((chosen.file,), Path(self.config.folder), f"arms.{arm}.file")
            settings["file"], where["file"] = place_digest(place), place
        if other := selection.PLUGINS.identity(chosen.rule):
            settings["plugin"] = other
        if "vectors" in needs_of(chosen.rule):
            where |= self._models()
            settings["embedder"] = model.embedder_id(where["embedder"])
        if "targets" in needs_of(chosen.rule):
            settings["target"] = [place_digest(place) for place in where["target"]]
        return order_step(self.pool, f"{arm}, seed {seed}", settings, inputs, where)

    def _models(self) -> dict[str, Any]:
        """Return the places of everything that indicators may ask for."""
        models, folder = self.config.models, Path(self.config.folder)
        return {
            "base": str(self.base.folder),
            "cache": str(cache_folder(self.config)),
            "neighbour": models.neighbour,
            "other_models": models.other_models,
            **{name: getattr(models, name) for name in ("rater", "rater_url", "rater_budget")},
            "template": self.config.recipe.template,
            **{
                name: model_place(
                    indicators.CRITICS.get(getattr(models, name), getattr(models, name)), folder
                )
                for name in ("embedder", "second", "reward", "dialog")
            },
            **{
                name: expand(getattr(models, name), folder, f"models.{name}")
                for name in ("target", "reference")
            },
        }

    def models(self) -> indicators.Models:
        """Return what indicators are measured with."""
        return models_of(self._models())

    def scores(self, by: str) -> Step:
        """Return the step that measures an indicator; those that need a model take the study's base."""
        name, needs, where = indicators.find(by).name, indicators.needs(by), self._models()
        settings: dict[str, Any] = {"by": name, "version": indicators.version(by)}
        if "base" in needs:
            settings["base"] = self.base.digest
            if where["template"] != "auto":
                settings["template"] = where["template"]
        if "second" in needs and where["second"] is not None:
            settings["second"] = model.base_digest(model.model_folder(where["second"], "models.second"))
        if "embedder" in needs:
            settings["embedder"] = model.embedder_id(where["embedder"])
            settings["neighbour"] = where["neighbour"]
        for need in ("reward", "dialog"):
            if need in needs and where[need] is not None:
                settings[need] = model.critic_digest(model.critic_folder(where[need], f"models.{need}"))
        for note in indicators.said_of(by, models_of(where)):
            if note not in self.notes:
                self.notes.append(note)
        if "rater" in needs and where["rater"] is not None:
            settings["rater"] = [where["rater"], indicators.prompts_digest(self._questions(by))]
        for need in ("target", "reference"):
            if need in needs:
                settings[need] = [place_digest(place) for place in where[need]]
        slow = bool(needs) and needs != ("pool",)
        estimate = Estimate(
            seconds=self.summary.samples / (50 if slow else 5000), kind=self._kind(name) if slow else name
        )
        return Step(
            "score", 2, "assay.study.steps:score_pool", settings, {"pool": self.pool},
            where={**where, "by": by}, label=name, estimate=estimate,
        )  # fmt: skip

    def _questions(self, by: str) -> tuple[str, ...]:
        """Return what a chat model is asked for an indicator, or for the parts of a rule."""
        found = indicators.find(by)
        parts = (found.name,) if isinstance(found, indicators.Indicator) else tuple(found.coefficients)
        return tuple(q for part in parts for q in indicators.RATED_BY.get(part, ()))

    def tokens(self) -> Step:
        """Return the step that tokenizes the pool."""
        return self._tokens

    @cached_property
    def _tokens(self) -> Step:
        estimate = Estimate(seconds=self.summary.samples / 5000)
        return tokens_step(self.base, self.config.recipe, self.pool, estimate)

    def _train(
        self, arm: str, seed: int, n_train: int | None, start: int, stop: int, inputs: Mapping[str, Step]
    ) -> Step:
        recipe, where = self.config.recipe, self.config.where
        size = stop * recipe.batch_size if n_train is None else n_train
        part = "trunk" if n_train is None else "run"
        return train_step(
            self.base, recipe, inputs, seed=seed, n_train=n_train, steps=(start, stop),
            device=where.device, launch=where.launch, environment=where.environment,
            label=f"{part} {arm} {size} seed {seed}",
            estimate=self._training_cost(recipe.samples_in(size, start, stop), stop - start, n_train is None),
        )  # fmt: skip

    def _training_cost(self, samples: int, steps: int, trunk: bool) -> Estimate:
        return training_cost(
            self.base, self.config.recipe, samples * self.sizes.tokens_per_sample,
            padded=samples * self.sizes.padded, squares=samples * self.sizes.squares, steps=steps,
            device=self.runtime.device, launch=self.config.where.launch, trunk=trunk,
        )  # fmt: skip

    def _kind(self, what: str) -> str:
        return kind_of(self.base, self.runtime.device, what)

    def _measuring_cost(
        self, items: int, read: float, written: int, squares: float, backend: str
    ) -> Estimate:
        return measuring_cost(
            self.base, self.sizes.parameters, items, read, written, squares=squares,
            device=self.runtime.device, kind=self._kind(backend),
        )  # fmt: skip

    def _measured(
        self, arm: str, seed: int, n_train: int, trunk: tuple[Step, ...], branch: Step | None, *, shared: bool
    ) -> RunSteps:
        measure, recipe = self.config.measure, self.config.recipe
        label = f"{arm} {n_train} seed {seed}" if branch is not None else "base model"
        step = answer_step(
            self.evaluation, branch or self.base, measure, self.runtime,
            base=None if branch is None else self.base, seed=seed, threads=recipe.threads,
            template=recipe.template, label=label, estimate=self._answering_cost(),
        )  # fmt: skip
        judged = self._judged(step, label) if measure.answers else None
        metrics = self._metrics(step, label)
        held = None if branch is None else self.held(arm, seed, branch, label)
        text = self._text(branch, label) if self.other is None else None
        tasks = tuple(self._tasks(branch, seed, label)) if self.other is None else ()
        return RunSteps(
            arm, seed, n_train, trunk, branch, step, judged, shared, metrics, text, tasks, held
        )  # fmt: skip

    def _tasks(self, branch: Step | None, seed: int, label: str) -> Iterator[tuple[str, Step]]:
        """Yield what harnesses and benchmarks measure of a model, by name."""
        config, recipe = self.config, self.config.recipe
        for kind, asked in (("task", config.tasks), ("ability", config.measure.abilities)):
            for name, step in ability_steps(
                asked, branch or self.base, config.measure, self.runtime,
                base=None if branch is None else self.base, folder=Path(config.folder),
                python=config.where.harness, threads=recipe.threads, template=recipe.template, label=label,
            ):  # fmt: skip
                yield f"{kind}/{name}", step
            for name, step in dialogue_steps(
                config, asked, branch or self.base, self.runtime,
                base=None if branch is None else self.base, seed=seed, label=label,
            ):  # fmt: skip
                yield f"{kind}/{name}", step

    def _answering_cost(self) -> Estimate:
        """Return what answering the evaluation set takes: losses on references, answers written."""
        measure, sizes = self.config.measure, self.sizes
        read = sizes.item_padded * measure.loss
        read += sizes.prompt_tokens * measure.answers
        written = sizes.written(measure.max_new_tokens) * measure.answers
        return self._measuring_cost(sizes.items, read, written, sizes.item_squares, self.runtime.backend)

    def held(self, arm: str, seed: int, branch: Step | None, label: str) -> Step | None:
        """Return the step that measures a model of an arm, or the base, on the slice and on samples seen."""
        control = self.chooser.control
        if control is None:
            return None
        chosen = self.arms[arm]
        seen = int(min(SEEN, self.rungs(arm)[0]) * (1 - chosen.share if chosen.replay else 1))
        items = held_step(self.pool, control, self.chooser.order(arm, seed), seen, f"{arm}, seed {seed}")
        count = self.control_samples + seen
        return self.loss_on(items, branch, f"{label}, control", count)

    def loss_on(self, items: Step, branch: Step | None, label: str, count: int) -> Step:
        """Return the step that measures the loss of a trained model, or of the base, on ``count`` items."""
        measure, recipe = loss_only(self.config.measure), self.config.recipe
        alone = runtime(measure, self.config.where.device)
        return answer_step(
            items, branch or self.base, measure, alone,
            base=None if branch is None else self.base, threads=recipe.threads, template=recipe.template,
            label=label,
            estimate=self._measuring_cost(
                count, self.sizes.tokens_per_sample, 0, self.sizes.squares, alone.backend
            ),
        )  # fmt: skip

    def _text(self, branch: Step | None, label: str) -> Step | None:
        measure, recipe = self.config.measure, self.config.recipe
        places = text_places(measure, Path(self.config.folder))
        if not places:
            return None
        return text_step(
            places, branch or self.base, measure, self.runtime, base=None if branch is None else self.base,
            threads=recipe.threads, template=recipe.template, label=label,
            estimate=self._measuring_cost(1, sum(map(_size, places.values())) / 4, 0, 0.0, "text"),
        )  # fmt: skip

    def _metrics(self, answers: Step, label: str) -> Step | None:
        measure = self.config.measure
        if not (measure.metrics and measure.answers):
            return None
        return metrics_step(self.evaluation, answers, measure.metrics, label, items=self.sizes.items)

    def _judged(self, answers: Step, label: str) -> Step:
        measure, items = self.config.measure, self.sizes.items
        if self.config.judge is None:
            return check_step(self.evaluation, answers, measure.method, label, items=items)
        inputs = {"evaluation": self.evaluation, "answers": answers}
        judged = items - (self.sizes.checked if self.config.judge.exact else 0)
        tokens = self.sizes.prompt_tokens + self.sizes.reference_tokens + measure.max_new_tokens
        return judge_step(self.config, inputs, label, items=judged, tokens=tokens)


def result_step(
    ladder: Ladder,
    runs: Sequence[RunSteps],
    name: str,
    check: Step | None = None,
    beside: Sequence[tuple[Mapping[str, Any], RunSteps]] = (),
    own_recipe: str = "",
) -> Step:
    """Return the step that reads curves and verdicts from all measurements and writes the report.

    ``beside`` are trainings that are not of the study's own ladder, each with what it is: ``kind``, ``name``,
    ``passes``, ``changes``, and whether it ``diverged``.
    """
    config = ladder.config
    inputs = {"pool": ladder.pool, "evaluation": ladder.evaluation}
    inputs |= {} if ladder.counted is None else {"tokens": ladder.counted}
    rows, others = [], []
    for index, (what, run) in enumerate([*(({}, run) for run in runs), *beside]):
        row: dict[str, Any] = {
            "arm": run.arm,
            "seed": run.seed,
            "n_train": run.n_train,
            "key": run.answer.key,
        }
        row |= {"trunk": len(run.trunk), "shared": run.shared, "index": index}
        if not what.get("diverged"):
            inputs |= {f"run{index:04}/{part}": step for part, step in run.parts.items()}
        if what:
            others.append(row | {"beside": dict(what)})
        else:
            rows.append(row)
    for arm in ladder.arms:
        order = ladder.chooser.order(arm, 0)
        inputs[f"arm/{arm}/order"] = order
        if "scores" in order.inputs:
            inputs[f"arm/{arm}/scores"] = order.inputs["scores"]
    inputs |= _untrained(ladder) | ({} if check is None else {"recipe_check": check})
    settings = {
        "name": name,
        "language": config.language,
        "version": __version__,
        "base": {"name": config.base, "digest": ladder.base.digest, "parameters": ladder.sizes.parameters},
        "recipe": ladder.recipe_settings,
        "question": dataclasses.asdict(config.question),
        "arms": {n: {"rule": _rule_text(a), "rungs": ladder.rungs(n)} for n, a in ladder.arms.items()},
        "seeds": config.ladder.seeds,
        "runs": rows,
        "beside": others,
        "own_recipe": own_recipe,
        "notes": to_json(ladder.notes),
        "control": ladder.control_samples,
    }
    estimate = reading_cost(
        ladder.sizes.types, len(ladder.arms), config.measure.loss + config.measure.answers, len(runs)
    )
    return Step("result", 19, "assay.study.steps:result", settings, inputs, label="curves, verdicts, report",
                estimate=estimate)  # fmt: skip


def _size(place: str) -> int:
    """Return the bytes of a file; about four make a token."""
    return Path(place).stat().st_size if Path(place).is_file() else 0


def _rule_text(arm: ArmConfig) -> str:
    return f"{arm.rule} + replay {arm.share:g}" if arm.replay else arm.rule


def _untrained(ladder: Ladder) -> dict[str, Step]:
    """Return the steps that measure the base model beside the evaluation set, by their place in a result."""
    control = ladder.chooser.control
    if control is None:
        return {}
    found = {"control": control}
    for arm in ladder.arms:
        for seed in range(ladder.config.ladder.seeds):
            step = ladder.held(arm, seed, None, f"base model, samples of {arm} seed {seed}")
            assert step is not None  # noqa: S101 - there is a slice
            found[f"untrained/{arm}/{seed}"] = step
    return found
