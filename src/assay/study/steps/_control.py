"""Keep a slice of the pool out of training, and measure models on it and on samples that they have seen."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay import data
from assay.core import DataSummary, Sample, digest
from assay.plan import Step, StepContext
from assay.study._config import FEWEST

ROWS, KINDS = "control.npy", "kinds.json"
SHARE, MOST, SEEN = 10, 200, 100
"""The slice is a tenth of the pool, at most 200 samples; and how many samples seen are measured."""


def control_step(pool: Step, samples: int, spared: Mapping[str, tuple[str, str]] = {}) -> Step:
    """Return the step that chooses ``samples`` of the pool, which no model of the study is trained on.

    ``spared``: by arm the digest and the place of a selection made elsewhere, whose samples stay.
    """
    settings = {"samples": samples, "spared": {arm: content for arm, (content, _) in spared.items()}}
    where = {arm: place for arm, (_, place) in spared.items()}
    call = f"{__name__}:choose_control"
    return Step("control", 1, call, settings, {"pool": pool}, where=where, label="control slice")


def choose_control(context: StepContext) -> None:
    """Write the rows of the slice: of each type and language its share, those with the least digest of id."""
    dataset = data.Dataset(context.inputs["pool"] / "dataset")
    ids, types, languages = (dataset.column(name).to_pylist() for name in ("id", "type", "language"))
    spared = {sample for place in context.where.values() for sample in listed_ids(str(place))}
    kinds = [
        f"{kind or 'untyped'}/{language or 'unknown'}"
        for kind, language in zip(types, languages, strict=True)
    ]
    rows: dict[str, list[int]] = defaultdict(list)
    for row, sample in enumerate(ids):
        if sample not in spared:
            rows[kinds[row]].append(row)
    wanted = shares({kind: len(found) for kind, found in rows.items()}, context.config["samples"])
    chosen = [
        row
        for kind, found in rows.items()
        for row in sorted(found, key=lambda row: digest(["control", ids[row]]))[: wanted[kind]]
    ]
    np.save(context.out / ROWS, np.array(sorted(chosen), np.int64))
    data.write_json(context.out / KINDS, [kinds[row] for row in sorted(chosen)])


def listed_ids(place: str) -> list[str]:
    """Return the ids of a selection made elsewhere: a file of samples, or of ids (.ids)."""
    if place.endswith(".ids"):
        return Path(place).read_text(encoding="utf-8").split()
    return [row.id for row in data.read(place) if isinstance(row, Sample)]


def shares(counts: Mapping[str, int], samples: int) -> dict[str, int]:
    """Return how many samples each type gives: in proportion, the largest remainders first."""
    whole = sum(counts.values())
    samples = min(samples, whole)
    exact = {kind: samples * count / whole for kind, count in counts.items()}
    found = {kind: int(value) for kind, value in exact.items()}
    left = sorted(exact, key=lambda kind: (found[kind] - exact[kind], kind))
    for kind in left[: samples - sum(found.values())]:
        found[kind] += 1
    return found


def held_step(pool: Step, control: Step, order: Step, seen: int, label: str) -> Step:
    """Return the step that puts the slice and the first ``seen`` samples of an order together."""
    inputs = {"pool": pool, "control": control, "order": order}
    return Step("held", 1, f"{__name__}:hold", {"seen": seen}, inputs, label=label)


def hold(context: StepContext) -> None:
    """Write the samples of the slice, then those of the order."""
    dataset = data.Dataset(context.inputs["pool"] / "dataset")
    control = np.load(context.inputs["control"] / ROWS)
    order = np.load(context.inputs["order"] / "order.npy")[: context.config["seen"]]
    data.write_dataset(dataset.take([*control, *order]), context.out / "dataset")


def left_over(control: Path | None, rows: int) -> NDArray[np.int64]:
    """Return the rows of the pool that may be trained on: all but those of the slice."""
    every = np.arange(rows)
    return every if control is None else np.setdiff1d(every, np.load(control / ROWS))


def control_kinds(control: Path) -> list[tuple[str, str]]:
    """Return type and language of each sample of the slice, in the order in which they are measured."""
    kinds = json.loads((control / KINDS).read_text(encoding="utf-8"))
    return [tuple(kind.rpartition("/")[::2]) for kind in kinds]


def matched(control: Path, evaluation: DataSummary) -> NDArray[np.bool_]:
    """Return which samples of the slice are like the evaluation set: in its languages and of its types.

    Languages and types count that a tenth of the evaluation items have; types only where both sets share
    some.  None where fewer than 20 samples are like it: then the pool is unlike it.
    """
    kinds = control_kinds(control)
    languages, types = (_common(counts) for counts in (evaluation.by_language, evaluation.by_type))
    types = types if types & {kind for kind, _ in kinds} else {kind for kind, _ in kinds}
    found = np.array([kind in types and language in languages for kind, language in kinds])
    return found if found.sum() >= FEWEST else np.zeros(len(kinds), bool)


def _common(counts: Mapping[str, int]) -> set[str]:
    return {name for name, n in counts.items() if 10 * n >= sum(counts.values())}
