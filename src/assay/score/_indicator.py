"""What an indicator is: one number for each sample, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from assay.core import Sample

Value: TypeAlias = "float | Undefined"


@dataclass(frozen=True, slots=True)
class Undefined:
    """An indicator has no value for a sample; never -1, never 0."""

    reason: str


@dataclass(frozen=True, slots=True)
class Indicator:
    """A number for each sample.

    ``version`` changes whenever values do; ``direction`` is +1 where more is held to be better, -1 where less
    is, 0 where neither; ``needs`` names what has to be there beyond the text; ``measure`` takes samples in
    batches and returns as many values.
    """

    name: str
    version: int
    unit: str
    direction: int
    needs: tuple[str, ...]
    source: str
    measure: Callable[[Sequence[Sample]], list[Value]]
