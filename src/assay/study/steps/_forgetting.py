"""From the losses on plain text to what a ladder forgets, and what "enough" is then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from assay import curves, judging
from assay.core import BASE_ARM, Abilities, CurveResult, Curves, Forgetting, Point, Rise

FEWEST_ITEMS = 2
"""Of one item there is no error."""
_Text = tuple[np.ndarray, np.ndarray]
"""Nats and tokens of each paragraph [parts]."""


class HasText(Protocol):
    """A model with what was measured of it on plain text: rows of text, part, nats, tokens."""

    arm: str
    seed: int
    n_train: int
    key: str
    text: Any


def forgetting(runs: Sequence[HasText], question: Mapping[str, Any]) -> Forgetting | None:
    """Return how the loss on plain text moves along every ladder; None where it was not measured."""
    texts = {id(run): _texts(run) for run in runs if run.text is not None}
    measured = [run for run in runs if id(run) in texts]
    base = next((texts[id(run)] for run in measured if run.arm == BASE_ARM), None)
    if base is None:
        return None
    points = [p for run in measured for p in _points(run, texts[id(run)])]
    ladders: dict[tuple[str, str], dict[int, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for run in measured:
        for name, (nats, _) in texts[id(run)].items():
            if run.arm != BASE_ARM:
                ladders[name, run.arm][run.n_train].append(nats)
    found: list[Rise] = []
    for (name, arm), sizes in ladders.items():
        found += curves.rises(name, arm, *base[name], sizes, question["largest_loss"])
    fitted = curves.fit_curves(points, smallest_relative_gain=question["smallest_relative_gain"])
    return Forgetting(tuple(points), tuple(fitted), tuple(found), question["largest_loss"])


class HasAbilities(Protocol):
    """A model with the scores of tasks that are watched beside the evaluation set."""

    arm: str
    seed: int
    n_train: int
    key: str
    abilities: list[judging.Judgement]


def watched(runs: Sequence[HasAbilities], question: Mapping[str, Any]) -> Abilities | None:
    """Return how the scores of watched tasks move along every ladder, each item being its own baseline."""
    measured = {id(run): _by_task(run) for run in runs if run.abilities}
    base = next((measured[id(run)] for run in runs if run.arm == BASE_ARM and id(run) in measured), None)
    if base is None:
        return None
    points = [
        Point(s.type, run.n_train, run.seed, "score", s.mean, s.n, s.se, run.arm, run.key)
        for run in runs
        for s in judging.summarise(run.abilities)
    ]
    shifts: list[Rise] = []
    for arm in dict.fromkeys(run.arm for run in runs if run.arm != BASE_ARM):
        own = [(run.n_train, measured[id(run)]) for run in runs if run.arm == arm and id(run) in measured]
        for task, scores in base.items():
            shifts += _shifts(task, arm, scores, [(n, found[task]) for n, found in own if task in found])
    fitted = curves.fit_curves(points, smallest_gain=question["smallest_gain"])
    return Abilities(tuple(points), tuple(fitted), tuple(shifts))


def _by_task(run: HasAbilities) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for row in run.abilities:
        if row.score is not None:
            found[row.type][row.item] = row.score
    return found


def _shifts(
    task: str, arm: str, base: Mapping[str, float], runs: Sequence[tuple[int, Mapping[str, float]]]
) -> list[Rise]:
    """Return the change of a task's score at each size, over the items that all models have."""
    items = sorted(set(base).intersection(*(scores for _, scores in runs)))
    if len(items) < FEWEST_ITEMS or not runs:
        return []
    sizes: dict[int, list[np.ndarray]] = defaultdict(list)
    for n, scores in runs:
        sizes[n].append(np.array([scores[item] for item in items]))
    own = np.array([base[item] for item in items])
    return curves.rises(task, arm, own, np.ones(len(items)), sizes)


def _texts(run: HasText) -> dict[str, _Text]:
    found = {}
    for (name,), own in run.text.sort("part").group_by("text", maintain_order=True):
        found[str(name)] = (own["nats"].to_numpy(), own["tokens"].to_numpy().astype(float))
    return found


def _points(run: HasText, texts: Mapping[str, _Text]) -> Iterator[Point]:
    for name, (nats, tokens) in texts.items():
        mean = float(nats.sum() / tokens.sum())
        se = curves.ratio_se(nats, tokens)
        yield Point(name, run.n_train, run.seed, "loss", mean, len(nats), se, run.arm, run.key)


def limited(found: Sequence[CurveResult], forgotten: Forgetting | None) -> Curves:
    """Return the curves so that what is enough, or satisfies, forgets no more than is allowed.

    A size beyond the largest allowed one is no answer to the question, so there is none.
    """
    if forgotten is None or forgotten.largest_loss is None:
        return Curves(found)
    return Curves(_limited(curve, forgotten.allowed(curve.arm) or 0) for curve in found)


def _limited(curve: CurveResult, allowed: int) -> CurveResult:
    best, satisfied = curve.best, curve.satisfied_at
    if best is not None and best.n is not None and best.n > allowed:
        best = replace(best, n=None)
    return replace(
        curve, best=best, satisfied_at=satisfied if satisfied is None or satisfied <= allowed else None
    )
