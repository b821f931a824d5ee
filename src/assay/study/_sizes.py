"""How large a study's base and data are, for what its steps will take: counted, or read from a part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assay import data, model
from assay.core import AssayError, Sample
from assay.data import synthetic
from assay.plan import Estimate, Step, Store, local_folder
from assay.study._config import MeasureConfig, StudyConfig, TestbedConfig
from assay.study.steps import AgreeSettings, Base, Runtime, Tally, iterate, message_row

Array = NDArray[np.float64]

# Rough multiply-adds a second of one CPU thread and of a GPU, for estimates before anything ran.
CPU_FLOPS, GPU_FLOPS = 3.0e10, 2.0e14
# Reading and writing tokens: without slopes, but in short steps of a token for each of a batch.
_READING_FLOPS = 3.0e10
_BATCH = 64
_CURVE, _POINT = 0.1, 0.005
"""Seconds of a curve that is fitted, and of a model's measurement that goes into one."""
START = 0.2
"""Seconds of a step that do not grow with it.  Little, so that a pace is learned from what does grow."""

_UPDATES = 60.0
"""Multiply-adds that updating a weight is worth, which waits for memory: weight, gradient, two moments."""
_ITEMS_TOKENS, _PASS = 4096, 48
"""Tokens of a forward pass over items, and those that another pass costs."""
_READ = 200
_UNKNOWN = 100.0
"""Tokens of a text of which there is no example."""
_TEMPLATE = 8.0
"""Tokens of a chat template around a turn and its answer."""
_CHAT = 80.0
"""Tokens around a prompt that a provider may count: those of the chat's marks and of a prompt of its own."""
_CHARACTERS = 3.0
"""Characters per token where the tokenizer cannot be read by itself."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What an estimate needs to know of base and data.

    ``parameters`` of the base, of which ``trained`` learn; ``tokens_per_sample`` of the pool, cut at the
    recipe's ``max_tokens``; ``items`` of the evaluation set, of ``types`` types, of which ``checked`` have an
    exact checker, with the mean tokens of a prompt and of a reference.  ``squares`` and ``item_squares``:
    means of squared tokens of a sample, and of a prompt with its reference, as attention grows with them;
    ``longest``: tokens of the longest of a batch of references, None where there are none.  ``padded`` and
    ``item_padded``: tokens that go through the model for a sample, and for a prompt with its reference.
    """

    parameters: int
    trained: int
    tokens_per_sample: float
    items: int
    checked: int
    prompt_tokens: float
    reference_tokens: float
    types: int = 1
    squares: float = 0.0
    item_squares: float = 0.0
    longest: int | None = None
    padded: float = 0.0
    item_padded: float = 0.0

    def written(self, most: int) -> int:
        """Return how many tokens a batch writes: answers are about as long as references."""
        return most if self.longest is None else min(most, self.longest)


@dataclass(frozen=True, slots=True)
class _Part:
    """Some samples of a set, how many it holds, how many of them have an exact checker, and their types."""

    samples: tuple[Sample, ...]
    count: int
    checked: int

    @property
    def types(self) -> int:
        """Return how many types are seen in the samples."""
        return len({sample.type for sample in self.samples})


def sizes_of(config: StudyConfig, base: Base, evaluation: Step, pool: Step) -> Sizes:
    """Return the sizes of a study; what the store holds is counted there, the rest in the files."""
    limit, store = config.recipe.max_tokens, config.where.store
    items = _part(evaluation, config.measured or config.evaluation, store)
    prompts = _tokens(base.folder, [_prompt(one) for one in items.samples])
    references = _tokens(base.folder, [one.answer or "" for one in items.samples])
    samples = _part(pool, config.pool, store).samples
    whole = _tokens(base.folder, ["\n".join(turn.content for turn in one.messages) for one in samples])
    parameters, trained = _weights(base, config.recipe)
    cut, both = np.minimum(whole + _TEMPLATE, limit), prompts + references + _TEMPLATE
    recipe = config.recipe
    return Sizes(
        parameters, trained, _mean(cut), items.count, items.checked, _mean(prompts + _TEMPLATE),
        _mean(references), items.types, _mean(cut**2), _mean(both**2), _longest(references),
        padded_tokens(cut, recipe.batch_size, recipe.micro_tokens),
        padded_tokens(both, len(both), _ITEMS_TOKENS),
    )  # fmt: skip


def padded_tokens(lengths: Array, batch: int, limit: int) -> float:
    """Return the tokens that go through a model for each sample of batches, padding and passes among them."""
    drawn = np.random.default_rng(0).permutation(lengths)[:_READ].astype(int)
    batches = [drawn[i : i + batch].tolist() for i in range(0, len(drawn), max(batch, 1))]
    whole = [one for one in batches if len(one) == batch] or batches
    passes: list[list[int]] = [
        [one[i] for i in group] for one in whole for group in model.partition(one, limit)
    ]
    return float(sum(len(p) * max(p) + _PASS for p in passes) / max(sum(map(len, passes)), 1))


def _longest(references: Array) -> int | None:
    """Return the tokens of the longest of a batch of references, its end among them."""
    known = references[references > 0]
    return int(np.quantile(known, 1 - 1 / _BATCH)) + 1 if len(known) else None


def hosted_sizes(config: StudyConfig, evaluation: Step, pool: Step) -> Sizes:
    """Return the sizes of a study at a provider: tokens at their most, the bytes of what is sent."""
    store = config.where.store
    items = _part(evaluation, config.measured or config.evaluation, store)
    samples = _part(pool, config.pool, store).samples
    rows = np.array(
        [len(json.dumps(message_row(one), ensure_ascii=False).encode()) + 1 for one in samples], float
    )
    prompts = np.array([len(_prompt(one).encode()) for one in items.samples], float)
    references = np.array([len((one.answer or "").encode()) for one in items.samples], float)
    return Sizes(
        0, 0, _mean(rows), items.count, items.checked, _mean(prompts) + _CHAT, _mean(references), items.types
    )  # fmt: skip


def training_cost(
    base: Base, recipe: model.Recipe, tokens: float, *, padded: float, squares: float, steps: int,
    device: str, launch: model.Launch, trunk: bool = False,
) -> Estimate:  # fmt: skip
    """Return what ``steps`` steps on ``tokens`` in all take; a ``trunk`` keeps both moments as well.

    ``padded``: with padding; ``squares``: the sum of the squared tokens of all samples.

    Whole models are held and written in fp32, whatever type the base is stored in; of adapters these alone.
    """
    parameters, trained = _weights(base, recipe)
    speed = (GPU_FLOPS if device == "cuda" else CPU_FLOPS) * launch.processes
    each = 6 if recipe.adapter == "none" else 4
    parts = {"tokens": each * parameters * padded / speed, "steps": _UPDATES * trained * steps / speed}
    parts["attention"] = each * _attended(base) * squares / speed
    return Estimate(
        seconds=START + sum(parts.values()), tokens=tokens, bytes=4.0 * trained * (3 if trunk else 1),
        kind=kind_of(base, device, str(launch.processes)), parts=parts,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _attended(base: Base) -> float:
    """Return the multiply-adds of attention per squared token of a text; 0 for unknown families."""
    try:
        shape = model.read_shape(base.folder)
    except (AssayError, OSError):
        return 0.0
    return 2.0 * shape.layers * shape.heads * shape.head_dim


def measuring_cost(
    base: Base, parameters: int, items: int, read: float, written: int, *, squares: float, device: str,
    kind: str,
) -> Estimate:  # fmt: skip
    """Return what reading ``read`` and writing ``written`` tokens of each of ``items`` items takes.

    ``squares``: mean squared tokens of what is read of an item.  Answers are
    written token by token, a batch at once, however few of it are still written.
    """
    speed = GPU_FLOPS / 50 if device == "cuda" else _READING_FLOPS
    batches = -(-items // _BATCH)
    parts = {"read": 2 * parameters * items * read / speed}
    parts["attention"] = 2 * _attended(base) * items * squares / speed
    parts |= {"write": 2 * parameters * batches * _BATCH * written / speed} if written else {}
    return Estimate(seconds=START + sum(parts.values()), bytes=200.0 * items, kind=kind, parts=parts)


def answering_cost(
    store: Store, evaluation: Step, folder: Path, measure: MeasureConfig, runs: Runtime
) -> Estimate:
    """Return what measuring the model in ``folder`` (or a GGUF file) on a set that was read takes."""
    items = _of_store(store.path(evaluation.key))
    prompts = _tokens(folder, [_prompt(s) for s in items.samples])
    references = _tokens(folder, [s.answer or "" for s in items.samples])
    base = Base.at(folder)
    parameters = folder.stat().st_size if folder.is_file() else _weights(base, model.Recipe())[0]
    both, longest, most = prompts + references, _longest(references), measure.max_new_tokens
    read = _mean(both) * measure.loss + _mean(prompts) * measure.answers
    return measuring_cost(
        base, parameters, items.count, read, min(most, longest or most) * measure.answers,
        squares=_mean(both**2), device=runs.device,
        kind=kind_of(base, runs.device, runs.backend),
    )  # fmt: skip


def agreeing_cost(base: Base, settings: AgreeSettings, samples: int, device: str) -> Estimate:
    """Return what answering ``samples`` samples of a type and comparing gradients of the hardest takes."""
    parameters, _ = _weights(base, model.Recipe())
    kind, read = kind_of(base, device, "transformers"), 2 * _UNKNOWN
    found = measuring_cost(
        base, parameters, min(samples, settings.most), read, settings.max_new_tokens, squares=read**2,
        device=device, kind=kind,
    )  # fmt: skip
    speed = GPU_FLOPS if device == "cuda" else CPU_FLOPS
    parts = {**found.parts, "gradients": 6 * parameters * min(samples, settings.drawn) * read / speed}
    return Estimate(seconds=START + sum(parts.values()), bytes=1e4, kind=kind, parts=parts)


def reading_cost(types: int, arms: int, metrics: int, runs: int) -> Estimate:
    """Return what reading the measurements of ``runs`` models, fitting curves and writing a report takes."""
    curves = (types + 1) * arms * metrics
    return Estimate(seconds=START + _CURVE * curves + _POINT * curves * runs, kind="", parts={
        "curves": _CURVE * curves, "points": _POINT * curves * runs,
    })  # fmt: skip


def kind_of(base: Base, device: str, what: str) -> str:
    """Return what is alike in steps whose times are compared: the base, the device, and ``what``."""
    return f"{base.digest[:12]} {device} {what}"


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else _UNKNOWN


def _prompt(sample: Sample) -> str:
    return "\n".join(turn.content for turn in sample.prompt)


@lru_cache(maxsize=64)
def _weights(base: Base, recipe: model.Recipe) -> tuple[int, int]:
    """Return the weights of a base and how many of them, or of its adapter, learn."""
    counted = model.count_weights(base.folder)
    try:
        shape = model.read_shape(base.folder)
    except AssayError:
        if counted is None:
            raise
        return counted[0], counted[0]
    own = counted[0] if counted else shape.parameters
    return own, own if recipe.adapter == "none" else model.training_memory(shape, recipe).trained


def _tokens(folder: Path, texts: Sequence[str]) -> Array:
    """Return the tokens of each text by the base's own tokenizer, or by its characters."""
    if folder.is_file() or not (folder / "tokenizer.json").is_file():
        return np.array([len(text) / _CHARACTERS for text in texts])
    return np.array([len(one.ids) for one in _tokenizer(folder).encode_batch(list(texts))], float)


@lru_cache(maxsize=8)
def _tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def _part(step: Step, source: Sequence[str] | TestbedConfig, store: str) -> _Part:
    """Return some samples of what a step reads: those that it has read, else the first of its files."""
    read = Store(local_folder(store), create=False).place(step.key)
    if isinstance(source, TestbedConfig):
        split: Literal["train", "eval"] = "train" if step.name == "read-pool" else "eval"
        return _of_testbed(source, split)
    return _of_store(read) if read.is_dir() else _of_files(step)


def _of_testbed(source: TestbedConfig, split: Literal["train", "eval"]) -> _Part:
    made = synthetic.generate(
        min(source.samples, _READ), seed=source.seed, split=split, types=source.types,
        languages=source.languages, difficulty=source.difficulty,
    )  # fmt: skip
    return _Part(tuple(one.sample for one in made), source.samples, source.samples)


@lru_cache(maxsize=16)
def _of_store(read: Path) -> _Part:
    held = data.Dataset(read / "dataset")
    rows = np.unique(np.linspace(0, len(held) - 1, min(len(held), _READ)).astype(int)).tolist()
    checked = len(held) - held.column("checker").null_count
    return _Part(tuple(held.take(rows)) if len(held) else (), len(held), checked)


def _of_files(step: Step) -> _Part:
    return _read_files(_Files(step))


class _Files:
    """A step that reads files, equal to another of its key."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def __hash__(self) -> int:
        return hash(self.step.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Files) and other.step.key == self.step.key


@lru_cache(maxsize=16)
def _read_files(files: _Files) -> _Part:
    first: list[Sample] = []
    seen: set[str] = set()
    checked = 0
    for _, sample in iterate(files.step.config, files.step.where, Tally(), lambda row: None):
        if sample.id not in seen:
            seen.add(sample.id)
            checked += sample.checker is not None
            first += [sample] if len(first) < _READ else []
    return _Part(tuple(first), len(seen), checked)
