"""What data to get next for a budget: what each part is worth, what it costs, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from assay.core import AssayError
from assay.mixtures._shrink import Z

Array = NDArray[np.float64]

Advice: TypeAlias = Literal["get", "stop"]
Plain: TypeAlias = Literal["equal", "proportional", "weakest"]
"""What people do without a measurement."""

_ROUNDS = 200
_LEAST = 0.5
"""No advice to spend below this chance that it pays: an even bet is none."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What is known of one part: samples at hand, worth of a doubling with its sd, and its cheapest way.

    ``price`` is per sample, in the unit of the budget.
    """

    name: str
    held: int
    worth: float
    sd: float
    way: str
    price: float


@dataclass(frozen=True, slots=True)
class Bought:
    """Samples of one part: how many, by which way, what they cost and what they alone should gain."""

    name: str
    way: str
    samples: int
    cost: float
    gain: float


@dataclass(frozen=True, slots=True)
class Purchase:
    """What to get for a budget, and what that should gain (mean and 90 % interval).

    ``pays``: probability that the gain is above ``needed``; ``advice`` is ``stop`` where that is below 0.5,
    whatever is got.  ``cost`` is at most the budget: nothing beyond one doubling of a part is advised.
    """

    rows: tuple[Bought, ...]
    cost: float
    budget: float
    gain: float
    low: float
    high: float
    needed: float
    pays: float
    advice: Advice

    @property
    def per_cost(self) -> float:
        """Return the gain per unit of the budget; 0 where nothing is got."""
        return self.gain / self.cost if self.cost else 0.0


def purchase(
    offers: Sequence[Offer], budget: float, *, smallest: float, worth: float | None = None
) -> Purchase:
    """Return the samples that gain most for a budget, none of a part more than it has now.

    Getting m of a part that has n gains worth log2(1 + m / n).  ``smallest``: the smallest gain that matters;
    with ``worth`` (what a gain of 0.01 is worth, in the unit of the budget) a purchase pays where it gains
    more than it costs, and of a budget no more is spent than pays.
    """
    if budget <= 0 or any(offer.price <= 0 for offer in offers):
        raise AssayError(
            "a budget and prices are above zero", value=[budget, *(o.price for o in offers)],
            expected="numbers above 0, prices per sample in the unit of the budget",
        )  # fmt: skip
    amounts = _best(offers, budget, None if worth is None else 0.01 / worth)
    return valued(offers, amounts, budget, smallest=smallest, worth=worth)


def _best(offers: Sequence[Offer], budget: float, dearest: float | None) -> Array:
    """Return amounts where the last unit of the budget gains alike in all parts, at least ``dearest``."""
    held, price = (np.array([getattr(o, n) for o in offers], float) for n in ("held", "price"))
    slope = np.maximum([o.worth for o in offers], 0.0) / np.log(2)

    def at(rate: float) -> Array:
        found: Array = np.clip(slope / (rate * price) - held, 0.0, held)
        return found

    low, high = 1e-15, float((slope / (price * np.maximum(held, 1))).max()) + 1e-15
    for _ in range(_ROUNDS):
        rate = float(np.sqrt(low * high))
        low, high = (rate, high) if at(rate) @ price > budget else (low, rate)
    amounts: Array = np.floor(at(high if dearest is None else max(high, dearest)))
    return amounts


def valued(
    offers: Sequence[Offer], amounts: Array, budget: float, *, smallest: float, worth: float | None = None
) -> Purchase:
    """Return what given amounts of each part cost and should gain."""
    doublings = np.log2(1 + amounts / np.maximum([o.held for o in offers], 1))
    gains = np.array([o.worth for o in offers]) * doublings
    cost = float(amounts @ np.array([o.price for o in offers]))
    gain, sd = float(gains.sum()), float(np.sqrt(((np.array([o.sd for o in offers]) * doublings) ** 2).sum()))
    needed = smallest if worth is None else 0.01 * cost / worth
    pays = float(ndtr((gain - needed) / sd)) if sd > 0 else float(gain > needed)
    rows = (
        Bought(o.name, o.way, int(m), float(m * o.price), float(g))
        for o, m, g in zip(offers, amounts, gains, strict=True)
        if m >= 1
    )
    own = tuple(sorted(rows, key=lambda row: -row.gain))
    advice: Advice = "get" if own and pays >= _LEAST else "stop"
    return Purchase(own, cost, budget, gain, gain - Z * sd, gain + Z * sd, needed, pays, advice)


def plain(
    offers: Sequence[Offer], budget: float, way: Plain,
    level: Mapping[str, float], *, smallest: float, worth: float | None = None,
) -> Purchase:  # fmt: skip
    """Return what a plain way gets for the same budget: equal, proportional, or all of the weakest part.

    ``level``: what each part's own type scores now (higher is better); of the weakest no more is got than
    it has now.  What one part cannot take is not given to others.
    """
    price = np.array([o.price for o in offers])
    held = np.array([o.held for o in offers], float)
    if way == "weakest":
        known = [i for i, o in enumerate(offers) if o.name in level]
        share = np.zeros(len(offers))
        share[min(known, key=lambda i: level[offers[i].name])] = 1.0
    else:
        share = np.ones(len(offers)) if way == "equal" else held
    amounts = np.minimum(budget * share / float(share @ price), held)
    return valued(offers, np.floor(amounts), budget, smallest=smallest, worth=worth)


def offers_of(
    names: Sequence[str], held: Mapping[str, int], value: Array, sd: Array, prices: Mapping[str, float]
) -> tuple[Offer, ...]:
    """Return an offer for each part that has a price: the cheapest of its ways.

    ``prices`` by ``PART:WAY``, or ``WAY`` for all parts.
    """
    found = []
    for name, own, error in zip(names, value.tolist(), sd.tolist(), strict=True):
        ways = {way: price for key, price in prices.items() for part, way in [_split(key, names)]
                if part in (None, name)}  # fmt: skip
        if ways:
            way = min(ways, key=lambda w: ways[w])
            found.append(Offer(name, held[name], own, error, way, ways[way]))
    if not found:
        raise AssayError(
            "no part has a price", place="prices", value=list(prices),
            expected="PART:WAY=PRICE or WAY=PRICE: math:annotate=0.8, generate=0.01",
            hint="parts: " + ", ".join(names),
        )  # fmt: skip
    return tuple(found)


def _split(key: str, names: Sequence[str]) -> tuple[str | None, str]:
    part, colon, way = key.rpartition(":")
    if colon and part not in names:
        raise AssayError("no such part", place="prices", value=part, expected=", ".join(names))
    return (part, way) if colon else (None, way)
