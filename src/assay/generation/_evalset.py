"""Evaluation items: which to take, and how many a wanted effect asks for."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from assay.core import Sample
from assay.data import to_row
from assay.judging import items_wanted, visible_effect
from assay.selection import pick, prompt_of

Rows: TypeAlias = NDArray[np.int64]
Stratum: TypeAlias = tuple[str, str, str]
"""Type, source, language."""
Spread: TypeAlias = Literal["equal", "proportional"]

UNTYPED = "untyped"

POWER = 0.8

# Paired sd of judge scores in [0, 1] of two models on one item.  Nearly right-or-wrong scores: 0.45; graded
# ones: 0.18, as six fine-tuned models judged on the same prompts show (own analysis of WildBench).
PAIRED_SDS: Mapping[str, float] = {"math": 0.45, "code": 0.45, "cot": 0.45}
PAIRED_SD = 0.18


def prompt_key(sample: Sample) -> str:
    """Return a digest (32 hex digits) of a prompt, alike for texts that differ in case, width or space."""
    text = " ".join(unicodedata.normalize("NFKC", prompt_of(sample)).casefold().split())
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def stratum_of(sample: Sample) -> Stratum:
    """Return type, source and language of a sample."""
    return sample.type or UNTYPED, sample.source, sample.language or "unknown"


def item_row(sample: Sample, **more: Any) -> dict[str, Any]:
    """Return an item as a row that ``assay.data.read`` takes back, answered or not, typed or not."""
    row = to_row(replace(sample, origin=""), "messages")
    # An empty type says that a row without an answer is an item all the same.
    return row | {"type": sample.type or ""} | more


@dataclass(slots=True)
class Candidates:
    """What a choice needs to know of each sample, in row order: digests and names, no texts."""

    keys: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    strata: list[Stratum] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    answered: list[bool] = field(default_factory=list)

    def watch(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Yield the samples, noting each."""
        known: dict[Stratum, Stratum] = {}
        for sample in samples:
            stratum = stratum_of(sample)
            self.keys.append(prompt_key(sample))
            self.ids.append(sample.id)
            self.strata.append(known.setdefault(stratum, stratum))
            self.groups.append(sample.group or "")
            self.answered.append(bool(sample.answer))
            yield sample

    def distinct(self, without: Collection[str] = ()) -> list[int]:
        """Return one row for each prompt, whatever the order of rows, leaving out some prompts."""
        best: dict[str, int] = {}
        for row, key in enumerate(self.keys):
            if key not in without and (key not in best or self.ids[row] < self.ids[best[key]]):
                best[key] = row
        return sorted(best.values())


def allocate(
    sizes: Mapping[Stratum, int], n: int, *, spread: Spread = "equal", most: float = 0.5
) -> dict[Stratum, int]:
    """Share ``n`` items out among strata; fewer where ``most`` (share of a type) does not allow so many.

    ``equal`` gives each type as many as the others, or all it may give; ``proportional`` by its size.
    Within a type sources and languages have their share of its samples, by largest remainders.
    """
    types: Counter[str] = Counter()
    for stratum, size in sizes.items():
        types[stratum[0]] += size
    limits = {name: math.floor(most * size + 1e-9) for name, size in sorted(types.items())}
    weights = {name: 1.0 if spread == "equal" else float(types[name]) for name in limits}
    found: dict[Stratum, int] = {}
    for name, count in _filled(limits, weights, n).items():
        own = {s: size for s, size in sorted(sizes.items()) if s[0] == name}
        found |= _remainders(own, count)
    return found


def _filled(limits: Mapping[str, int], weights: Mapping[str, float], n: int) -> dict[str, int]:
    """Share ``n`` out by weight under limits; what a full one cannot take goes to the others."""
    found: dict[str, int] = {}
    left, open_ = min(n, sum(limits.values())), dict(weights)
    while open_:
        whole = sum(open_.values())
        full = [name for name, w in open_.items() if limits[name] <= left * w / whole]
        if not full:
            return found | _remainders(open_, left)
        for name in full:
            found[name] = limits[name]
            left -= limits[name]
            del open_[name]
    return found


def _remainders(weights: Mapping[Any, float], n: int) -> dict[Any, int]:
    """Share ``n`` out in proportion to weights: whole parts first, then the largest remainders."""
    whole = sum(weights.values())
    exact = {name: n * weight / whole for name, weight in weights.items()}
    found = {name: math.floor(value + 1e-9) for name, value in exact.items()}
    order = sorted(weights, key=lambda name: (found[name] - exact[name], str(name)))
    for name in order[: n - sum(found.values())]:
        found[name] += 1
    return found


def choose(
    candidates: Candidates,
    n: int,
    *,
    spread: Spread = "equal",
    most: float = 0.5,
    seed: int = 0,
    earlier: Mapping[str, Stratum] | None = None,
) -> Rows:
    """Return the rows of ``n`` evaluation items in row order, one for each prompt.

    In each stratum the prompts with the lowest digests of (seed, prompt) are taken, so a choice depends on
    what samples say and not on where they stand; rows that are added later push out only those that
    they outdraw.  ``earlier`` items (prompt to stratum) are never chosen again and count towards ``n``.
    """
    kept = earlier or {}
    rows = candidates.distinct(kept)
    sizes = Counter(candidates.strata[row] for row in rows) + Counter(kept.values())
    wanted = Counter(allocate(sizes, n, spread=spread, most=most)) - Counter(kept.values())
    return _first(candidates, rows, wanted, n - len(kept), seed)


def _first(
    candidates: Candidates, rows: Sequence[int], wanted: Mapping[Stratum, int], n: int, seed: int
) -> Rows:
    """Return the first rows of each stratum by draw, ``n`` at most; groups of alike wording in turn."""
    taken: list[int] = []
    waiting: dict[Stratum, list[int]] = {}
    for row in rows:
        waiting.setdefault(candidates.strata[row], []).append(row)
    for stratum, own in waiting.items():
        keys = [candidates.keys[row] for row in own]
        groups = [candidates.groups[row] or candidates.keys[row] for row in own]
        order = pick(keys, "balanced", groups=groups, seed=seed)
        taken += [own[place] for place in order[: wanted.get(stratum, 0)].tolist()]
    chance = pick([candidates.keys[row] for row in taken], "random", seed=seed)
    return np.array(sorted(taken[place] for place in chance[: max(n, 0)].tolist()), np.int64)


@dataclass(frozen=True, slots=True)
class Noise:
    """What hides an effect: paired sd by type (others have ``default``), judge sd, judgements an answer.

    The paired sd is that of one item's difference of scores between two models; ``judge_sd`` that of one
    judgement of one answer, where the paired sd does not hold it already.
    """

    by_type: Mapping[str, float] = field(default_factory=lambda: dict(PAIRED_SDS))
    default: float = PAIRED_SD
    judge_sd: float = 0.0
    repeats: int = 1

    def sd(self, type: str) -> float:
        """Return the paired sd of a type."""
        return self.by_type.get(type, self.default)

    def wanted(self, effect: float, type: str, *, comparisons: int = 1, power: float = POWER) -> int:
        """Return how many items show ``effect`` (:func:`assay.judging.items_wanted`)."""
        return items_wanted(
            effect, self.sd(type), judge_sd=self.judge_sd, repeats=self.repeats, comparisons=comparisons,
            power=power,
        )  # fmt: skip

    def shown(self, items: int, type: str, *, comparisons: int = 1, power: float = POWER) -> float | None:
        """Return the smallest difference that ``items`` show; None without items."""
        if not items:
            return None
        return visible_effect(
            items, self.sd(type), judge_sd=self.judge_sd, repeats=self.repeats, comparisons=comparisons,
            power=power,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TypeSize:
    """How many items of a type a wanted effect asks for, how many were taken, and what these can show.

    ``wanted_holm``: with all types sharing the level of 0.05, worst case.  ``clusters``: groups of alike
    wording among those taken; where they are fewer than the items, these show less than ``detectable`` says.
    """

    type: str
    pool: int
    paired_sd: float
    wanted: int
    wanted_holm: int
    taken: int
    clusters: int
    detectable: float | None
    detectable_holm: float | None


def sample_by_power(
    candidates: Candidates,
    effect: float,
    noise: Noise,
    *,
    holm: bool = False,
    most: int | None = None,
    power: float = POWER,
    seed: int = 0,
) -> tuple[Rows, tuple[TypeSize, ...]]:
    """Take of each type as many items as ``effect`` asks for, or all there are; untyped items are left out.

    ``holm``: as many as the worst case of Holm's procedure over all types asks for; ``most``: no more of one
    type.
    """
    by_type: dict[str, list[int]] = {}
    for row in candidates.distinct():
        by_type.setdefault(candidates.strata[row][0], []).append(row)
    by_type.pop(UNTYPED, None)
    rows: list[int] = []
    sizes = []
    for name, own in sorted(by_type.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        types = len(by_type)
        single = noise.wanted(effect, name, power=power)
        worst = noise.wanted(effect, name, comparisons=types, power=power)
        n = min(worst if holm else single, len(own), len(own) if most is None else most)
        shares = allocate(Counter(candidates.strata[row] for row in own), n, most=1.0)
        taken = _first(candidates, own, shares, n, seed).tolist()
        size = TypeSize(
            type=name,
            pool=len(own),
            paired_sd=noise.sd(name),
            wanted=single,
            wanted_holm=worst,
            taken=n,
            clusters=len({candidates.groups[row] or candidates.keys[row] for row in taken}),
            detectable=noise.shown(n, name, power=power),
            detectable_holm=noise.shown(n, name, comparisons=types, power=power),
        )
        sizes.append(size)
        rows += taken
    return np.array(sorted(rows), np.int64), tuple(sizes)
