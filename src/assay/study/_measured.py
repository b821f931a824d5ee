"""The loss of trained models, through the same steps, store and cache as a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from assay import plan as planning
from assay.core import read_json
from assay.plan import Step, Store, open_store
from assay.study._claim import owner
from assay.study._config import ArmConfig, StudyConfig
from assay.study._graph import Ladder, RunSteps, input_steps
from assay.study._run import read_summary


@dataclass(frozen=True, slots=True)
class Measured:
    """Nats per answer token over the whole evaluation set, and the hours that the training took."""

    loss: float
    hours: float


Losses = dict[tuple[str, int, int], Measured]


def prepared(config: StudyConfig, arms: Mapping[str, ArmConfig] = {}) -> tuple[Ladder, Store]:
    """Read evaluation set and pool, and return the ladder that builds all further steps of these arms."""
    store = open_store(config.where.store)
    evaluation, pool = input_steps(config)
    with planning.parse_pool(config.where.pool) as workers:
        planning.run([evaluation, pool], store, workers)
    return Ladder(config, evaluation, pool, read_summary(store, pool), arms), store


def finished(ladder: Ladder, steps: list[Step], store: Store, name: str) -> None:
    """Run steps that are not in the store yet and register them under ``name``, so that they are kept.

    Studies of one name are kept apart by what they are.
    """
    store.register(name, steps, owner(ladder.config, ladder.pool))
    with planning.parse_pool(ladder.config.where.pool) as workers:
        planning.run(steps, store, workers)


def losses(config: StudyConfig, arms: Mapping[str, ArmConfig], seeds: int, name: str) -> Losses:
    """Return the loss of every model by (arm, size, seed).

    The arms have rungs of their own; each is trained with ``seeds`` seeds, what is in the store is not
    trained again.
    """
    measure = replace(config.measure, loss=True, answers=False)
    config = replace(config, ladder=replace(config.ladder, seeds=seeds), measure=measure)
    ladder, store = prepared(config, arms)
    runs = [run for run in ladder.runs() if run.branch is not None]
    finished(ladder, [run.answer for run in runs], store, name)
    return {(run.arm, run.n_train, run.seed): _measured(store, run) for run in runs}


def _measured(store: Store, run: RunSteps) -> Measured:
    import polars

    items = polars.read_parquet(store.path(run.answer.key) / "items.parquet").drop_nulls("nats")
    parts = [step for step in (*run.trunk, run.branch) if step is not None]
    reports = [read_json(store.path(step.key) / "train.json") for step in parts]
    loss = float(items["nats"].sum()) / float(items["tokens"].sum())
    return Measured(loss, sum(report["seconds"] for report in reports) / 3600)
