"""What an indicator is: one number for each sample, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from assay.core import Sample, Text
from assay.core import Undefined as Undefined

if TYPE_CHECKING:
    from assay.indicators._tools import Tools

Value: TypeAlias = "float | Undefined"
Measure: TypeAlias = Callable[[Sequence[Sample]], "list[Value]"]
Make: TypeAlias = "Callable[[Tools, Iterable[Sample]], tuple[Measure, str]]"


@dataclass(frozen=True, slots=True)
class Indicator:
    """A number for each sample.

    ``version`` changes whenever values do; ``direction`` is +1 where more is held to be better, -1 where less
    is, 0 where neither; ``needs`` names what has to be there beyond the text: models, target samples, or the
    whole ``pool``.  ``measure`` takes samples in batches and returns as many values; where something is
    needed it is None until :func:`assay.indicators.ready` has called ``make`` with the tools and the pool;
    ``revision`` then identifies the models and data that the values depend on ("": not to be cached);
    ``notes`` returns what has to be said beside the values measured so far.
    """

    name: str
    version: int
    unit: str
    direction: int
    needs: tuple[str, ...]
    source: str
    measure: Measure | None = None
    make: Make | None = None
    revision: str = ""
    notes: Callable[[], tuple[Text, ...]] = tuple
