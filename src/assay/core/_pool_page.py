"""What a page about a pool shows: distributions with examples of both ends, changes, removals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

SelectionRule: TypeAlias = Literal[
    "top", "bottom", "random", "balanced", "quota", "clusters", "deita", "k_center", "facility", "qdit",
    "target", "tags",
]  # fmt: skip
"""Ways to select, as :func:`assay.selection.pick` explains them."""


@dataclass(frozen=True, slots=True)
class PoolExample:
    """A sample as it is shown; long texts are cut and say so (``cut`` characters are left out)."""

    id: str
    origin: str
    prompt: str
    answer: str
    value: float | None = None
    cut: int = 0


@dataclass(frozen=True, slots=True)
class PoolColumn:
    """One indicator over a pool.

    ``edges`` [bins + 1] and ``counts`` [bins] are a histogram between the 0.5 % and 99.5 % quantiles (values
    beyond stand in the outer bins); ``selected`` [bins] the same of a selection, or empty.
    """

    name: str
    unit: str
    direction: int
    source: str
    defined: int
    undefined: int
    why: str
    quantiles: tuple[float, ...]
    """At 5, 50 and 95 %; empty where no sample has a value."""
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    selected: tuple[int, ...] = ()
    lowest: tuple[PoolExample, ...] = ()
    highest: tuple[PoolExample, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolChange:
    """How a selection differs from its pool: a length quantile (characters), or the share of a group."""

    kind: str
    name: str
    pool: float
    selected: float


@dataclass(frozen=True, slots=True)
class PoolLoss:
    """A group that lost more samples than the share allowed."""

    kind: str
    name: str
    lost: int
    samples: int
    rule: str


@dataclass(frozen=True, slots=True)
class PoolRemoval:
    """A removed sample with its receipt, as it is shown."""

    rule: str
    example: PoolExample
    partner: PoolExample | None
    partner_name: str
    score: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class PoolPage:
    """One page: of a scoring, a cleaning or a selection."""

    kind: str
    title: str
    samples: int
    kept: int | None = None
    columns: tuple[PoolColumn, ...] = ()
    changes: tuple[PoolChange, ...] = ()
    removed: Mapping[str, int] = field(default_factory=dict)
    losses: tuple[PoolLoss, ...] = ()
    removals: tuple[PoolRemoval, ...] = ()
    notes: tuple[str, ...] = ()
