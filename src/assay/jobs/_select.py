"""Select samples of a pool, with baselines of the same size."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from assay import core, data, indicators, selection
from assay.core import (
    AssayError,
    Column,
    File,
    Items,
    OnCommand,
    Page,
    Paragraph,
    Shown,
    Text,
    page,
    say,
)
from assay.indicators import Models
from assay.jobs._clean import oriented
from assay.jobs._measuring import measuring, watched
from assay.jobs._pages import PoolChange, select_page, shift_blocks
from assay.jobs._pool import Data, Dataset, Pool, held, load
from assay.jobs._score import MODELS, ScoreTable, read_scores
from assay.view import write_page

if TYPE_CHECKING:
    import polars

_BATCH = 1024
_SHOWN = 12
_TOLD = 8
GROUPS = ("source", "type", "language", "length")
Table: TypeAlias = Annotated[str | Path | ScoreTable | None, OnCommand(Path | None)]
"""A table of :func:`assay.score`, or its file."""


@dataclass(frozen=True, slots=True)
class SelectedFile:
    """One file of selected samples."""

    path: str
    rule: str
    rows: int


@dataclass(frozen=True, repr=False)
class Selection(Shown):
    """A selection of ``n`` samples of a pool, what it shifted, and baselines of the same size.

    ``files``, the selection first, where they were written; ``shifts``: the greatest change of a share first.
    """

    files: tuple[SelectedFile, ...]
    page: str | None
    pool: int
    n: int
    without_score: int
    shifts: tuple[PoolChange, ...]
    notes: tuple[Text, ...] = ()
    """What has to be said of the rule that the samples were chosen by."""
    language: str | None = None
    """That of its page; None is the reader's."""

    @cached_property
    def samples(self) -> Dataset:
        """The samples selected, in the order of the selection: every prefix is a selection."""
        return load(self.files[0].path)

    @cached_property
    def baselines(self) -> Mapping[str, Dataset]:
        """By rule: random samples, random over sources in turn, the longest answers."""
        return {file.rule: load(file.path) for file in self.files[1:]}

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the samples, in their order."""
        return tuple(sample.id for sample in self.samples)

    def __repr__(self) -> str:
        return f"<Selection: {self.n:,} of {self.pool:,} samples>"

    def as_page(self) -> Page:
        """Return how much was selected, the shares and lengths that moved most, and the files."""
        columns = (
            Column(say("file.out"), "@"),
            Column(say("col.rule"), "@pick"),
            Column(say("col.rows"), ","),
        )
        listed = tuple((file.path, file.rule, file.rows) for file in self.files)
        places = core.files(page=self.page) if self.page else None
        unscored = Paragraph(say("select.unscored", n=self.without_score)) if self.without_score else None
        return page(
            *shift_blocks(self.pool, self.n, self.shifts[:_TOLD]), unscored, Items(self.notes, "warning"),
            core.Table(columns, listed) if listed else None, places,
            language=self.language,
        )  # fmt: skip


def select(
    samples: Annotated[Data | ScoreTable, OnCommand(list[str])],
    *,
    out: File | None = None,
    n: int | None = None,
    top: int | None = None,
    rule: str = "top",
    by: str | None = None,
    at_least: float | None = None,
    scores: Table = None,
    groups: Literal["source", "type", "language", "length"] = "source",
    seed: int = 0,
    language: Literal["en", "zh"] = "en",
    cap: str | None = None,
    models: Models = MODELS,
) -> Selection:
    """Select samples, with random, source-balanced and longest-answer baselines of the same size.

    Example: `assay select clean.jsonl --out best.jsonl --n 1000 --by mtld`

        >>> table = assay.score("pool.jsonl", ["len_out", "mtld"])
        >>> best = assay.select(table, top=10, by="len_out")
        >>> len(best.samples), sorted(best.baselines)
        (10, ['longest', 'random'])

    Parameters
    ----------
    samples
        Data to read: files, folders of shards, globs, or `hf:owner/name`; in Python also samples, or a table
        of scores.
    out
        File for the selection, in order, so that every prefix is a selection; baselines and an HTML page go
        next to it.
    n
        How many.
    top
        Number of samples with the highest score; short for `--rule top --n`.
    rule
        top or bottom of a score; random; balanced (groups in turn at random); quota (groups in turn, the best
        of each); clusters (of embeddings, in turn); deita (the best that are not alike); k_center; facility
        (location: coverage of the pool); qdit (coverage and score); target (like target samples, in turn);
        tags (new keywords first); or the selection of a plug-in.
    by
        Score to select by: an indicator, a published rule, or a rule's JSON file.
    at_least
        Take only samples whose score is at least this, with the rule top; without --n all of them. With
        `--by alpagasus` and nothing else 4.5, as published.
    scores
        Table from `assay score` that holds the score.
    groups
        Groups to take turns between; length takes the best of each length.
    seed
        Random seed for order and ties.
    language
        Language of the page.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; what models computed is kept.
    models
        See below.
    """
    if groups not in GROUPS:
        raise AssayError("unknown grouping", place="--groups", value=groups, expected=", ".join(GROUPS))
    wanted = selection.needs(rule)
    if isinstance(samples, ScoreTable):
        scores = samples
        samples = samples.pool
    pool = Pool(samples)
    facts = _Facts(pool)
    values, notes, vectors = None, tuple[Text, ...](), None
    if by is not None and scores is not None:
        values, notes = _from_table(scores, by, facts.ids), _noted(scores, by)
    own = [by] if by is not None and scores is None else []
    with measuring("select", own, pool, models, cap, embeds="vectors" in wanted) as (check, _):
        if own:
            values, notes = _measured(own[0], models, pool, check)
        if "vectors" in wanted:
            vectors = indicators.Tools(models).embed(map(indicators.whole, watched(pool, check)))
    if by == "alpagasus" and rule == "top" and n is top is at_least is None:
        at_least = indicators.ALPAGASUS_CUT
    if at_least is not None:
        n = _reaching(values, by, at_least, rule, n if top is None else top)
        top = None
    n = _size(n, top, rule, len(facts.ids))
    order = selection.pick(
        facts.ids,
        rule,
        n=n,
        score=values,
        groups=selection.length_classes(facts.lengths) if groups == "length" else facts.names[groups],
        vectors=vectors,
        targets=_targets(models) if "targets" in wanted else None,
        tags=_tags(pool) if "tags" in wanted else None,
        seed=seed,
    )
    changes = _changes(selection.shift(facts.lengths, facts.names, order[:n]))
    without = 0 if values is None else int(np.isnan(values).sum())
    orders = {name: rows[:n] for name, rows in {rule: order, **_baselines(facts, rule, seed)}.items()}
    texts = pool.collected(*orders.values())
    if out is None:
        found = {k: Dataset(tuple(map(texts.__getitem__, v.tolist())), name=k) for k, v in orders.items()}
        report = Selection((), None, len(facts.ids), len(found[rule]), without, changes, notes, language)
        return held(report, samples=found.pop(rule), baselines=found)
    file, files = Path(out), []
    for name, rows in orders.items():
        chosen = map(texts.__getitem__, rows.tolist())
        path = file if name == rule else file.with_name(f"{file.stem}.{name}{file.suffix}")
        files.append(SelectedFile(str(path), name, data.write(chosen, path, "samples")))
    columns = {}
    if by is not None and values is not None:
        columns[indicators.find(by).name] = values * indicators.direction(by)
    columns["length"] = facts.lengths
    made = select_page(file.stem, columns, orders[rule], changes, texts)
    shown = str(write_page(made, file.with_suffix(".html"), language))
    return Selection(tuple(files), shown, len(facts.ids), files[0].rows, without, changes, notes, language)


def _reaching(
    values: NDArray[np.float64] | None, by: str | None, least: float, rule: str, most: int | None
) -> int:
    """Return how many samples reach a score, at most ``most``."""
    if values is None or by is None or rule != "top" or indicators.direction(by) < 0:
        raise AssayError(
            "a least score goes with the rule top and a score of which more is better", place="--at-least",
            value=(rule, by), expected="--by INDICATOR --at-least SCORE",
        )  # fmt: skip
    reach = int((values >= least).sum())
    if reach == 0:
        raise AssayError(
            "no sample has such a score", place="--at-least", value=least,
            expected=f"at most {np.nanmax(values):.4g}" if np.isfinite(values).any() else "scores",
        )  # fmt: skip
    return reach if most is None else min(most, reach)


def _size(n: int | None, top: int | None, rule: str, most: int) -> int:
    """Return how many to select; ``top`` says it for the rule of that name."""
    if (n is None) == (top is None) or (top is not None and rule != "top"):
        raise AssayError(
            "give the number of samples once", place="--n, --top", value=(n, top, rule),
            expected="--n, or --top for the rule top",
        )  # fmt: skip
    size = n if top is None else top
    assert size is not None  # noqa: S101 - one of the two is there
    if not 0 < size <= most:
        place = "--n" if top is None else "--top"
        raise AssayError("more samples requested than the pool has", place=place, value=size,
                         expected=f"1 to {most}, the pool's size")  # fmt: skip
    return size


class _Ids(Sequence[str]):
    """Ids of rows, 16 bytes each."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def append(self, id: str) -> None:
        self._bytes += bytes.fromhex(id)

    extend = append
    """Takes the digits of several."""

    @property
    def array(self) -> NDArray[np.void]:
        """The ids as two numbers each."""
        return np.frombuffer(bytes(self._bytes), [("a", np.uint64), ("b", np.uint64)])

    def __len__(self) -> int:
        return len(self._bytes) // 16

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._bytes[16 * index : 16 * index + 16].hex()


class _Facts:
    """What a selection needs to know of each sample, without its text: some 36 bytes."""

    def __init__(self, pool: Pool) -> None:
        self.ids = _Ids()
        lengths, names = array("q"), {"source": array("i"), "type": array("i"), "language": array("i")}
        known: dict[str, dict[str, int]] = {kind: {} for kind in names}
        for sample in pool:
            self.ids.append(sample.id)
            lengths.append(len(sample.answer or ""))
            said = (sample.source, sample.type or "untyped", sample.language or "unknown")
            for (kind, codes), name in zip(names.items(), said, strict=True):
                codes.append(known[kind].setdefault(name, len(known[kind])))
        self.lengths = np.array(lengths, np.float64)
        self.names = {
            kind: selection.Names(list(known[kind]), np.array(codes, np.int32))
            for kind, codes in names.items()
        }


def _baselines(facts: _Facts, rule: str, seed: int) -> dict[str, NDArray[np.int64]]:
    found = {
        "random": selection.pick(facts.ids, "random", seed=seed),
        "longest": selection.pick(facts.ids, "top", score=facts.lengths, seed=seed),
    }
    if len(facts.names["source"].names) > 1:
        found["balanced"] = selection.pick(facts.ids, "balanced", groups=facts.names["source"], seed=seed)
    found.pop(rule, None)
    return found


def _targets(models: indicators.Models) -> NDArray[np.float32]:
    tools = indicators.Tools(models)
    return tools.embed(map(indicators.whole, tools.target("of the selection")))


def _tags(pool: Pool) -> list[frozenset[str]]:
    tags = indicators.Tags(pool)
    return [tags.of(sample) for sample in pool]


def _from_table(given: str | Path | ScoreTable, by: str, ids: _Ids) -> NDArray[np.float64]:
    """Return an indicator of the ids from a table, oriented so that more is better."""
    table, name = "scores" if isinstance(given, ScoreTable) else str(given), indicators.find(by).name
    frame = given.frame if isinstance(given, ScoreTable) else read_scores(Path(given), ("id", name))
    if name not in frame.columns:
        raise AssayError(
            "the table has no such column",
            place=table,
            value=name,
            expected=", ".join(c for c in frame.columns if c not in ("id", "origin", "why")),
        )
    values, missing = _by_id(frame, name, ids)
    if missing:
        raise AssayError(
            "samples of the pool are not in the table",
            place=table,
            value=f"{missing:,} of {len(ids):,}",
            hint="score this pool: `assay score POOL --out TABLE`",
        )
    return values * indicators.direction(by)


def _by_id(frame: polars.DataFrame, name: str, ids: _Ids) -> tuple[NDArray[np.float64], int]:
    """Return a column's values of the ids (NaN where null), and how many ids the table lacks.

    Of an id that the table has more than once the last row counts.
    """
    import polars

    bare = frame.select("id", value=polars.col(name).cast(polars.Float64).fill_null(np.nan))
    known = bare.filter(polars.col("id").str.contains("^[0-9a-f]{32}$"))
    asked = ids.array
    both = np.concatenate([_bytes_of(known), asked])
    order = np.lexsort((both["b"], both["a"]))
    begins, sorted_ = np.ones(len(both), np.bool_), both[order]
    begins[1:] = sorted_[1:] != sorted_[:-1]
    codes = np.empty(len(both), np.int64)
    codes[order] = np.cumsum(begins) - 1
    last = np.full(int(codes.max(initial=-1)) + 1, -1, np.int64)
    last[codes[: len(known)]] = np.arange(len(known))
    rows = last[codes[len(known) :]]
    values = np.append(known["value"].to_numpy(), np.nan)
    return values[rows], int((rows < 0).sum())


def _bytes_of(known: polars.DataFrame) -> NDArray[np.void]:
    """Return ids of 32 hex digits as 16 bytes each, some at a time."""
    found = _Ids()
    for part in known.iter_slices(1 << 16):
        found.extend("".join(part["id"]))
    return found.array


def _changes(found: dict[str, dict[str, tuple[float, float]]]) -> tuple[PoolChange, ...]:
    lengths = [PoolChange("length", k, *pair) for k, pair in found.pop("length").items()]
    shares = [PoolChange(kind, name, *pair) for kind, rows in found.items() for name, pair in rows.items()]
    shares.sort(key=lambda row: -abs(row.selected - row.pool))
    return (*lengths, *shares[:_SHOWN])


def _noted(given: str | Path | ScoreTable, by: str) -> tuple[Text, ...]:
    """Return what a rule says of itself by now, and a table of how it was applied; else the table's notes."""
    found = indicators.find(by)
    table = given.out if isinstance(given, ScoreTable) else given
    if isinstance(found, indicators.Rule):
        return (*found.told(), *(indicators.applied_notes(Path(table)) if table else ()))
    return indicators.notes_of(Path(table), found.name) if table else ()


def _measured(
    by: str, models: indicators.Models, pool: Pool, check: Callable[[], None]
) -> tuple[NDArray[np.float64], tuple[Text, ...]]:
    (indicator,) = indicators.ready([by], models, pool, told=lambda done: check())
    measure, stream = oriented(indicator), watched(pool, check)
    values: list[float] = []
    while batch := list(islice(stream, _BATCH)):
        values += measure(batch)
    return np.array(values), indicator.notes()
