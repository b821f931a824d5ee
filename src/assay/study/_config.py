"""The study file: every key, its default, and errors that name the place and the remedy."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assay import data, judging, selection
from assay.core import BASE_ARM, METRICS, TASK_TYPES, AssayError, in_words, read_text
from assay.indicators import Models
from assay.judging import JudgeConfig
from assay.llm import TuneConfig, is_hosted, is_tinker
from assay.model import LEXICAL, POCKET, PRESETS, Launch, Recipe, preset
from assay.plan import parse_cap

if TYPE_CHECKING:
    from assay.model import Decoding

FULL = "full"
FEWEST = 20
"""The smallest control slice; with fewer samples its loss says nothing."""


@dataclass(frozen=True, slots=True)
class TestbedConfig:
    """Samples made by the testbed instead of files; defects map kind to fraction."""

    samples: int
    seed: int = 0
    types: tuple[str, ...] = TASK_TYPES
    languages: tuple[str, ...] = ("en", "zh")
    difficulty: float = 0.5
    defects: Mapping[str, float] = field(default_factory=dict)


OWN_RULE = "rule"
"""What an arm is chosen ``by`` that takes the rule of the study's own file."""
SEED_RUNS = 3
"""Seeds of a rule's first subset, for the noise."""
_TRIED = 4
"""Top, top of each length, bottom and random samples: what a rule's trial trains at each size and seed."""


@dataclass(frozen=True, slots=True)
class ArmConfig:
    """A way of choosing training data; own rungs if given.

    ``random``, ``longest`` answers, or any selection of :func:`assay.selection.pick`.  ``by`` names the
    indicator, rule or rule file for those that need a score.  ``groups`` are what ``balanced`` and ``quota``
    take in turn: ``length`` (40 classes of tokens) gives the best of each length, at the tokens of a random
    choice.  ``by: rule`` is the rule that this study's own ``rule`` section fits.
    ``file`` is a selection made elsewhere: samples of the pool, or their ids (.ids, one a line).
    ``replay``: general data, samples or plain text, of which each rung holds ``share``, to forget less.
    """

    rule: str = "random"
    by: str | None = None
    groups: Literal["source", "type", "language", "length"] = "source"
    file: str | None = None
    rungs: tuple[int | str, ...] | None = None
    replay: tuple[str, ...] = ()
    share: float = 0.1


@dataclass(frozen=True, slots=True)
class RuleConfig:
    """How a quality rule is fitted on this study's base and pool.

    ``evaluation``: the set it is fitted on, which is neither the study's own, where the rule is tried, nor
    the search's.  ``way``: ``tilted`` (within sources) or ``mixtures`` (INSTRUCTMINING's, 129 x 1,000);
    ``runs`` subsets of ``n`` samples, ``doubled`` more at twice the tilt; ``sd``: standard deviation of a
    run's log loss, for the power that is shown first, where it is not to be learned from runs that were
    repeated; ``trial``: sizes of the trial (default: n).
    """

    indicators: tuple[str, ...]
    evaluation: tuple[str, ...]
    name: str | None = None
    way: Literal["tilted", "mixtures"] = "tilted"
    n: int = 1000
    runs: int = 32
    doubled: int = 4
    tilt: float = 0.35
    sd: float | None = None
    seed: int = 0
    trial: tuple[int, ...] = ()

    @property
    def models(self) -> int:
        """Return how many models the subsets take."""
        return self.runs + (self.doubled if self.way == "tilted" else 0) + SEED_RUNS - 1

    def samples(self, seeds: int) -> int:
        """Return how many samples the subsets and the trial train on at most, in one epoch."""
        return self.models * self.n + _TRIED * max(3, seeds) * max(self.trial or (self.n,))


@dataclass(frozen=True, slots=True)
class MixConfig:
    """Mixtures that tell which part of the pool helps or hurts which type of the evaluation set.

    ``by``: what the parts are; ``parts``: those that are varied (default: all; the others stay as they are).
    The base mixture has ``n`` samples, in the pool's own shares or ``equal`` ones; each part is multiplied or
    divided by ``step``.  ``way``: ``folded`` (Plackett-Burman with its mirror image), ``hadamard`` (half of
    it), ``single`` (one part at a time) or ``dirichlet`` (random shares); ``centres`` runs of the base.
    ``sd``: standard deviation of a run's log loss or score, for the power that is shown first, where it is
    not to be learned from runs of the base or seeds of the ladder.
    """

    n: int = 1000
    by: Literal["type", "source", "language"] = "type"
    base: Literal["proportional", "equal"] = "proportional"
    parts: tuple[str, ...] = ()
    way: Literal["folded", "hadamard", "single", "dirichlet"] = "folded"
    centres: int = 4
    step: float = 2.0
    sd: float | None = None
    seed: int = 0


SearchMethod = Literal["ladder", "blendsearch", "optuna", "grid", "golden"]


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """A search for the best size of an arm, between ``low`` and ``high`` samples, within a budget.

    Losses are taken on ``evaluation``, a set that is neither the study's nor the rule's.  Each ``method`` has
    the whole budget.  ``full``: all data of the pool are trained on beside the choice.  ``hours`` of
    training are measured; ``money`` is counted by the study's ``question.price_per_thousand`` samples and
    ``price_per_hour`` of training.
    """

    arm: str
    evaluation: tuple[str, ...]
    low: int
    high: int
    method: tuple[SearchMethod, ...] = ("ladder",)
    full: bool = True
    runs: int | None = 12
    samples: int | None = None
    hours: float | None = None
    money: float | None = None
    price_per_hour: float | None = None
    seed: int = 0
    parallel: int = 1


@dataclass(frozen=True, slots=True)
class DecontaminateConfig:
    """What of the evaluation set a pool sample may not hold.

    ``contained``: share of an evaluation prompt's runs of 8 tokens; ``alike``: cosine of the prompts'
    embeddings by ``embedder``.
    """

    contained: float = 0.9
    embedder: str = LEXICAL
    alike: float = 0.95


@dataclass(frozen=True, slots=True)
class LadderConfig:
    """Training sizes (samples, or ``full``) and the number of seeds."""

    rungs: tuple[int | str, ...]
    seeds: int = 3


@dataclass(frozen=True, slots=True)
class HarnessConfig:
    """Tasks of other programs, files of known benchmarks, and rated dialogues, measured of every model.

    ``sets``: files of MMLU, C-Eval, CMMLU, BBH, GSM8K or IFEval, or names that ``data`` has a file of;
    ``choices``: how those with choices are asked, by the likelihood of each letter or by answers.
    ``dialogues``: files of questions of several turns (MT-bench's ``question.jsonl``), which the study's
    judge rates turn by turn from 1 to 10; ``references``: files of reference answers to them.
    ``lm_eval``: tasks of lm-evaluation-harness; ``inspect``: files of inspect-ai's tasks.  ``limit``: items
    of each set or task; ``data``: a folder with task data, for machines without a network; ``chat``: whether
    lm-evaluation-harness uses the chat template.
    """

    sets: tuple[str, ...] = ()
    dialogues: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    lm_eval: tuple[str, ...] = ()
    inspect: tuple[str, ...] = ()
    limit: int | None = None
    data: str | None = None
    choices: Literal["loglikelihood", "answers"] = "loglikelihood"
    max_new_tokens: int = 256
    chat: bool = False

    @property
    def wanted(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.sets or self.dialogues or self.lm_eval or self.inspect)


@dataclass(frozen=True, slots=True)
class MeasureConfig:
    """What is measured of each model: loss on references, answers, and how answers are scored.

    ``method``: ``auto``, ``checker``, a reference metric or the judge of a plug-in; ``metrics``: those of
    plug-ins, each with a curve of its own.
    """

    loss: bool = True
    answers: bool = True
    method: str = "auto"
    metrics: tuple[str, ...] = ()
    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024
    text: bool | tuple[str, ...] = True
    """Plain text on which what is forgotten is measured: the built-in ones, files, or none."""
    abilities: HarnessConfig = field(default_factory=HarnessConfig)
    """What else is watched along every ladder, as curves of their own that never enter overall."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> MeasureConfig:
        """Return what :meth:`settings` wrote, which may stand among others."""
        names = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in settings.items() if name in names})

    def settings(self) -> dict[str, Any]:
        """Return what decides a measurement: no decoding without answers; scores are a step of their own."""
        names = ["loss", "answers", "max_tokens"]
        names += ["max_new_tokens", "temperature", "top_p"] if self.answers else []
        return {name: getattr(self, name) for name in names}

    def decoding(self, seed: int) -> Decoding:
        """Return how answers are generated."""
        from assay.model import Decoding

        return Decoding(self.max_new_tokens, self.temperature, self.top_p, seed)


@dataclass(frozen=True, slots=True)
class QuestionConfig:
    """What the user wants to know: a score that satisfies, and the smallest gain that matters."""

    satisfied_at: float | None = None
    smallest_gain: float = 0.01
    smallest_relative_gain: float = 0.005
    largest_loss: float | None = None
    """The largest rise of the loss on plain text that is acceptable, in nats per token."""
    price_per_thousand: float | None = None
    """What 1,000 samples cost in money, for the gain per unit of money."""
    recipes: tuple[float | str | Mapping[str, Any], ...] = ()
    """Other recipes under which the ladder is trained too: learning rates, ``lr/3``, or changed fields."""
    steps_or_samples: bool = False
    """Train halves and quarters of the largest rungs for as many steps, to tell what samples buy."""


@dataclass(frozen=True, slots=True)
class BaseConfig:
    """One base model of a study of several: a hub id, a folder or ``pocket``, its recipe and its arms.

    The recipe is the study's with the changes given here; no arms means all of them.
    """

    model: str
    recipe: Recipe = field(default_factory=Recipe)
    arms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WhereConfig:
    """Where things run and are kept; never part of identity."""

    pool: str = "processes:2"
    store: str = ".assay"
    """A folder, or ``s3://bucket/prefix``, which machines share; each has a cache of it (ASSAY_CACHE)."""
    device: str = "auto"
    out: str | None = None
    replace: bool = False
    """Move the report of another study that lies in the folder aside."""
    launch: Launch = field(default_factory=Launch)
    cap: str | None = None
    """The most that a command on this study may take: ``3 hours and 20 USD`` (tokens and GB too)."""
    price_per_hour: float | None = None
    """What an hour of the machine costs, in ``currency``: then plans and receipts price its time as well."""
    currency: str = "USD"
    vllm: str | None = None
    """The python of vLLM's environment, which answers where it is named (else ASSAY_VLLM_PYTHON's)."""
    harness: str | None = None
    """The environment, or its python, of a program that measures (else ASSAY_LM_EVAL_PYTHON's and so on)."""
    environment: str | None = None
    """The environment, or its python, of another program that trains (else ASSAY_TRL_PYTHON's and so on)."""


@dataclass(frozen=True, slots=True)
class MapConfig:
    """Which fields of the files hold what, for layouts that are not known; as ``--map`` of the commands.

    A text (``prompt=question,answer=response``) or a mapping; ``evaluation`` is for all evaluation sets.
    """

    pool: Mapping[str, str] | str | None = None
    evaluation: Mapping[str, str] | str | None = None


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """A whole study; see docs/study.md for each key."""

    name: str
    pool: tuple[str, ...] | TestbedConfig
    evaluation: tuple[str, ...] | TestbedConfig
    ladder: LadderConfig
    map: MapConfig = field(default_factory=MapConfig)
    base: str = "pocket"
    recipe: Recipe = field(default_factory=Recipe)
    arms: Mapping[str, ArmConfig] = field(default_factory=dict)
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    question: QuestionConfig = field(default_factory=QuestionConfig)
    models: Models = field(default_factory=Models)
    """Which models and files of samples serve indicators and selections; ``base`` is the study's own."""
    decontaminate: DecontaminateConfig = field(default_factory=DecontaminateConfig)
    hosted: TuneConfig = field(default_factory=TuneConfig)
    """How a provider fine-tunes, where ``base`` is its model: ``openai/gpt-…``."""
    judge: JudgeConfig | None = None
    """A chat model that scores every model's answers; its budget is a hard cap on the whole study."""
    rule: RuleConfig | None = None
    search: SearchConfig | None = None
    mix: MixConfig | None = None
    where: WhereConfig = field(default_factory=WhereConfig)
    baselines: bool = True
    """Add balanced random and full data beside every selection."""
    control: bool | int = True
    """Keep samples of the pool out of training, to tell recipe from data; or how many."""
    recipe_check: bool = True
    """Try learning rates before the ladder, for at most 15 % of its cost."""
    language: Literal["en", "zh"] = "en"
    bases: Mapping[str, BaseConfig] = field(default_factory=dict)
    """Bases by name where ``base`` names several (set by the reader); ``base`` and ``recipe`` are then the
    first's.  Rules, searches and scores are of the first base, so that the data are the same on all."""
    folder: str = "."
    """Folder that relative paths start from: that of the study file (set by the reader)."""
    measured: tuple[str, ...] | None = None
    """The set that models are measured on where it is not the study's own (set by rules and searches)."""
    tasks: HarnessConfig = field(default_factory=HarnessConfig)
    """Tasks and benchmarks that are part of the evaluation (set by the reader from ``evaluation``)."""

    @property
    def sets(self) -> tuple[tuple[str, ...] | TestbedConfig, ...]:
        """All evaluation sets; the pool may hold nothing of any, so that rule, search and study share it."""
        own = (self.rule and self.rule.evaluation, self.search and self.search.evaluation)
        return (self.evaluation, *(places for places in own if places))


SET_BY_READER: Mapping[Any, tuple[str, ...]] = {
    StudyConfig: ("bases", "folder", "measured", "tasks"),
    JudgeConfig: ("calls",),
    Models: ("base", "max_tokens", "cache"),
}


def _yaml(text: str, place: str) -> Any:
    """Return the value of a YAML text; raises :class:`AssayError` with the line that is none."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise AssayError(
            f"not valid YAML: {getattr(error, 'problem', None) or 'parse error'}",
            place=f"{place}:{mark.line + 1}" if mark else place,
        ) from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        # Dates that do not exist, numbers without digits, and lists in lists without an end.
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise AssayError(f"not valid YAML: {said}", place=place) from None


def read_config(path: Path, changes: typing.Sequence[str] = ()) -> StudyConfig:
    """Read a study file; ``changes`` are ``key.path=value`` settings (YAML values) laid over it.

    Raises :class:`AssayError` with the key's place for unknown keys, wrong types and bad values.
    """
    data = _yaml(read_text(path, hint="`assay study run --help` shows an example"), str(path))
    if not isinstance(data, dict):
        raise AssayError(
            "the study file is not a mapping", place=str(path), value=data, expected="key: value"
        )
    return parse_config(laid_over(data, changes), folder=str(path.parent))


def laid_over(data: Mapping[str, Any], changes: typing.Sequence[str]) -> dict[str, Any]:
    """Return what stands in a study file with ``key.path=value`` settings (YAML values) laid over it."""
    found = deepcopy(dict(data))
    for change in changes:
        _lay_over(found, change)
    return found


def _lay_over(data: dict[str, Any], change: str) -> None:
    key, found, value = change.partition("=")
    if not found:
        raise AssayError("not a setting", place="--set", value=change, expected="key.path=value")
    *parents, last = key.split(".")
    for depth, parent in enumerate(parents):
        inner = data.setdefault(parent, {})
        if not isinstance(inner, dict):
            inner = data[parent] = _longhand(parents[: depth + 1], str(inner))
        data = inner
    data[last] = _yaml(value, "--set")


def _longhand(parents: list[str], text: str) -> dict[str, Any]:
    """Return what a text stands for where a mapping is set into: a preset, or the model of a named base."""
    if parents[-1] == "recipe":
        return {"preset": text}
    return {"model": text} if parents[0] == "base" and len(parents) == 2 else {}


def parse_config(data: Mapping[str, Any], folder: str = ".") -> StudyConfig:
    """Check plain data against :class:`StudyConfig` and return it."""
    plain = dict(data)
    base = plain.get("base", "pocket")
    named = _named_bases(base) if isinstance(base, Mapping) else {}
    places = [settings["model"] for settings in named.values()] or [base]
    recipe = _recipe(plain.pop("recipe", _default_recipe(places, plain.get("pool"))), "recipe")
    bases = {name: _base(name, settings, recipe) for name, settings in named.items()}
    if bases:
        recipe = next(iter(bases.values())).recipe
        plain["base"] = places[0]
    plain["evaluation"], tasks = _tasks(plain.get("evaluation"))
    for key in ("pool", "evaluation"):
        if plain.get(key) != ():
            plain[key] = _source(plain.get(key), key)
    config: StudyConfig = _build(StudyConfig, plain, "")
    config = replace(config, tasks=tasks)
    if not config.evaluation:
        config = replace(config, measure=replace(config.measure, loss=False, answers=False))
    _check(config)
    config = replace(config, recipe=recipe, bases=bases, folder=folder)
    if any(is_hosted(place) for place in places):
        config = _at_provider(config, data)
    other_recipes(config)
    _check_bases(config)
    return config


def _tasks(data: Any) -> tuple[Any, HarnessConfig]:
    """Return the files of an evaluation, and what else is part of it; there may be no files then."""
    if not isinstance(data, Mapping) or set(data) == {"testbed"}:
        return data, HarnessConfig()
    files = data.get("files", ())
    tasks: HarnessConfig = _build(
        HarnessConfig, {k: v for k, v in data.items() if k != "files"}, "evaluation"
    )
    if not tasks.wanted and not files:
        _wrong("evaluation", dict(data), "files, sets, dialogues, lm_eval or inspect")
    return files, tasks


# What trains or reads the base on this machine.
_HERE = ("recipe", "rule", "search", "mix", "question.recipes", "question.steps_or_samples")


def _at_provider(config: StudyConfig, data: Mapping[str, Any]) -> StudyConfig:
    """Return a study whose base is its provider's: nothing is checked here, and losses are Tinker's alone."""
    asked, tinker = data.get("question") or {}, is_tinker(config.base)
    given = [k for k in _HERE if (k in data if "." not in k else k.partition(".")[2] in asked)]
    given = [k for k in given if not (tinker and k == "recipe")]
    if config.bases or given:
        raise AssayError(
            "not possible where the provider fine-tunes", place=given[0] if given else "base",
            value=config.base, expected="one base, trained as `hosted` says (epochs, batch_size, …)",
        )  # fmt: skip
    if config.tasks.wanted or config.measure.abilities.wanted:
        raise AssayError("tasks of harnesses need the weights here", place="evaluation", value=config.base,
                         expected="files of items, which the provider's model answers")  # fmt: skip
    if tinker:
        _check_tinker(config)
    elif not config.measure.answers:
        raise AssayError("a provider's model gives answers alone, no losses", place="measure.answers",
                         value=False, expected="true")  # fmt: skip
    measure = replace(config.measure, loss=config.measure.loss and tinker, text=False)
    return replace(config, measure=measure, control=False, recipe_check=False)


def _check_tinker(config: StudyConfig) -> None:
    """Raise for what Tinker cannot train by, and for settings of jobs, of which it has none."""
    recipe, hosted, own = config.recipe, config.hosted, TuneConfig()
    wanted = {"adapter": "lora", "adapter_dropout": 0.0, "targets": (), "trainer": "full"}
    for name, value in wanted.items():
        if getattr(recipe, name) != value:
            raise AssayError("Tinker trains LoRA of its own kind", place=f"recipe.{name}",
                             value=getattr(recipe, name), expected=str(value or "nothing"),
                             hint="recipe: tinker, or {preset: tinker, …}")  # fmt: skip
    for name in ("epochs", "batch_size", "learning_rate", "learning_rate_multiplier"):
        if getattr(hosted, name) != getattr(own, name):
            raise AssayError("Tinker trains by the recipe", place=f"hosted.{name}",
                             value=getattr(hosted, name), expected=f"recipe.{name}")  # fmt: skip


def _default_recipe(bases: typing.Sequence[Any], pool: Any) -> str:
    """Return the preset for a study that names none; the pocket model wants another rate on the testbed."""
    if any(isinstance(base, str) and is_tinker(base) for base in bases):
        return "tinker"
    if POCKET not in bases:
        return "belle"
    return "testbed" if isinstance(pool, Mapping) and set(pool) == {"testbed"} else POCKET


def _named_bases(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings of each named base; a text alone is its model."""
    if len(data) < 2:
        _wrong("base", dict(data), "a model, or two names or more with a model each")
    found = {}
    for name, settings in data.items():
        settings = {"model": settings} if isinstance(settings, str) else settings
        if not isinstance(settings, Mapping) or not isinstance(settings.get("model"), str):
            _wrong(f"base.{name}", settings, "a model, or {model: ..., recipe: {...}, arms: [...]}")
        found[str(name)] = dict(settings)
    return found


def _base(name: str, settings: Mapping[str, Any], study: Recipe) -> BaseConfig:
    place = f"base.{name}"
    recipe = _recipe(settings["recipe"], f"{place}.recipe", study) if "recipe" in settings else study
    built: BaseConfig = _build(BaseConfig, {**settings, "recipe": recipe}, place)
    return built


def _recipe(data: Any, place: str, base: Recipe | None = None) -> Recipe:
    """Return a preset, or the changes laid over the preset that they name; else over ``base``."""
    if isinstance(data, str):
        return preset(data)
    if not isinstance(data, Mapping):
        _wrong(place, data, f"a preset ({', '.join(sorted(PRESETS))}) or a mapping")
    changes = dict(data)
    if base is None or "preset" in changes:
        base = preset(str(changes.pop("preset", POCKET)))
    known = {f.name: getattr(base, f.name) for f in fields(base)}
    built: Recipe = _build(Recipe, {**known, **changes}, place)
    return built


def recipe_of(name: str, changes: typing.Sequence[str]) -> Recipe:
    """Return a preset with ``key=value`` settings (YAML values) laid over it."""
    return _recipe(laid_over({"preset": name}, changes), "recipe")


# A change of these would change what is read or measured, not how models are trained on it.
_FIXED = ("max_tokens", "template", "threads", "micro_tokens")
_RELATIVE = re.compile(r"lr(?:([*/])(\d+(?:\.\d+)?))?")


def other_recipes(config: StudyConfig) -> dict[str, Recipe]:
    """Return the recipes of ``question.recipes`` by name, without the study's own, which is always trained.

    Raises :class:`AssayError` with the place of one that is no recipe, changes what is measured, or stands
    there twice.
    """
    found: dict[str, Recipe] = {}
    for index, given in enumerate(config.question.recipes):
        place = f"question.recipes[{index}]"
        changes = _recipe_changes(given, config.recipe.learning_rate, place)
        recipe = _recipe(changes, place, config.recipe)
        if recipe in found.values():
            raise AssayError("the same recipe twice", place=place, value=given, hint="remove one of them")
        if recipe != config.recipe:
            found[recipe_name(changes)] = recipe
    return found


def _recipe_changes(given: Any, own: float, place: str) -> dict[str, Any]:
    """Return the fields of the study's recipe that an entry changes."""
    if isinstance(given, Mapping):
        if wrong := [name for name in given if name in _FIXED]:
            raise AssayError(
                "changes what is measured", place=f"{place}.{wrong[0]}", value=given[wrong[0]],
                expected="fields of recipe other than " + ", ".join(_FIXED),
            )  # fmt: skip
        return dict(given)
    if isinstance(given, str):
        found = _RELATIVE.fullmatch(given.replace(" ", ""))
        if found is None or (found[2] is not None and float(found[2]) == 0):
            _wrong(place, given, "a learning rate, lr/3, lr*3, or fields of recipe such as {epochs: 3}")
        factor = float(found[2] or 1)
        given = own / factor if found[1] == "/" else own * factor
    return {"learning_rate": given}


def recipe_name(changes: Mapping[str, Any]) -> str:
    """Return a name for a recipe: its learning rate, and the other fields that it changes."""
    rate = [rate_text(float(changes["learning_rate"]))] if "learning_rate" in changes else []
    return " ".join([*rate, *(f"{name}={v}" for name, v in changes.items() if name != "learning_rate")])


def rate_text(value: float) -> str:
    """Return a learning rate in as few digits as tell it: ``5e-4``."""
    digits, exponent = f"{value:.3e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


def _source(data: Any, place: str) -> Any:
    if isinstance(data, str):
        return (data,)
    if isinstance(data, dict) and set(data) == {"testbed"}:
        return _build(TestbedConfig, data["testbed"], f"{place}.testbed")
    if isinstance(data, list) and data and all(isinstance(item, str) for item in data):
        return tuple(data)
    return _wrong(place, data, "a path, a list of paths, or {testbed: {samples: ...}}")


def _wrong(place: str, value: Any, expected: str) -> typing.NoReturn:
    if value is None:
        raise AssayError("missing or empty", place=place, expected=expected)
    raise AssayError("wrong type", place=place, value=value, expected=expected)


def _build(kind: Any, data: Any, place: str) -> Any:
    """Build a frozen dataclass from a mapping, checking keys and types with their places."""
    if not isinstance(data, Mapping):
        _wrong(place, data, "a mapping")
    hints = typing.get_type_hints(kind, include_extras=True)
    own = SET_BY_READER.get(kind, ())
    known = {f.name: in_words(hints[f.name]) for f in fields(kind) if f.name not in own}
    values = {}
    for key, value in data.items():
        where = f"{place}.{key}" if place else str(key)
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean `{near[0]}`?" if near else None
            raise AssayError("unknown key", place=where, expected=", ".join(known), hint=hint)
        values[key] = _convert(known[key], value, where)
    try:
        return kind(**values)
    except TypeError:
        needed = [f.name for f in fields(kind) if f.name in known and f.name not in values]
        missing = [n for n in needed if _required(kind, n)]
        raise AssayError("missing key", place=place or "study", expected=", ".join(missing)) from None


def _required(kind: Any, name: str) -> bool:
    import dataclasses

    found = next(f for f in fields(kind) if f.name == name)
    return found.default is dataclasses.MISSING and found.default_factory is dataclasses.MISSING


def _convert(hint: Any, value: Any, place: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is typing.Any or (is_dataclass(hint) and isinstance(value, hint)):  # type: ignore[arg-type]
        return value
    if is_dataclass(hint):
        return _build(hint, value, place)
    if origin is Literal:
        return value if value in arguments else _wrong(place, value, f"one of {', '.join(arguments)}")
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, place)
    if origin is tuple:
        if isinstance(value, str) and (arguments[0] is str or typing.get_origin(arguments[0]) is Literal):
            value = (value,)
        items = value if isinstance(value, list | tuple) else _wrong(place, value, "a list")
        return tuple(_convert(arguments[0], v, f"{place}[{i}]") for i, v in enumerate(items))
    if origin is not None and issubclass(origin, Mapping):
        inner = value if isinstance(value, Mapping) else _wrong(place, value, "a mapping")
        given = {str(k): {} if v is None else v for k, v in inner.items()}
        return {k: _convert(arguments[1], v, f"{place}.{k}") for k, v in given.items()}
    if hint is float and type(value) in (int, float):
        return float(value)
    if hint is float and isinstance(value, str):
        try:  # YAML reads 3e-6 as a string
            return float(value)
        except ValueError:
            _wrong(place, value, "a number")
    if hint is Path and isinstance(value, str):
        return Path(value)
    if type(value) is hint:
        return value
    names = {int: "a whole number", str: "a text", bool: "true or false", float: "a number"}
    return _wrong(place, value, names.get(hint, str(hint)))


def _convert_union(arguments: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    problems = []
    for choice in arguments:
        if choice is type(None):
            continue
        try:
            return _convert(choice, value, place)
        except AssayError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    return _wrong(place, value, " or ".join(p.expected or "" for p in problems))


def _check_maps(config: StudyConfig) -> None:
    for name in ("pool", "evaluation"):
        fields_of = getattr(config.map, name)
        if fields_of is None:
            continue
        if isinstance(getattr(config, name), TestbedConfig):
            raise AssayError("the testbed has no fields to map", place=f"map.{name}", expected="files")
        try:
            data.parse_map(fields_of)
        except AssayError as error:
            raise AssayError(
                error.problem, place=f"map.{name}", value=error.value, expected=error.expected,
                hint=error.hint,
            ) from None  # fmt: skip


def _check(config: StudyConfig) -> None:
    _check_maps(config)
    if config.where.cap is not None:
        parse_cap(config.where.cap)
    if config.where.launch.processes > 1 and config.where.pool not in ("inline", "processes:1"):
        raise AssayError(
            "training runs would compete for the same devices",
            place="where.pool",
            value=config.where.pool,
            expected="processes:1 where where.launch.processes is more than 1",
        )
    ladders = {"ladder.rungs": config.ladder.rungs}
    ladders |= {f"arms.{n}.rungs": a.rungs for n, a in config.arms.items() if a.rungs is not None}
    for place, rungs in ladders.items():
        if not rungs:
            raise AssayError("no rungs", place=place, expected="training sizes such as [500, 1000, 2000]")
        for index, rung in enumerate(rungs):
            if rung != FULL and (isinstance(rung, str) or rung < 1):
                _wrong(f"{place}[{index}]", rung, "a whole number of at least 1, or `full`")
    for name, arm in config.arms.items():
        if not 0 < arm.share < 1:
            _wrong(f"arms.{name}.share", arm.share, "a share between 0 and 1, such as 0.1")
        if arm.rule not in selection.PLUGINS.names:
            raise selection.PLUGINS.unknown(arm.rule, f"arms.{name}.rule")
    for index, metric in enumerate(config.measure.metrics):
        if metric not in METRICS:
            raise AssayError(
                "no such metric",
                place=f"measure.metrics[{index}]",
                value=metric,
                expected=" or ".join(METRICS) or "a metric of an installed package",
                hint="score, loss and bits_per_byte are always measured; docs/plugins.md says how to add one",
            )
    if config.measure.metrics and not config.measure.answers:
        raise AssayError(
            "the metrics have no answers", place="measure.answers", expected="true beside metrics"
        )
    if not isinstance(config.control, bool) and config.control < FEWEST:
        _wrong("control", config.control, f"true, false, or a number of samples of at least {FEWEST}")
    if config.measure.method not in judging.PLUGINS.names:
        raise judging.PLUGINS.unknown(config.measure.method, "measure.method")
    if config.ladder.seeds < 1:
        _wrong("ladder.seeds", config.ladder.seeds, "at least 1 (3 or more for a verdict)")
    if not config.name.strip() or any(c in config.name for c in "/\\\0") or config.name.startswith("."):
        _wrong("name", config.name, "a name usable as a folder's name")
    if "base" in config.arms:
        raise AssayError("`base` is the untrained model", place="arms.base", hint="choose another name")
    if not (config.measure.loss or config.measure.answers or config.tasks.wanted):
        raise AssayError("nothing is measured", place="measure", expected="loss or answers switched on")
    rated = [a for a in (config.tasks, config.measure.abilities) if a.dialogues]
    if rated and config.judge is None:
        raise AssayError("dialogues need a chat model that rates them", place="judge",
                         expected="judge: {model: ...}")  # fmt: skip
    if config.judge is not None and not (config.measure.answers or rated):
        raise AssayError("the judge has no answers", place="measure.answers", expected="true beside a judge")


_TAKEN = (BASE_ARM, "random", "balanced", "judgements", "exports", "rule", "search", "mix")
"""Names that bases cannot have: of arms that are always there, and of folders beside a report."""


def _check_bases(config: StudyConfig) -> None:
    for name in config.bases:
        if not name.strip() or any(c in name for c in "/\\\0:") or name.startswith("."):
            _wrong(f"base.{name}", name, "a name usable as a folder's name, without a colon")
        if name in _TAKEN:
            raise AssayError(
                "the name means something else", place=f"base.{name}", hint="choose another name"
            )
