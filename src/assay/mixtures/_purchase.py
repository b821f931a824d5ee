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

RELABEL = "relabel"
"""The way that repairs samples in place of adding some."""

_ROUNDS = 200
_LEAST = 0.5
"""No advice to spend below this chance that it pays: an even bet is none."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to get samples of one part: what is at hand, worth of a doubling with its sd, and its price.

    ``price`` is per sample, in the unit of the budget; ``counts``: what one such sample is worth beside one
    at hand; ``most``: how many can be had (None: what doubles the part, beyond which nothing was measured).
    """

    name: str
    held: int
    worth: float
    sd: float
    way: str
    price: float
    counts: float = 1.0
    most: float | None = None

    @property
    def limit(self) -> float:
        """Return how many samples double the part, or can be had."""
        double = self.held / self.counts
        return double if self.most is None else min(self.most, double)


@dataclass(frozen=True, slots=True)
class Bought:
    """Samples of one part by one way: how many, what they cost, what they should gain."""

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

    Getting m of a part that has n gains worth log2(1 + m / n), each sample as much as it ``counts``.  Ways of
    a part add up: the cheapest for what it counts first, the next where that has no more.  ``smallest``: the
    smallest gain that matters; with ``worth`` (what a gain of 0.01 is worth, in the unit of the budget) a
    purchase pays where it gains more than it costs, and of a budget no more is spent than pays.
    """
    numbers = [number for o in offers for number in (o.price, o.counts)]
    if budget <= 0 or min(numbers, default=1.0) <= 0:
        raise AssayError(
            "a budget, prices and what a sample counts are above zero", value=[budget, *numbers],
            expected="numbers above 0, prices per sample in the unit of the budget",
        )  # fmt: skip
    amounts = _best(offers, budget, None if worth is None else 0.01 / worth)
    return valued(offers, amounts, budget, smallest=smallest, worth=worth)


def _best(offers: Sequence[Offer], budget: float, dearest: float | None) -> Array:
    """Return amounts where the last unit of the budget gains alike in all parts, at least ``dearest``."""
    price = np.array([o.price for o in offers], float)
    order = sorted(range(len(offers)), key=lambda i: offers[i].price / offers[i].counts)

    def at(rate: float) -> Array:
        """Return what is worth getting where a unit of the budget gains ``rate`` elsewhere."""
        amounts, reached = np.zeros(len(offers)), dict.fromkeys((o.name for o in offers), 0.0)
        for i in order:
            o = offers[i]
            wanted = max(o.worth, 0.0) / np.log(2) / (rate * o.price / o.counts) - o.held
            room = min(wanted, float(o.held)) - reached[o.name]
            amounts[i] = min(max(room, 0.0) / o.counts, o.limit)
            reached[o.name] += amounts[i] * o.counts
        return amounts

    high = max(max(o.worth, 0.0) * o.counts / (np.log(2) * o.price * max(o.held, 1)) for o in offers) + 1e-15
    low = 1e-15
    for _ in range(_ROUNDS):
        rate = float(np.sqrt(low * high))
        low, high = (rate, high) if at(rate) @ price > budget else (low, rate)
    amounts: Array = np.floor(at(high if dearest is None else max(high, dearest)) + 1e-9)
    return amounts


def valued(
    offers: Sequence[Offer], amounts: Array, budget: float, *, smallest: float, worth: float | None = None
) -> Purchase:
    """Return what given amounts of each offer cost and should gain."""
    parts = {o.name: o for o in offers}
    got = {n: sum(m * o.counts for o, m in zip(offers, amounts, strict=True) if o.name == n) for n in parts}
    doublings = {name: float(np.log2(1 + got[name] / max(o.held, 1))) for name, o in parts.items()}
    each = {name: o.worth * doublings[name] / max(got[name], 1e-12) for name, o in parts.items()}
    cost = float(amounts @ np.array([o.price for o in offers]))
    gain = sum(o.worth * doublings[name] for name, o in parts.items())
    sd = sum((o.sd * doublings[name]) ** 2 for name, o in parts.items()) ** 0.5
    needed = smallest if worth is None else 0.01 * cost / worth
    pays = float(ndtr((gain - needed) / sd)) if sd > 0 else float(gain > needed)
    rows = (
        Bought(o.name, o.way, int(m), float(m * o.price), each[o.name] * m * o.counts)
        for o, m in zip(offers, amounts.tolist(), strict=True)
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
    it has now, each by its cheapest way that adds samples.  What one part cannot take is not given to others.
    """
    offers = cheapest([o for o in offers if o.way != RELABEL] or offers)
    price = np.array([o.price for o in offers])
    held = np.array([o.held for o in offers], float)
    if way == "weakest":
        known = [i for i, o in enumerate(offers) if o.name in level]
        share = np.zeros(len(offers))
        share[min(known, key=lambda i: level[offers[i].name])] = 1.0
    else:
        share = np.ones(len(offers)) if way == "equal" else held
    amounts = np.minimum(budget * share / float(share @ price), [o.limit for o in offers])
    return valued(offers, np.floor(amounts), budget, smallest=smallest, worth=worth)


def cheapest(offers: Sequence[Offer]) -> tuple[Offer, ...]:
    """Return for each part the offer that is cheapest for what its samples count."""
    order = sorted(offers, key=lambda o: o.price / o.counts)
    best = {o.name: o for o in reversed(order)}
    return tuple(best[name] for name in dict.fromkeys(o.name for o in offers))


def offers_of(
    names: Sequence[str], held: Mapping[str, int], value: Array, sd: Array, prices: Mapping[str, float],
    counts: Mapping[str, float] = {}, most: Mapping[str, float] = {}, faulty: Mapping[str, float] = {},
) -> tuple[Offer, ...]:  # fmt: skip
    """Return an offer for each part and each way that has a price.

    ``prices``, ``counts`` and ``most`` by ``PART:WAY``, or ``WAY`` for all parts.  Relabelling repairs
    samples at hand, and no more than there are: where the share f of a part is wrong and teaches nothing
    (``faulty``), looking at one counts f / (1 - f) of a sample.
    """
    asked = [(part, way, key) for key in prices for part, way in [_split(key, names)]]
    found = []
    for name, own, error in zip(names, value.tolist(), sd.tolist(), strict=True):
        ways = dict.fromkeys(way for part, way, _ in asked if part in (None, name))
        for way in ways:
            price = _of(prices, name, way, names)
            assert price is not None  # noqa: S101 - the way was named
            worth, limit = _of(counts, name, way, names) or 1.0, _of(most, name, way, names)
            if way == RELABEL:
                worth, limit = _repaired(faulty, name), float(held[name])
            found.append(Offer(name, held[name], own, error, way, price, worth, limit))
    if not found:
        raise AssayError(
            "no part has a price", place="prices", value=list(prices),
            expected="PART:WAY=PRICE or WAY=PRICE: math:annotate=0.8, generate=0.01",
            hint="parts: " + ", ".join(names),
        )  # fmt: skip
    return tuple(found)


def _of(given: Mapping[str, float], name: str, way: str, names: Sequence[str]) -> float | None:
    """Return what is given for a part and a way, or for the way; None where nothing is."""
    for key in given:
        _split(key, names)
    return given.get(f"{name}:{way}", given.get(way))


def _repaired(faulty: Mapping[str, float], name: str) -> float:
    """Return what relabelling one sample of a part counts."""
    share = faulty.get(name, faulty.get("all"))
    if share is None or not 0 < share < 1:
        raise AssayError(
            "what relabelling repairs is not known", place="faulty", value=share,
            expected=f"the share of {name}'s samples that are wrong, above 0 and below 1: {name}=0.2",
            hint="`assay annotate` on some of them shows how many answers people change; or all=0.2",
        )  # fmt: skip
    return share / (1 - share)


def _split(key: str, names: Sequence[str]) -> tuple[str | None, str]:
    part, colon, way = key.rpartition(":")
    if colon and part not in names:
        raise AssayError("no such part", place="prices", value=part, expected=", ".join(names))
    return (part, way) if colon else (None, way)
