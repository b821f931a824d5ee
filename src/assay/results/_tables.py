"""Plain tables: the same that ``assay curve`` reads, with the recipe of each row where columns say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay import data
from assay.results._metrics import direction
from assay.results._recipes import facts_of
from assay.results._values import Measure, Run

_NAMES = ("run", "name", "run_name", "run_id", "id")
_TASKS = ("type", "task", "category", "dataset")
_SEEDS = ("seed", "seeds", "replicate", "trial")
_STEPS = ("checkpoint", "step", "steps", "global_step")


@dataclass(frozen=True, slots=True)
class TableReader:
    """``.csv``, ``.tsv`` and ``.parquet`` files that were named: a size and a metric in each row, or wide."""

    name: str = "table"
    version: int = 1
    patterns: tuple[str, ...] = ()

    def __call__(self, path: Path) -> Iterator[Run] | None:
        """Return a run for each value of the table."""
        return _runs(path) if path.suffix in (".csv", ".tsv", ".parquet") else None


def _runs(path: Path) -> Iterator[Run]:
    cells, said = data.read_cells(path)
    notes = tuple(said)
    for cell in cells:
        row = cell.row
        facts = facts_of(row) | {"n_train": cell.n}
        seed = next((row[c] for c in _SEEDS if row.get(c)), None)
        facts |= facts_of({"seed": seed}) if seed else {}
        step = next((row[c] for c in _STEPS if row.get(c)), None) if data.has_size(row) else None
        numbers = {c: data.cell_number(cell, c) for c in ("n_eval", "se")}
        yield Run(
            tool="table",
            place=cell.place,
            names=tuple(row[c] for c in _NAMES if row.get(c)),
            facts=facts,
            measures=(
                Measure(
                    task="/".join(row[c] for c in _TASKS if row.get(c)),
                    metric=cell.metric,
                    value=cell.value,
                    higher=direction(cell.metric),
                    n_eval=None if numbers["n_eval"] is None else round(numbers["n_eval"]),
                    se=numbers["se"],
                ),
            ),
            order=step or "",
            notes=notes,
        )
        notes = ()
