"""Several base models in one study: the same data and items on each, then "double the data or the model?"."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from assay import curves, data, model, view
from assay import plan as planning
from assay._version import __version__
from assay.core import (
    BASE_ARM,
    OVERALL,
    AssayError,
    BaseResult,
    BasesResult,
    DataSummary,
    Sample,
    UpgradeCost,
    read_json,
)
from assay.plan import Estimate, Pool, Step, StepContext, Store
from assay.study._config import ArmConfig, StudyConfig
from assay.study._graph import Ladder, RunSteps, result_step
from assay.study._hosted import ladder_kind
from assay.study._recipes import Beside, own_name, variants
from assay.study.steps import MeasuredRun, run_parts

_FULL, _ADAPTER = 6.0, 4.0
"""Operations of training per parameter and token (Kaplan et al. 2020, section 2.1): forward 2, backward 4, of
which those of the weights' gradients are not needed where only an adapter is trained."""


@dataclass(frozen=True, slots=True)
class BasePart:
    """The steps of one base: all its models and its result."""

    ladder: Ladder
    runs: tuple[RunSteps, ...]
    result: Step
    beside: Beside

    def trainings(self) -> list[tuple[Ladder, Sequence[RunSteps]]]:
        """Return all models with the ladder that they are of: the base's own, and those beside it."""
        return [(self.ladder, self.runs), *((one.ladder, one.runs) for one in self.beside.variants)]


@dataclass(frozen=True, slots=True)
class StudyGraph:
    """All steps of a study: a part for each base, by name ("" where there is one), and the last step."""

    parts: Mapping[str, BasePart]
    final: Step

    def run(self, store: Store, workers: Pool) -> None:
        """Run all steps that are not in the store yet."""
        planning.run([self.final], store, workers)


def study_ladders(
    config: StudyConfig, evaluation: Step, pool: Step, summary: DataSummary
) -> dict[str, Ladder]:
    """Return the ladders of a study whose pool has been read, by base ("" where there is one).

    Of several bases each is a study of its own, on the data that the first base chose.
    """
    first = ladder_kind(config.base)(config, evaluation, pool, summary)
    found = {}
    for name, base in config.bases.items():
        own = replace(config, base=base.model, recipe=base.recipe, bases={})
        arms = {arm: _arm(first, name, arm) for arm in base.arms or first.arms}
        found[name] = Ladder(own, evaluation, pool, summary, arms, chooser=first)
    return found or {"": first}


def study_graph(
    config: StudyConfig,
    evaluation: Step,
    ladders: Mapping[str, Ladder],
    checks: Mapping[str, Step | None] = {},
    beside: Mapping[str, Beside] = {},
) -> StudyGraph:
    """Return the steps of a study; ``checks`` are the recipe checks by base, where they ran.

    ``beside`` are the trainings beside the ladders by base; those that the study file asks for if not given.
    """
    parts = {
        name: _part(
            ladder, f"{config.name}-{name}" if name else config.name, checks.get(name),
            beside.get(name) or Beside(tuple(variants(ladder))),
        )
        for name, ladder in ladders.items()
    }  # fmt: skip
    return StudyGraph(parts, _bases_step(config, evaluation, parts) if config.bases else parts[""].result)


def _arm(first: Ladder, base: str, arm: str) -> ArmConfig:
    if arm not in first.arms:
        raise AssayError(
            "the study has no such arm", place=f"base.{base}.arms", value=arm,
            expected=", ".join(first.arms), hint=", ".join(map(view.said, first.notes)) or None,
        )  # fmt: skip
    return first.arms[arm]


def _part(ladder: Ladder, name: str, check: Step | None, beside: Beside) -> BasePart:
    runs, own = ladder.runs(), own_name(ladder)
    final = result_step(ladder, runs, name, check, tuple(beside.rows()), own)
    return BasePart(ladder, tuple(runs), final, beside)


def _bases_step(config: StudyConfig, evaluation: Step, parts: Mapping[str, BasePart]) -> Step:
    """Return the step that puts the bases side by side."""
    inputs, rows = {"evaluation": evaluation}, list[dict[str, Any]]()
    for name, part in parts.items():
        inputs[f"base/{name}"] = part.result
        for run in part.runs:
            inputs |= {f"run{len(rows):04}/{key}": step for key, step in run.parts.items()}
            row = {"base": name, "arm": run.arm, "seed": run.seed, "n_train": run.n_train}
            rows.append(row | {"key": run.answer.key, "trunk": len(run.trunk), "shared": run.shared})
    settings = {
        "name": config.name,
        "language": config.language,
        "version": __version__,
        "question": dataclasses.asdict(config.question),
        "bases": [_facts(name, part.ladder) for name, part in parts.items()],
        "runs": rows,
    }
    return Step(
        "bases", 3, f"{__name__}:result", settings, inputs, label="bases side by side",
        estimate=Estimate(seconds=15),
    )  # fmt: skip


def _facts(name: str, ladder: Ladder) -> dict[str, Any]:
    config = read_json(ladder.base.folder / "config.json")
    family = str(config.get("model_type", "unknown"))
    parameters = ladder.sizes.parameters
    each = _FULL if ladder.config.recipe.adapter == "none" else _ADAPTER
    return {"name": name, "model": ladder.config.base, "family": family} | {
        "parameters": parameters,
        "flops_per_token": each * parameters,
        "template": model.template_name(ladder.base.folder, ladder.config.recipe.template),
    }


def result(context: StepContext) -> None:
    """Put the bases side by side and write their common report."""
    view.write_report(_assemble(context), context.out / "report")


def _assemble(context: StepContext) -> BasesResult:
    config, question = context.config, context.config["question"]
    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    runs: dict[str, list[MeasuredRun]] = {row["name"]: [] for row in config["bases"]}
    parts = run_parts(context.inputs)
    for index, row in enumerate(config["runs"]):
        runs[row["base"]].append(MeasuredRun(parts[index], row))
    found = (_base(context, row, runs[row["name"]]) for row in config["bases"])
    bases = sorted(found, key=lambda base: base.parameters)
    comparable = _comparable(bases, runs)
    price = question["price_per_thousand"]
    pairs = [
        _neighbours(small, large, runs, items, comparable, price) for small, large in pairwise(bases)
    ]  # fmt: skip
    return BasesResult(
        name=config["name"],
        assay_version=config["version"],
        language=config["language"],
        question={k: question[k] for k in ("satisfied_at", "smallest_gain", "price_per_thousand")},
        bases=tuple(bases),
        upgrades=tuple(
            curves.upgrades(
                pairs,
                smallest_gain=question["smallest_gain"],
                smallest_relative_gain=question["smallest_relative_gain"],
            )
        ),
        comparable=comparable,
        scored_by=config["bases"][0]["name"],
    )


def _base(context: StepContext, facts: Mapping[str, Any], runs: Sequence[MeasuredRun]) -> BaseResult:
    name = facts["name"]
    found = view.load_result(context.inputs[f"base/{name}"] / "report" / "result.json")
    reports = [report for run in runs for report in run.reports]
    tokens, samples = (sum(report[what] for report in reports) for what in ("tokens", "samples"))
    return BaseResult(**facts, page=f"{name}/{view.HTML}", result=found, tokens_per_sample=tokens / samples)


def _comparable(bases: Sequence[BaseResult], runs: Mapping[str, Sequence[MeasuredRun]]) -> tuple[str, ...]:
    """Return the metrics that all bases share; the loss per token only where all count the same tokens."""
    metrics = [dict.fromkeys(point.metric for point in base.result.points) for base in bases]
    counted = [runs[base.name][0].items["tokens"].to_list() for base in bases]
    same = all(tokens == counted[0] for tokens in counted)
    return tuple(m for m in metrics[0] if all(m in own for own in metrics) and (same or m != "loss"))


def _neighbours(
    small: BaseResult,
    large: BaseResult,
    runs: Mapping[str, Sequence[MeasuredRun]],
    items: Sequence[Sample],
    comparable: Sequence[str],
    price: float | None,
) -> curves.Neighbours:
    cells = [_cells(runs[base.name]) for base in (small, large)]
    points = [[p for p in base.result.points if p.metric in comparable] for base in (small, large)]
    common = [cell for cell in cells[0] if cell in cells[1]]
    return curves.Neighbours(
        small.name,
        large.name,
        points[0],
        points[1],
        item_se={
            (kind, arm, metric, n): se
            for arm, n in common
            for (kind, metric), se in _paired_se(cells[0][arm, n], cells[1][arm, n], items)
        },
        costs={(arm, n): _cost(small, large, cells, arm, n, price) for arm, n in common},
    )


_Cells = Mapping[tuple[str, int], Sequence[MeasuredRun]]


def _cells(runs: Sequence[MeasuredRun]) -> _Cells:
    """Return the trained models by (arm, size), one a seed."""
    found: dict[tuple[str, int], list[MeasuredRun]] = {}
    for run in runs:
        if run.arm != BASE_ARM:
            found.setdefault((run.arm, run.n_train), []).append(run)
    return found


def _paired_se(
    small: Sequence[MeasuredRun], large: Sequence[MeasuredRun], items: Sequence[Sample]
) -> Iterator[tuple[tuple[str, str], float]]:
    """Yield, by type and metric, the standard error of large minus small over the items both answered.

    Of each cluster of items what it moves both means by, averaged over seeds (Miller 2024, section 4).
    """
    own, other = (_mean_influences(runs, items) for runs in (small, large))
    by_metric: dict[str, list[float]] = {}
    for key in own:
        clusters = own[key].keys() & other.get(key, {}).keys()
        if len(clusters) < 2:
            continue
        moved = np.array([other[key][cluster] - own[key][cluster] for cluster in sorted(clusters)])
        se = math.sqrt(len(moved) / (len(moved) - 1) * float((moved**2).sum()))
        by_metric.setdefault(key[1], []).append(se)
        yield key, se
    for metric, errors in by_metric.items():
        yield (OVERALL, metric), math.hypot(*errors) / len(errors)


def _mean_influences(
    runs: Sequence[MeasuredRun], items: Sequence[Sample]
) -> dict[tuple[str, str], dict[str, float]]:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for run in runs:
        for key, clusters in run.influences(items).items():
            own = found.setdefault(key, {})
            for cluster, value in clusters.items():
                own[cluster] = own.get(cluster, 0.0) + value / len(runs)
    return found


def _cost(
    small: BaseResult, large: BaseResult, cells: Sequence[_Cells], arm: str, n: int, price: float | None
) -> UpgradeCost:
    """Return what both ways up cost; where twice the size was not trained, its tokens are twice as many."""
    tokens = _tokens(cells[0][arm, n])
    twice = cells[0].get((arm, 2 * n))
    return UpgradeCost(
        flops=small.flops_per_token * tokens,
        data_flops=small.flops_per_token * (_tokens(twice) if twice else 2 * tokens),
        model_flops=large.flops_per_token * _tokens(cells[1][arm, n]),
        inference_ratio=large.parameters / small.parameters,
        data_money=None if price is None else price * n / 1000,
    )


def _tokens(runs: Sequence[MeasuredRun]) -> float:
    """Return the tokens of one run on its own, all passes: the mean over seeds."""
    return float(np.mean([sum(part["tokens"] for part in run.reports) for run in runs]))
