"""What a search may spend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.search._surface import Observation


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits; None is none.  ``hours`` and ``money`` need what 1,000 samples take and cost."""

    runs: int | None = None
    samples: int | None = None
    hours: float | None = None
    money: float | None = None
    hours_per_thousand: float | None = None
    price_per_thousand: float | None = None

    def allows(self, spent: Sequence[Observation], size: int) -> bool:
        """Say whether one more run of ``size`` samples stays within all limits."""
        samples = sum(o.size for o in spent) + size
        rates = (self.hours_per_thousand, self.price_per_thousand)
        for limit, rate in zip((self.hours, self.money), rates, strict=True):
            if limit is not None and rate is not None and samples / 1000 * rate > limit:
                return False
        if self.runs is not None and len(spent) >= self.runs:
            return False
        return self.samples is None or samples <= self.samples
