"""The measurements of one model, read from the objects of its steps."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay import judging
from assay.core import (
    OVERALL,
    Point,
    RunRow,
    Sample,
    Say,
    read_json,
    say,
    stored_text,
)
from assay.study.steps._abilities import SCORES
from assay.study.steps._judge import metrics_of
from assay.study.steps._measure import item_counts
from assay.study.steps._text import TEXT

_RUN = re.compile(r"run(\d+)/(.+)")
_TRACE_POINTS = 60
_RATIOS = (("loss", "tokens", 1.0), ("bits_per_byte", "n_bytes", math.log(2)))


def run_parts(inputs: Mapping[str, Path]) -> dict[int, dict[str, Path]]:
    """Return the objects of every run that a result reads, by its number and the names of its parts."""
    found: dict[int, dict[str, Path]] = {}
    for name, place in inputs.items():
        if named := _RUN.fullmatch(name):
            found.setdefault(int(named[1]), {})[named[2]] = place
    return found


class MeasuredRun:
    """The measurements of one model, read from its steps' objects."""

    def __init__(self, found: Mapping[str, Path], row: Mapping[str, Any]) -> None:
        """Read the objects ``found`` of a run, by the names of its parts; ``row`` says which run it is."""
        import polars

        self.arm, self.seed, self.n_train = row["arm"], row["seed"], row["n_train"]
        self.key, self.trunk_parts, self.shared = row["key"], row["trunk"], row["shared"]
        self.items = polars.read_parquet(found["answer"] / "items.parquet")
        self.answer_seconds = seconds(found["answer"])
        self.counts = item_counts(found["answer"])
        self.judgements = (
            polars.read_parquet(found["judge"] / "judgements.parquet") if "judge" in found else None
        )
        self.judge = (
            read_json(found["judge"] / "judge.json")
            if "judge" in found and (found["judge"] / "judge.json").exists()
            else None
        )
        self.text = polars.read_parquet(found["text"] / TEXT) if "text" in found else None
        self.tasks = _scores(found, "task/")
        self.abilities = _scores(found, "ability/")
        self.metrics = metrics_of(found["metrics"]) if "metrics" in found else {}
        self.held = found.get("held")
        parts = [f"trunk{i}" for i in range(self.trunk_parts)] + ["branch"]
        self.reports = [read_json(found[p] / "train.json") for p in parts if p in found]

    @property
    def notes(self) -> list[Say]:
        """What training did otherwise than the recipe says; a shared trunk is the first rung's to tell."""
        own = self.reports[-1:] if self.shared else self.reports[-2:]
        run = {"arm": self.arm, "n": self.n_train, "seed": self.seed}
        notes = [stored_text(note) for report in own for note in report["notes"]]
        return [say("note.run", **run, note=note) for note in notes]

    def points(self, items: Sequence[Sample]) -> list[Point]:
        """Return one point per type and metric."""
        points: list[Point] = []
        if self.judgements is not None:
            for summary in judging.summarise(self._judgements()):
                points.append(self._point(summary.type, "score", summary.mean, summary.se, summary.n))
        for summary in judging.summarise(self.tasks):
            points.append(self._point(summary.type, "score", summary.mean, summary.se, summary.n))
        for metric, rows in self.metrics.items():
            for summary in judging.summarise(rows):
                points.append(self._point(summary.type, metric, summary.mean, summary.se, summary.n))
        for metric, unit, factor in _RATIOS:
            for kind, (mean, se, n) in self._ratios(items, unit, factor).items():
                points.append(self._point(kind, metric, mean, se, n))
        return [*self._overall(points), *points]

    def _overall(self, points: Sequence[Point]) -> Iterable[Point]:
        """Return the unweighted mean over types of each metric (BELLE, Figure 1), where there are several."""
        for metric in dict.fromkeys(p.metric for p in points):
            own = [p for p in points if p.metric == metric]
            if len(own) > 1:
                errors = [p.se for p in own if p.se is not None]
                se = math.hypot(*errors) / len(own) if len(errors) == len(own) else None
                n = sum(p.n_eval or 0 for p in own)
                yield self._point(OVERALL, metric, math.fsum(p.value for p in own) / len(own), se, n)

    def _point(self, kind: str, metric: str, value: float, se: float | None, n: int) -> Point:
        return Point(kind, self.n_train, self.seed, metric, value, n, se, self.arm, self.key)

    def _judgements(self) -> list[judging.Judgement]:
        assert self.judgements is not None  # noqa: S101 - only called where there are judgements
        return [judging.Judgement(**row) for row in self.judgements.iter_rows(named=True)]

    def _ratios(
        self, items: Sequence[Sample], unit: str, factor: float
    ) -> dict[str, tuple[float, float | None, int]]:
        """Return per type the summed nats over the summed units, with its clustered standard error.

        The standard error is that of a ratio estimator (Cochran 1977, section 6.4) over groups of items.
        """
        groups: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for sample, row in zip(items, self.items.iter_rows(named=True), strict=True):
            if row["nats"] is None or not row[unit]:
                continue
            kind = groups.setdefault(row["type"], {})
            kind.setdefault(sample.group or row["item"], []).append((row["nats"] / factor, row[unit]))
        return {kind: _ratio(clusters.values()) for kind, clusters in groups.items()}

    def _cells(self, items: Sequence[Sample]) -> list[tuple[str, str, str, float, float]]:
        """Return (type, metric, cluster, value, size) of every item; a mean is all value over all size."""
        rows: list[tuple[str, str, str, float, float]] = []
        if self.judgements is not None:
            for row in self.judgements.iter_rows(named=True):
                if row["score"] is not None:
                    rows.append((row["type"], "score", row["group"] or row["item"], row["score"], 1.0))
        rows += [
            (m.type, "score", m.group or m.item, m.score, 1.0) for m in self.tasks if m.score is not None
        ]
        for metric, measured in self.metrics.items():
            rows += [
                (m.type, metric, m.group or m.item, m.score, 1.0) for m in measured if m.score is not None
            ]
        for sample, row in zip(items, self.items.iter_rows(named=True), strict=True):
            for metric, unit, factor in _RATIOS:
                if row["nats"] is not None and row[unit]:
                    cluster = sample.group or row["item"]
                    rows.append((row["type"], metric, cluster, row["nats"] / factor, row[unit]))
        return rows

    def residuals(self, items: Sequence[Sample]) -> dict[tuple[str, str], dict[str, float]]:
        """Return, by type and metric, each cluster's sum of deviations from the mean over items."""
        rows = self._cells(items)
        sums: dict[tuple[str, str], tuple[float, float]] = {}
        for kind, metric, _, value, size in rows:
            top, bottom = sums.get((kind, metric), (0.0, 0.0))
            sums[kind, metric] = (top + value, bottom + size)
        found: dict[tuple[str, str], dict[str, float]] = {}
        for kind, metric, cluster, value, size in rows:
            top, bottom = sums[kind, metric]
            own = found.setdefault((kind, metric), {})
            own[cluster] = own.get(cluster, 0.0) + value - top / bottom * size
        return found

    def influences(self, items: Sequence[Sample]) -> dict[tuple[str, str], dict[str, float]]:
        """Return, by type and metric, how far each cluster moves the mean over items."""
        sizes: dict[tuple[str, str], float] = {}
        for kind, metric, _, _, size in self._cells(items):
            sizes[kind, metric] = sizes.get((kind, metric), 0.0) + size
        return {
            key: {cluster: value / sizes[key] for cluster, value in own.items()}
            for key, own in self.residuals(items).items()
        }

    def influences_of(self, items: Sequence[Sample], kind: str, metric: str) -> dict[tuple[str, str], float]:
        """Return how far each cluster moves the mean of one type, or overall the mean over types."""
        by_type = {name: own for (name, m), own in self.influences(items).items()
                   if m == metric and kind in (OVERALL, name)}  # fmt: skip
        return {(k, cluster): v / len(by_type) for k, own in by_type.items() for cluster, v in own.items()}

    def row(self, recipe: Mapping[str, Any]) -> RunRow:
        """Return the run as the report shows it."""
        own = self.reports[-1:] if self.shared else self.reports[-2:]
        trace = [(step, loss) for part in self.reports for step, loss in part["trace"]]
        every = max(1, len(trace) // _TRACE_POINTS)
        size = next(
            (part["batch_size"] for part in self.reports if "batch_size" in part), recipe["batch_size"]
        )
        size = size if isinstance(size, int) else 1
        return RunRow(
            key=self.key,
            arm=self.arm,
            seed=self.seed,
            n_train=self.n_train,
            trained_samples=sum(part["samples"] for part in own),
            independent_samples=recipe["epochs"] * self.n_train,
            tokens=sum(part["tokens"] for part in own),
            seconds=sum(part["seconds"] for part in own),
            loss_trace=tuple(((step + 1) * size, loss) for step, loss in trace[::every]),
        )


def _scores(found: Mapping[str, Path], kind: str) -> list[judging.Judgement]:
    """Return what tasks and benchmarks scored of a model, as judgements whose type is the task."""
    import polars

    tables = [polars.read_parquet(folder / SCORES) for name, folder in found.items() if name.startswith(kind)]
    return [
        judging.Judgement(row["item"], row["task"], row.get("group"), kind, row["score"])
        for table in tables
        for row in table.iter_rows(named=True)
    ]


def _ratio(clusters: Collection[list[tuple[float, float]]]) -> tuple[float, float | None, int]:
    sums = np.asarray([np.sum(c, axis=0) for c in clusters])
    ratio = float(sums[:, 0].sum() / sums[:, 1].sum())
    n_items = sum(len(c) for c in clusters)
    if len(sums) < 2:
        return ratio, None, n_items
    residuals = sums[:, 0] - ratio * sums[:, 1]
    variance = float((residuals**2).sum()) * len(sums) / (len(sums) - 1)
    return ratio, math.sqrt(variance) / float(sums[:, 1].sum()), n_items


def moved(start: Mapping[Any, float], end: Mapping[Any, float]) -> NDArray[np.float64]:
    """Return end minus start of what both models have, in one order for all seeds."""
    return np.array([end[key] - start[key] for key in sorted(end.keys() & start.keys())])


def seconds(folder: Path) -> float:
    """Return how long the step of a folder took."""
    return float(read_json(folder / "manifest.json")["seconds"])
