"""Replay: a share of general data among the samples of an arm, so that less is forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay import data, model
from assay.core import AssayError, Message, Sample, read_json
from assay.plan import Estimate, Step, StepContext
from assay.study.steps._base import Base
from assay.study.steps._read import place_digest
from assay.study.steps._tokenize import COUNTS

_TABLE = ("ids", "learned")


def plain_tokens_step(base: Base, recipe: model.Recipe, places: Sequence[str]) -> Step:
    """Return the step that tokenizes plain texts, all tokens to be learned, without a template."""
    settings = {"base": base.digest, "max_tokens": recipe.max_tokens, "template": recipe.template}
    settings["texts"] = [place_digest(place) for place in places]
    where = {"base": str(base.folder), "texts": list(places)}
    n_bytes = sum(Path(place).stat().st_size for place in places if Path(place).is_file())
    return Step(
        "plain-tokens", 1, f"{__name__}:tokenize_plain", settings, where=where, label="replay",
        estimate=Estimate(seconds=1 + n_bytes / 1e6),
    )  # fmt: skip


def tokenize_plain(context: StepContext) -> None:
    """Write the tokens of plain texts, a row for each."""
    config, where = context.config, context.where
    tokenizer = model.load_tokenizer(Path(where["base"]), config["template"])
    counts = model.write_tokens(
        tokenizer, map(as_sample, _texts(where["texts"])), context.out, config["max_tokens"], given="nothing"
    )
    data.write_json(context.out / COUNTS, counts)


def _texts(places: Sequence[str]) -> Iterator[str]:
    for place in places:
        yield from data.read_texts(place)


def as_sample(text: str) -> Sample:
    """Return a text as an answer to nothing."""
    return Sample((Message("user", "."), Message("assistant", text)))


def joined_tokens_step(tokens: Step, parts: Sequence[Step]) -> Step:
    """Return the step that puts the tokens of general data behind those of the pool."""
    inputs = {"tokens": tokens, **{f"replay{index}": part for index, part in enumerate(parts)}}
    return Step("joined-tokens", 1, f"{__name__}:join_tokens", {}, inputs, label="pool and replay")


def join_tokens(context: StepContext) -> None:
    """Write one table; ``counts.json`` says how many ``rows`` there are and how many are the ``pool``'s."""
    folders = [folder for _, folder in sorted(context.inputs.items(), key=lambda one: one[0] != "tokens")]
    for name in _TABLE:
        parts = [np.load(folder / f"{name}.npy", mmap_mode="r") for folder in folders]
        np.save(context.out / f"{name}.npy", np.concatenate(parts))
    offsets, ends = [np.zeros(1, np.int64)], 0
    for own in (np.load(folder / "offsets.npy") for folder in folders):
        offsets.append(own[1:] + ends)
        ends += int(own[-1])
    whole = np.concatenate(offsets)
    np.save(context.out / "offsets.npy", whole)
    counts = {"rows": len(whole) - 1, "pool": int(read_json(folders[0] / COUNTS)["rows"])}
    data.write_json(context.out / COUNTS, counts)


def replay_order_step(order: Step, joined: Step, *, share: float, seed: int, label: str) -> Step:
    """Return the step that puts general rows among those of an order: a ``share`` of every rung."""
    settings = {"share": share, "seed": seed}
    inputs = {"order": order, "tokens": joined}
    return Step("replay-order", 1, f"{__name__}:mix_order", settings, inputs, label=label)


def mix_order(context: StepContext) -> None:
    """Write the order; of the first n rows the whole part of n times the share is general data."""
    order = np.load(context.inputs["order"] / "order.npy")
    counts = read_json(context.inputs["tokens"] / COUNTS)
    general = counts["rows"] - counts["pool"]
    if not general:
        raise AssayError("the replay holds no sample", place="arms", expected="files of samples or texts")
    mixed = replay_order(order, counts["pool"], general, context.config["share"], context.config["seed"])
    np.save(context.out / "order.npy", mixed)


def replay_order(
    order: NDArray[np.int64], first: int, general: int, share: float, seed: int
) -> NDArray[np.int64]:
    """Return ``order`` with the rows ``first`` to ``first + general`` evenly among its own.

    General rows come in an order by chance, once each before any comes again.
    """
    places = np.arange(1, int(len(order) / (1 - share)) + 1)
    # A share such as 0.1 is no binary number: ten times it must be one row.
    due = np.floor(places * share + 1e-9).astype(np.int64)
    own = np.diff(due, prepend=0) > 0
    found = np.empty(len(places), np.int64)
    found[own] = first + _drawn(int(own.sum()), general, seed)
    found[~own] = order[: len(places) - int(own.sum())]
    return found


def _drawn(n: int, general: int, seed: int) -> NDArray[np.int64]:
    passes = range(-(-n // general))
    drawn = [np.random.default_rng([seed, number]).permutation(general) for number in passes]
    return np.concatenate([*drawn, np.zeros(0, np.int64)])[:n].astype(np.int64)
