"""What a command on a study may take and has taken: its cap and prices from the study file, its receipt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay import core, data
from assay import plan as planning
from assay.study._config import StudyConfig

COST = "cost.json"


def prices(config: StudyConfig) -> dict[str, float]:
    """Return what an hour of the study's machine costs, by currency; nothing where that is not known."""
    where = config.where
    return {} if where.price_per_hour is None else {where.currency: where.price_per_hour}


@contextmanager
def spending(config: StudyConfig, folder: Path) -> Iterator[planning.Meter]:
    """Count what the block takes against the study's cap, say it, and write it to ``folder/cost.json``.

    What was taken before an error is written as well.  A block within another counts for the outer one.
    """
    cap = None if config.where.cap is None else planning.parse_cap(config.where.cap)
    with core.speaking(config.language), planning.metered(cap, prices(config)) as meter:
        try:
            yield meter
        finally:
            if meter.steps and folder.is_dir():
                data.write_json(folder / COST, core.to_json(meter.spent()))
