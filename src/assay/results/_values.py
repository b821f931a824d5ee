"""What other tools say of a model that they trained or measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from assay.core import Say

Fact: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Measure:
    """One measured mean of one model.

    ``task`` is the tool's name of what was measured ("" where it has none), ``metric`` its name of the
    number.  ``higher`` says whether more is better (None: by the metric's name).  ``items`` are the values by
    item, by keys that are the same for every model, where the tool keeps them; ``se`` and ``n_eval`` what it
    says itself.  ``first`` marks the metrics of a task that are imported unasked; ``setup`` says how was
    measured (shots, limits), which should be the same for all models.
    """

    task: str
    metric: str
    value: float
    higher: bool | None = None
    n_eval: int | None = None
    se: float | None = None
    items: Mapping[str, float] | None = None
    first: bool = True
    setup: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What one place says of one model: how it is called, how it was trained, what was measured.

    ``names`` are paths or names of the model or of its run, the most telling first; patterns and tables are
    held against them.  ``facts`` are ``n_train``, ``seed``, ``arm``, ``base`` and settings of the recipe by
    the names of :data:`assay.results.RECIPE`, as far as they are known.  ``checkpoint`` is the step of a
    checkpoint inside a longer run.  ``order`` tells later measurements of one place from earlier ones.
    ``unusable`` says why a run's numbers are none (it failed, it has not ended).
    """

    tool: str
    place: str
    names: tuple[str, ...]
    facts: Mapping[str, Fact] = field(default_factory=dict)
    measures: tuple[Measure, ...] = ()
    checkpoint: int | None = None
    order: str = ""
    unusable: Say | None = None
    notes: tuple[Say, ...] = ()
