"""Prompts with contradictory answers: the same question, and not the same short answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from assay.selection._near import SHORT

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


def conflicting(
    prompts: Sequence[int], keys: Sequence[int], lengths: Sequence[int], left_out: Collection[int], old: int
) -> Found:
    """Return the rows of each prompt whose answers conflict, and the keys of their answers.

    ``prompts`` and ``keys`` are those of prompts and answers (:func:`text_key`), ``lengths`` the tokens of
    answers.  Answers conflict where they are not equal and one of them is short: of two long answers both may
    be right.  Groups of ``old`` rows alone are not looked at, nor rows that are ``left_out``.
    """
    groups: dict[int, list[int]] = {}
    for row, prompt in enumerate(prompts):
        if row not in left_out:
            groups.setdefault(prompt, []).append(row)
    found: Found = []
    for rows in groups.values():
        if len(rows) < 2 or rows[-1] < old:
            continue
        own = tuple(keys[row] for row in rows)
        if len(set(own)) > 1 and min(lengths[row] for row in rows) < SHORT:
            found.append((tuple(rows), own))
    return found


def resolved(
    policy: Policy, rows: Sequence[int], keys: Sequence[int], place: Mapping[int, int]
) -> dict[int, int]:
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
