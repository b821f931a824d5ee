"""One process of a training on several: what ``accelerate launch -m assay.model.launch._worker JOB`` starts.

It finds its place in ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT``, as torch
does.  The first process writes ``progress.json`` and ``report.json`` beside the job; one that fails writes
its error there.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assay.core import AssayError, end_with_parent
from assay.data import replacing_text
from assay.model.launch._accelerate import LAUNCHER
from assay.model.tokens import TokenTable
from assay.model.train import Segment, read_recipe

_PROGRESS_SECONDS = 0.3


def work(path: Path) -> None:
    """Do this process's share of a job; leave its error beside the job if there is one."""
    from assay.model.train import out_of_memory

    rank = int(os.environ["RANK"])
    try:
        _train(path, json.loads(path.read_text(encoding="utf-8")))
    except BaseException as error:
        facts = {"rank": rank, "time": time.time(), "memory": out_of_memory(error)}
        _write(path.parent / f"error-{rank}.json", {**facts, **_parts(error)})
        raise


def _train(path: Path, job: Mapping[str, Any]) -> None:
    import numpy as np

    from assay.model.launch._distributed import open_engine
    from assay.model.train import train_segment

    fields = dict(job["segment"])
    segment = Segment(read_recipe(fields.pop("recipe")), **fields)
    with open_engine(path.parent, job, segment) as engine:
        report = train_segment(
            engine,
            segment,
            state=None if job["state"] is None else Path(job["state"]),
            table=TokenTable(Path(job["tokens"])),
            order=np.load(path.parent / "order.npy"),
            out=Path(job["out"]),
            advance=_Progress(path.with_name("progress.json")) if engine.rank == 0 else _ignore,
        )
        if engine.rank == 0:
            _write(path.with_name("report.json"), asdict(report))


def _parts(error: BaseException) -> dict[str, Any]:
    if isinstance(error, AssayError):
        names = ("problem", "place", "expected", "hint")
        value = error.value if isinstance(error.value, str | int | float | None) else repr(error.value)
        return {**{name: getattr(error, name) for name in names}, "value": value}
    last = traceback.extract_tb(error.__traceback__)[-1]
    return {
        "problem": f"{type(error).__name__}: {error}",
        "place": f"{last.filename}:{last.lineno}",
        "value": None,
        "expected": None,
        "hint": "the whole traceback is in log.txt beside the job",
    }


def _write(path: Path, data: Any) -> None:
    with replacing_text(path) as file:
        json.dump(data, file)


class _Progress:
    """Writes (done, total, unit) to a small file, at most a few times a second."""

    def __init__(self, path: Path) -> None:
        self.path, self.written = path, 0.0

    def __call__(self, done: float, total: float, unit: str) -> None:
        if time.monotonic() - self.written > _PROGRESS_SECONDS or done == total:
            self.written = time.monotonic()
            _write(self.path, [done, total, unit])


def _ignore(done: float, total: float, unit: str) -> None:
    pass


if __name__ == "__main__":
    end_with_parent(int(os.environ[LAUNCHER]) if LAUNCHER in os.environ else None)
    work(Path(sys.argv[1]))
