"""Prompts with contradictory answers: the same question, and not the same short answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from assay.selection._near import SHORT, Rows

Policy: TypeAlias = Literal["keep", "drop", "majority", "best"]
POLICIES: tuple[str, ...] = get_args(Policy)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Samples with one prompt and contradictory answers: their rows and origins, and how many answers differ.

    Rows below 0 are of the samples that a pool was cleaned against, from their last backwards.
    """

    rows: tuple[int, ...]
    origins: tuple[str, ...]
    answers: int


Found: TypeAlias = list[tuple[tuple[int, ...], tuple[int, ...]]]


def conflicting(prompts: Rows, keys: Rows, lengths: Rows, left_out: NDArray[np.bool_], old: int) -> Found:
    """Return the rows of each prompt whose answers conflict, and the keys of their answers.

    ``prompts`` and ``keys`` are those of prompts and answers (:func:`text_key`), ``lengths`` the tokens of
    answers.  Answers conflict where they are not equal and one of them is short: of two long answers both may
    be right.  Groups of ``old`` rows alone are not looked at, nor rows that are ``left_out``.
    """
    rows = np.flatnonzero(~left_out)
    rows = rows[np.argsort(prompts[rows], kind="stable")]
    edges = np.flatnonzero(np.diff(prompts[rows])) + 1
    starts, stops = np.concatenate([[0], edges]), np.concatenate([edges, [len(rows)]])
    found: Found = []
    for k in np.flatnonzero(stops - starts > 1).tolist():
        group = rows[starts[k] : stops[k]]
        own = keys[group]
        if group[-1] >= old and (own != own[0]).any() and lengths[group].min() < SHORT:
            found.append((tuple(group.tolist()), tuple(own.tolist())))
    return sorted(found)


def resolved(policy: Policy, rows: Sequence[int], keys: Sequence[int], place: Rows) -> dict[int, int]:
    """Return the rows that go by a policy, each with the row that it conflicts with.

    ``place`` is the rank of a row, the best first.
    """
    if policy == "keep":
        return {}
    by_place = sorted(zip(rows, keys, strict=True), key=lambda pair: place[pair[0]])
    chosen: int | None = by_place[0][1] if policy == "best" else None
    if policy == "majority":
        (first, most), (_, second) = Counter(keys).most_common(2)
        chosen = first if most > second else None
    other = {key: next(row for row, own in by_place if own != key) for key in set(keys)}
    stays = next((row for row, key in by_place if key == chosen), None)
    return {row: other[key] if stays is None else stays for row, key in by_place if key != chosen}
