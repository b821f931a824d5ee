"""Selection: an order of the pool whose every prefix is a selection, so that rungs are nested."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError
from assay.selection._diverse import by_tags, by_target, clusters, facility_location, k_center, score_first
from assay.selection._plugins import PLUGINS, choice_of, chosen, needs
from assay.selection._similar import Rows, Vectors

T = TypeVar("T")


def pick(
    ids: Sequence[str],
    rule: str,
    *,
    n: int | None = None,
    score: Sequence[float] | NDArray[np.float64] | None = None,
    groups: Sequence[str] | None = None,
    vectors: Vectors | None = None,
    targets: Vectors | None = None,
    tags: Sequence[frozenset[str]] | None = None,
    seed: int = 0,
) -> Rows:
    """Return all row numbers in the order of selection; every prefix up to ``n`` is a selection.

    ``score``: higher is better; rows without one (NaN) come last, whichever end is taken.  ``groups``:
    source, language or type of each row; ``balanced`` and ``quota`` take one row of each group in turn.
    ``vectors``: unit embeddings [rows, d]; ``targets`` [targets, d] those of the target samples.  Selections
    that are costly order ``n`` rows (None: all); the others follow at random.  Ties and random order follow
    sha256 of seed and id, so they depend on what samples say, not on where they stood.
    """
    wanted, other = needs(rule), PLUGINS.get(rule)
    chance = np.fromiter((_draw(seed, sample) for sample in ids), np.uint64, len(ids))
    drawn = np.argsort(chance, kind="stable").astype(np.int64)
    if rule == "random":
        return drawn
    if rule == "balanced":
        return _in_turn(drawn, _needed(groups, "groups", rule))
    order = drawn
    if score is not None or "score" in wanted:
        values = np.asarray(_needed(score, "score", rule), np.float64)
        if len(values) != len(ids):
            raise AssayError(
                "the number of scores and rows differs", value=len(values), expected=str(len(ids))
            )
        scored = int((~np.isnan(values)).sum())
        if n is not None and n > scored and "score" in wanted:
            raise AssayError(
                "too few samples have a score", value=f"{scored:,} of {len(ids):,}",
                expected=f"at least {n:,}",
                hint="`assay score` says why values are missing: take fewer, or another indicator",
            )  # fmt: skip
        better = np.where(np.isnan(values), -np.inf, -values if rule == "bottom" else values)
        order = np.lexsort((chance, -better)).astype(np.int64)
    if other is not None:
        given = {"groups": groups, "vectors": vectors, "targets": targets, "tags": tags}
        for need in set(wanted) - {"score"}:
            _needed(given[need], need, rule)
        return chosen(other, choice_of(ids, n, seed, drawn, score, groups, vectors, targets, tags))
    if rule in ("top", "bottom"):
        return order
    if rule == "quota":
        return _in_turn(order, _needed(groups, "groups", rule))
    if rule == "tags":
        return by_tags(_needed(tags, "tags", rule), order)
    # Rows go in at random, so that neither ties nor the order of sums follow where samples stood.
    place = np.empty(len(drawn), np.int64)
    place[drawn] = np.arange(len(drawn))
    shuffled = _needed(vectors, "vectors", rule)[drawn]
    first = drawn[_by_vectors(rule, shuffled, place[order], n or len(ids), targets, seed)]
    rest = np.setdiff1d(drawn, first, assume_unique=True)
    return np.concatenate([first, rest[np.argsort(chance[rest], kind="stable")]])


def _by_vectors(rule: str, vectors: Vectors, order: Rows, n: int, targets: Vectors | None, seed: int) -> Rows:
    if rule == "deita":
        return score_first(vectors, order, n)
    if rule == "k_center":
        return k_center(vectors, int(order[0]), n)
    if rule == "target":
        return by_target(vectors, _needed(targets, "target samples", rule), n)
    if rule == "clusters":
        return _in_turn(order, clusters(vectors, max(2, int(np.sqrt(len(vectors) / 2))), seed=seed))
    rank = np.empty(len(order))
    rank[order] = np.linspace(1, 0, len(order))
    return facility_location(vectors, n, rank if rule == "qdit" else None, seed=seed)


def _needed(value: T | None, name: str, rule: str) -> T:
    if value is None:
        raise AssayError("the selection is missing its input", value=rule, expected=name)
    return value


def _draw(seed: int, sample: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample}".encode()).digest()[:8])


def _in_turn(order: Rows, groups: Sequence[str]) -> Rows:
    """Take one row of every group in turn, each group in the given order, until all are empty."""
    _, codes = coded(groups)
    own = codes[order]
    _, first, again, counts = np.unique(own, return_index=True, return_inverse=True, return_counts=True)
    by_group = np.argsort(again, kind="stable")
    rounds = np.empty(len(order), np.int64)
    rounds[by_group] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.lexsort((first[again], rounds))]


class Names(Sequence[str]):
    """Names of rows, each as the number of a name: four bytes a row."""

    def __init__(self, names: Sequence[str], codes: NDArray[np.int32]) -> None:
        """Take distinct names, and of each row the place of its name."""
        self.names, self.codes = list(names), codes

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Names: ...
    def __getitem__(self, index: int | slice) -> str | Names:
        """Return the name of a row, or those of some."""
        if isinstance(index, slice):
            return Names(self.names, self.codes[index])
        return self.names[int(self.codes[index])]


def coded(names: Sequence[str]) -> tuple[list[str], NDArray[np.int32]]:
    """Return distinct names, and of each row the place of its name."""
    if isinstance(names, Names):
        return names.names, names.codes
    places: dict[str, int] = {}
    codes = np.fromiter((places.setdefault(n, len(places)) for n in names), np.int32, len(names))
    return list(places), codes


def shift(
    lengths: Sequence[int] | NDArray[np.float64], groups: Mapping[str, Sequence[str]], rows: Rows
) -> dict[str, dict[str, tuple[float, float]]]:
    """Return what a selection changed against its pool: (in the pool, in the selection).

    ``length``: median and 90th percentile of the lengths; for each kind of group, the share of each name.
    """
    sizes = np.asarray(lengths, np.float64)
    found: dict[str, dict[str, tuple[float, float]]] = {
        "length": {
            name: (float(np.quantile(sizes, q)), float(np.quantile(sizes[rows], q)))
            for name, q in (("median", 0.5), ("p90", 0.9))
        }
    }
    for kind, names in groups.items():
        values, places = coded(names)
        whole = np.bincount(places, minlength=len(values)) / len(places)
        part = np.bincount(places[rows], minlength=len(values)) / len(rows)
        shares = zip(values, whole.tolist(), part.tolist(), strict=True)
        found[kind] = {name: (a, b) for name, a, b in sorted(shares)}
    return found


def length_classes(lengths: Sequence[float] | NDArray[np.float64], count: int = 40) -> Names:
    """Return equally large classes of length, by rank: groups whose quota keeps the length of the pool."""
    ranks = np.argsort(np.argsort(lengths, kind="stable"), kind="stable")
    return Names(list(map(str, range(count))), (ranks * count // max(1, len(ranks))).astype(np.int32))
