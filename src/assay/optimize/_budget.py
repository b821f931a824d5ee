"""What a search may spend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.optimize._surface import Observation


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits; None is none.

    Hours are those that runs have taken; one that has not run is taken to need as many a sample as those
    that have.  Money is that of samples and of hours.
    """

    runs: int | None = None
    samples: int | None = None
    hours: float | None = None
    money: float | None = None
    price_per_thousand: float | None = None
    price_per_hour: float | None = None

    def allows(self, spent: Sequence[Observation], size: int) -> bool:
        """Say whether one more run of ``size`` samples stays within all limits."""
        every = [*spent, Observation(size, 0.0)]
        samples, hours = sum(o.size for o in every), _hours(every)
        money = samples / 1000 * (self.price_per_thousand or 0) + hours * (self.price_per_hour or 0)
        used = ((self.runs, len(every)), (self.samples, samples), (self.hours, hours), (self.money, money))
        return all(limit is None or amount <= limit for limit, amount in used)


def _hours(runs: Sequence[Observation]) -> float:
    """Return measured hours, and those expected of the rest; nothing before the first is measured."""
    known = [(o.size, o.hours) for o in runs if o.hours is not None]
    if not known:
        return 0.0
    rate = sum(hours for _, hours in known) / sum(size for size, _ in known)
    rest = sum(o.size for o in runs if o.hours is None)
    return sum(hours for _, hours in known) + rate * rest
