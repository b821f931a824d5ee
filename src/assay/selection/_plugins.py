"""Selections of other packages: what they get, what they return, and that it is an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError, Plugins, SelectionRule
from assay.selection._similar import Rows, Vectors

Need: TypeAlias = Literal["score", "groups", "vectors", "targets", "tags"]

SELECTIONS: tuple[str, ...] = get_args(SelectionRule)
"""By score from the best or worst; at random; in turn over groups (balanced: each at random; quota: each by
score) or over clusters of embeddings; DEITA's score first with a limit of likeness; k-center; facility
location; QDIT, facility location with score; in turn by the likeness to target samples; by new tags."""

_NEEDS: Mapping[str, tuple[Need, ...]] = {
    "top": ("score",),
    "bottom": ("score",),
    "balanced": ("groups",),
    "quota": ("score", "groups"),
    "clusters": ("vectors",),
    "deita": ("score", "vectors"),
    "k_center": ("vectors",),
    "facility": ("vectors",),
    "qdit": ("score", "vectors"),
    "target": ("vectors", "targets"),
    "tags": ("tags",),
}


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What a selection chooses from: ``len(ids)`` rows, of which ``n`` are wanted.

    ``chance`` holds all row numbers at random, as ids and ``seed`` decide: ties and what is left to chance
    follow it, so that a selection does not depend on where samples stood.  ``score`` [rows]: higher is
    better, NaN where there is none; ``groups`` a name of each row; ``vectors`` [rows, d] unit embeddings;
    ``targets`` [targets, d] those of the target samples; ``tags`` keywords of each row.  What was not given
    is None; what the selection needs is there.
    """

    ids: tuple[str, ...]
    n: int
    seed: int
    chance: Rows
    score: NDArray[np.float64] | None = None
    groups: tuple[str, ...] | None = None
    vectors: Vectors | None = None
    targets: Vectors | None = None
    tags: tuple[frozenset[str], ...] | None = None


class Selection(Protocol):
    """An order of the pool whose every prefix is the selection of that size.

    Best a frozen dataclass.  ``version`` changes whenever orders do; ``needs`` says what it selects by:
    ``score``, ``groups``, ``vectors``, ``targets``, ``tags``; ``source`` the paper.  Calling it returns
    ``choice.n`` distinct row numbers or more, the first chosen first; rows that it leaves out follow at
    random.  It must not write into the arrays that it is given.
    """

    name: str
    version: int
    needs: tuple[Need, ...]
    source: str

    def __call__(self, choice: Choice) -> Rows:
        """Return row numbers in the order of selection."""


def _also(found: Selection) -> str | None:
    strange = [need for need in found.needs if need not in get_args(Need)]
    return f"it needs {strange[0]!r}, not one of {', '.join(get_args(Need))}" if strange else None


PLUGINS: Plugins[Selection] = Plugins(
    "assay.selections", "selection", Selection, (*SELECTIONS, "longest", "file"), _also
)
"""Selections of other packages by name."""


def needs(rule: str) -> tuple[Need, ...]:
    """Return what a selection selects by, of ours or a plug-in; raises for a name that nothing has."""
    other = PLUGINS.get(rule)
    if other is not None:
        return other.needs
    if rule not in SELECTIONS:
        raise PLUGINS.unknown(rule)
    return _NEEDS.get(rule, ())


def chosen(other: Selection, choice: Choice) -> Rows:
    """Return the whole order of a plug-in: what it chose, then the other rows at random."""
    rows = np.asarray(other(choice))
    problem = _wrong(rows, len(choice.ids), choice.n)
    if problem is not None:
        raise AssayError(
            f"the selection {other.name} gives {problem}",
            place=PLUGINS.entry(other.name).place,
            expected=f"{choice.n:,} distinct row numbers from 0 to {len(choice.ids) - 1:,}, or more",
        )
    first = rows.astype(np.int64)
    return np.concatenate([first, choice.chance[~np.isin(choice.chance, first)]])


def _wrong(rows: NDArray[np.int64], count: int, n: int) -> str | None:
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        return f"an array [{', '.join(map(str, rows.shape))}] of {rows.dtype}"
    if len(rows) < min(n, count):
        return f"{len(rows):,} rows"
    if len(np.unique(rows)) < len(rows):
        return "a row twice"
    return None if len(rows) == 0 or (rows.min() >= 0 and rows.max() < count) else "a row that is not there"


def choice_of(
    ids: Sequence[str],
    n: int | None,
    seed: int,
    chance: Rows,
    score: Sequence[float] | NDArray[np.float64] | None,
    groups: Sequence[str] | None,
    vectors: Vectors | None,
    targets: Vectors | None,
    tags: Sequence[frozenset[str]] | None,
) -> Choice:
    """Return what a plug-in chooses from; it cannot write into the arrays."""
    return Choice(
        ids=tuple(ids),
        n=min(n or len(ids), len(ids)),
        seed=seed,
        chance=_read_only(chance, np.int64),
        score=_read_only(score, np.float64),
        groups=None if groups is None else tuple(groups),
        vectors=_read_only(vectors, np.float32),
        targets=_read_only(targets, np.float32),
        tags=None if tags is None else tuple(tags),
    )


def _read_only(values: Any, kind: type[np.generic]) -> Any:
    """Return an array that cannot be written to, over the same memory where that can be; None stays None."""
    if values is None:
        return None
    seen = np.asarray(values, kind).view()
    seen.flags.writeable = False
    return seen
