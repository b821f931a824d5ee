"""Subsets of a pool trained alike, and the trial of a selection against random samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay import indicators, model
from assay.core import ArmComparison, Say, say
from assay.plan import Store
from assay.study._config import SEED_RUNS, ArmConfig, LadderConfig, StudyConfig
from assay.study._graph import Ladder
from assay.study._measured import Losses, finished, losses
from assay.study._run import run_one

Array = NDArray[np.float64]

ROW = "row{:03}"


def pool_values(ladder: Ladder, store: Store, names: Sequence[str]) -> Array:
    """Return the indicators [samples, k] of the pool, through the steps that arms use."""
    import polars

    steps = [ladder.scores(name) for name in names]
    finished(ladder, list(steps), store, f"{ladder.config.name}-indicators")
    columns = []
    for name, step in zip(names, steps, strict=True):
        frame = polars.read_parquet(store.path(step.key) / "scores.parquet")
        columns.append(frame[indicators.find(name).name].to_numpy().astype(float))
    found: Array = np.column_stack(columns)
    return found


def pool_lengths(ladder: Ladder, store: Store) -> Array:
    """Return the tokens [samples] of each sample of the pool."""
    step = ladder.tokens()
    finished(ladder, [step], store, f"{ladder.config.name}-tokens")
    return model.TokenTable(store.path(step.key)).lengths.astype(float)


def write_subsets(folder: Path, subsets: Sequence[NDArray[np.int64]], ids: Sequence[str]) -> None:
    """Write the ids of each subset, and nothing of an earlier design."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("row*.ids"):
        old.unlink()
    named = np.array(ids, object)
    for number, rows in enumerate(subsets):
        (folder / f"{ROW.format(number)}.ids").write_text("\n".join(named[rows]) + "\n", encoding="utf-8")


def subset_losses(
    config: StudyConfig, folder: Path, n: int, name: str
) -> tuple[dict[str, list[float]], Losses]:
    """Train on the subsets of ``n`` samples in a folder; return log losses by subset, and all runs.

    The first subset is trained with three seeds, the others with one.
    """
    rows = sorted(folder.glob("row*.ids"))
    arms = {path.stem: ArmConfig("file", file=str(path.resolve()), rungs=(n,)) for path in rows}
    # The subsets were designed over the whole pool.
    whole = replace(config, control=False)
    found = losses(whole, arms, 1, name)
    first = {rows[0].stem: arms[rows[0].stem]}
    found |= losses(whole, first, SEED_RUNS, f"{name}-seeds")
    by_row: dict[str, list[float]] = {}
    for arm, size, seed in sorted(found):
        by_row.setdefault(arm, []).append(math.log(found[arm, size, seed].loss))
    return by_row, found


def noise_of(by_row: Mapping[str, Sequence[float]]) -> float | None:
    """Return the standard deviation of log loss between seeds of the first subset; None without seeds."""
    repeated = by_row[ROW.format(0)]
    return float(np.std(repeated, ddof=1)) if len(repeated) > 1 else None


def trial(
    config: StudyConfig, by: str, sizes: Sequence[int], folder: Path, name: str
) -> tuple[ArmComparison, ...]:
    """Train the best and the worst by an indicator or rule against random samples; the report is in a folder.

    ``top`` and ``bottom`` of the whole pool, ``top-matched`` the best of each length, at the tokens of a
    random choice; three seeds or more, on the study's own evaluation set.
    """
    arms = {
        "top": ArmConfig("top", by=by),
        "top-matched": ArmConfig("quota", by=by, groups="length"),
        "bottom": ArmConfig("bottom", by=by),
    }
    study = replace(
        config,
        name=name,
        arms=arms,
        ladder=LadderConfig(tuple(sizes), max(3, config.ladder.seeds)),
        measure=replace(config.measure, loss=True, answers=False),
        baselines=False,
        where=replace(config.where, out=str(folder)),
    )
    compared = run_one(study).comparisons
    kinds = {c.type for c in compared}
    own = "overall" if "overall" in kinds else next(iter(kinds), "")
    return tuple(c for c in compared if c.metric == "loss" and c.type == own)


def trial_verdict(rows: Sequence[ArmComparison]) -> Say:
    """Return what a trial says of the best of each length against random at equal size and tokens."""
    matched = [c for c in rows if c.a == "top-matched"]
    better = [c for c in matched if c.word == "better"]
    if any(c.word == "worse" for c in matched):
        return say("rule.verdict.worse")
    if better:
        parts = [f"{c.difference:+.3f} [{c.low:+.3f}, {c.high:+.3f}] ({c.n_train:,})" for c in better]
        return say("rule.verdict.beats", parts=parts)
    if matched and all(c.word == "as good" for c in matched):
        return say("rule.verdict.equal")
    return say("rule.verdict.undecided")
