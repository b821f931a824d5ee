"""Models with what was measured of them, as points: means with the errors of their items, paired."""

from __future__ import annotations

import fnmatch
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from assay import curves
from assay.core import BASE_ARM, OVERALL, AssayError, Point, Say, say, task_type
from assay.results._join import Rung
from assay.results._values import Measure

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Series:
    """What is drawn as one curve: a task's metric, the type and metric of its points."""

    task: str
    metric: str
    type: str
    kind: str


def points_of(
    models: Sequence[Rung],
    *,
    metrics: Sequence[str] = (),
    lower_is_better: Sequence[str] = (),
) -> tuple[list[Point], list[Say]]:
    """Return the points of all models, overall included, and notes.

    Of each task the first metric is taken, or those that ``metrics`` name (``acc_norm``, ``gsm8k/*``).  Where
    all models have the values of the same items, means and errors are over the items that all have, and
    ``own_share`` says how much of the errors two models do not share.
    """
    keys = list(dict.fromkeys(key for model in models for key in model.measures))
    chosen, notes = _chosen(models, keys, metrics, lower_is_better)
    found: list[Point] = []
    for series in chosen:
        points, said = _series(models, series)
        found += points
        notes += said
    overall, said = _overall(models, chosen, found)
    return [*overall, *found], [*notes, *said]


def _chosen(
    models: Sequence[Rung], keys: Sequence[_Key], metrics: Sequence[str], lower: Sequence[str]
) -> tuple[list[Series], list[Say]]:
    one = {key: next(m.measures[key] for m in models if key in m.measures) for key in keys}
    if metrics:
        taken = [key for key in keys if any(_named(key, name) for name in metrics)]
        if not taken:
            known = ", ".join("/".join(filter(None, key)) for key in keys)
            raise AssayError("no run has such a metric", place="--metric", value=", ".join(metrics),
                             expected="one of " + known)  # fmt: skip
    else:
        taken = [key for key in keys if one[key].first]
    unknown = [key for key in taken if _kind(one[key], lower) is None]
    if metrics and unknown:
        raise AssayError(
            "it is not known whether this metric should rise or fall", place="--metric", value=unknown[0][1],
            hint="if it should fall, name it: --lower-is-better; if it should rise, call it score in a table",
        )  # fmt: skip
    taken = [key for key in taken if key not in unknown]
    left = tuple("/".join(filter(None, key)) for key in keys if key not in taken)
    notes = [say("import.note.metrics", names=left)] if left else []
    named = [(key, str(_kind(one[key], lower))) for key in taken]
    return [Series(*key, _type(key, kind, named), kind) for key, kind in named], notes


def _named(key: _Key, wanted: str) -> bool:
    task, metric = key
    return any(fnmatch.fnmatchcase(name, wanted) for name in (metric, f"{task}/{metric}"))


def _kind(measure: Measure, lower: Sequence[str]) -> str | None:
    """Return ``score`` or ``loss`` by the metric's direction, or None where nothing says it."""
    if measure.metric in lower:
        return "loss"
    if measure.higher is None:
        return None
    return "score" if measure.higher else ("bits_per_byte" if measure.metric == "bits_per_byte" else "loss")


def _type(key: _Key, kind: str, named: Sequence[tuple[_Key, str]]) -> str:
    """Return the type of a task's points: its name, with the metric where a task has several of a kind."""
    task, metric = key
    several = sum(own[0] == task and other == kind for own, other in named) > 1
    if not task:
        alone = sum(other == kind for _, other in named) == 1
        return OVERALL if alone else metric
    return f"{task} / {metric}" if several else task_type(task)


def _series(models: Sequence[Rung], series: Series) -> tuple[list[Point], list[Say]]:
    key = series.task, series.metric
    own = [model for model in models if key in model.measures]
    measures = [model.measures[key] for model in own]
    notes = _setups(series, measures)
    items = [_items(measure) for measure in measures]
    if any(found is None for found in items):
        partly = sum(found is None for found in items)
        if partly < len(items):
            notes.append(say("import.note.no_items", task=series.type, n=partly, of=len(items)))
        return [_plain(model, m, series) for model, m in zip(own, measures, strict=True)], notes
    return _paired(own, [dict(found or {}) for found in items], series, notes)


def _items(measure: Measure) -> Mapping[str, float] | None:
    """Return a measure's items where their mean is its value; those of a corpus metric are not."""
    if not measure.items:
        return None
    mean = math.fsum(measure.items.values()) / len(measure.items)
    return measure.items if math.isclose(mean, measure.value, rel_tol=1e-4, abs_tol=1e-6) else None


def _setups(series: Series, measures: Sequence[Measure]) -> list[Say]:
    found = sorted({m.setup for m in measures})
    return [say("import.note.setups", task=series.type, setups=tuple(found))] if len(found) > 1 else []


def _plain(model: Rung, measure: Measure, series: Series) -> Point:
    return Point(
        series.type,
        model.n_train,
        model.seed,
        series.kind,
        measure.value,
        measure.n_eval,
        measure.se,
        model.arm,
        model.run,
    )


def _paired(
    own: Sequence[Rung], items: list[dict[str, float]], series: Series, notes: list[Say]
) -> tuple[list[Point], list[Say]]:
    common = sorted(set.intersection(*map(set, items)))
    most = max(map(len, items))
    if not common:
        raise AssayError(
            "the models were measured on items of which none is common to all", place=series.type,
            expected="one evaluation set for all models", hint="import them apart, or measure again",
        )  # fmt: skip
    if len(common) < most:
        notes.append(say("import.note.common", task=series.type, n=len(common), of=most))
    values = np.array([[found[item] for item in common] for found in items])
    share = _own_share(own, values)
    n = len(common)
    errors = values.std(axis=1, ddof=1) / math.sqrt(n) if n > 1 else [None] * len(own)
    means = values.mean(axis=1)
    return [
        Point(
            series.type, model.n_train, model.seed, series.kind, float(mean), n,
            None if error is None else float(error), model.arm, model.run, own_share=share,
        )
        for model, mean, error in zip(own, means, errors, strict=True)
    ], notes  # fmt: skip


def _own_share(own: Sequence[Rung], values: np.ndarray) -> float | None:
    """Return the mean over ladders of the share of the items' variance that their models do not share."""
    ladders: dict[tuple[str, int], list[int]] = defaultdict(list)
    for place, model in enumerate(own):
        if model.arm != BASE_ARM:
            ladders[model.arm, model.seed].append(place)
    shares = []
    for places in ladders.values():
        residuals = values[places].T - values[places].mean(axis=1)
        share = curves.own_share(residuals, np.array([own[p].n_train for p in places], float))
        shares += [] if share is None else [share]
    return float(np.mean(shares)) if shares else None


def _overall(
    models: Sequence[Rung], chosen: Sequence[Series], points: Sequence[Point]
) -> tuple[list[Point], list[Say]]:
    """Return the unweighted mean over types of each model, where all models have all types on one scale."""
    found, notes = [], []
    for kind in dict.fromkeys(s.kind for s in chosen):
        series = [s for s in chosen if s.kind == kind and s.type != OVERALL]
        own = [p for p in points if p.metric == kind and p.type != OVERALL]
        if len(series) < 2 or len(series) < sum(s.kind == kind for s in chosen):
            continue
        reason = _unlike(kind, series, own, models)
        if reason is not None:
            notes.append(say("import.note.no_overall", metric=kind, reason=reason))
            continue
        found += list(_means(kind, own))
    return found, notes


def _unlike(kind: str, series: Sequence[Series], own: Sequence[Point], models: Sequence[Rung]) -> Say | None:
    if kind == "score" and not all(0 <= p.value <= 1 for p in own):
        return say("import.overall.scale")
    if kind != "score" and len({s.metric for s in series}) > 1:
        return say("import.overall.metrics")
    counts: dict[tuple[str, int, int], int] = defaultdict(int)
    for p in own:
        counts[p.arm, p.n_train, p.seed] += 1
    return None if set(counts.values()) == {len(series)} else say("import.overall.lacking")


def _means(kind: str, own: Sequence[Point]) -> Iterator[Point]:
    models: dict[tuple[str, int, int], list[Point]] = defaultdict(list)
    for p in own:
        models[p.arm, p.n_train, p.seed].append(p)
    for (arm, n, seed), parts in models.items():
        errors = [p.se for p in parts if p.se is not None]
        shares = [p.own_share for p in parts if p.own_share is not None]
        counts = [p.n_eval for p in parts if p.n_eval is not None]
        yield replace(
            parts[0], type=OVERALL, value=math.fsum(p.value for p in parts) / len(parts), metric=kind,
            arm=arm, n_train=n, seed=seed, n_eval=sum(counts) if len(counts) == len(parts) else None,
            se=math.hypot(*errors) / len(parts) if len(errors) == len(parts) else None,
            own_share=float(np.mean(shares)) if shares else None,
        )  # fmt: skip
