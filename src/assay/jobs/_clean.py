"""Clean a pool of broken rows, duplicates and evaluation prompts."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assay import core, data, indicators, selection
from assay.core import (
    File,
    Items,
    Page,
    Sample,
    Shown,
    Text,
    page,
    read_json_lines,
)
from assay.data import Rejected
from assay.indicators import Models
from assay.jobs._measuring import measuring
from assay.jobs._pages import Gallery, clean_blocks, clean_page
from assay.jobs._pool import Data, Dataset, Pool, held, load
from assay.jobs._score import MODELS
from assay.plan import parse_pool, progress_bar
from assay.view import write_page

REMOVED = ".removed.jsonl"


@dataclass(frozen=True, slots=True)
class Removal:
    """Why a row is not there: the rule, the row, what stands for it and how alike, and what was seen.

    ``span``: tokens of the prompt that hold an evaluation item; None where the whole sample is meant.
    """

    rule: str
    origin: str
    id: str | None = None
    partner: str | None = None
    score: float | None = None
    detail: str = ""
    span: tuple[int, int] | None = None


@dataclass(frozen=True, repr=False)
class Cleaned(Shown):
    """What cleaning kept and removed; every row of the input is in one of the counts.

    ``samples`` are those kept and ``removed`` has a reason for every other row; where files were written
    (``out``, ``receipts``, ``page``) they are read from there.
    """

    out: str | None
    receipts: str | None
    page: str | None
    rows: int
    kept: int
    removed_by: dict[str, int]
    alarms: tuple[selection.Alarm, ...]
    conflicts: int
    """Prompts with contradictory answers."""
    notes: tuple[Text, ...] = ()
    """What has to be said of the rule that decides which samples stay."""
    language: str | None = None
    """That of its page; None is the reader's."""

    @cached_property
    def samples(self) -> Dataset:
        """The samples kept, in their order."""
        return load(self.out or ())

    @cached_property
    def removed(self) -> tuple[Removal, ...]:
        """A reason for every row that is not there, in the order of the rules."""
        return tuple(_removal(row) for _, row in read_json_lines(Path(self.receipts or "")))

    def __repr__(self) -> str:
        return f"<Cleaned: {self.kept:,} of {self.rows:,} rows kept>"

    def as_page(self) -> Page:
        """Return how much was kept, what each rule removed, alarms, contradictions, and the files."""
        places = {"out": self.out, "receipts": self.receipts, "page": self.page}
        written = {name: place for name, place in places.items() if place is not None}
        blocks = clean_blocks(self.rows, self.kept, self.removed_by, self.alarms, self.conflicts)
        files = core.files(**written) if written else None
        return page(*blocks, Items(self.notes, "warning"), files, language=self.language)


def clean(
    samples: Data,
    *,
    out: File | None = None,
    evaluation: Data = (),
    against: Data = (),
    near: float = 0.8,
    conflicts: selection.Policy = "keep",
    novelty: float | None = None,
    semantic: float | None = None,
    alike: float | None = None,
    to: int | None = None,
    by: str | None = None,
    alarm: float = 0.1,
    pool: str = "processes:2",
    language: Literal["en", "zh"] = "en",
    cap: str | None = None,
    models: Models = MODELS,
) -> Cleaned:
    """Remove broken rows, duplicates and evaluation prompts from a pool, with a record of every removal.

    Example: `assay clean alpaca.json --out clean.jsonl --evaluation eval.jsonl --novelty 0.7`

        >>> row = {"instruction": "Add 2 and 3.", "output": "That is 5."}
        >>> kept = assay.clean([row, row, {"instruction": "Name a colour.", "output": "Blue, for example."}])
        >>> len(kept.samples), kept.removed[0].rule
        (2, 'exact')

    Parameters
    ----------
    samples
        Data to read: files, folders of shards, globs, or `hf:owner/name`; in Python also samples.
    out
        File for the kept samples (JSONL); removal records go to OUT.removed.jsonl, with an HTML page next
        to it.
    evaluation
        Evaluation sets whose prompts must not be in the pool.
    against
        Existing samples; duplicates and near-duplicates of them are removed.
    near
        Jaccard similarity (5-token shingles) at which samples are near-duplicates; above 1: off.
    conflicts
        What to do with prompts that have contradictory answers: keep (and report), drop, or keep the
        majority's answer or the best sample's.
    novelty
        Remove samples whose ROUGE-L with a kept instruction reaches this value; self-instruct uses 0.7.
    semantic
        Cosine similarity above which samples are semantic duplicates; 0.95 is conservative for minilm.
    alike
        Cosine similarity with an evaluation prompt at which a sample counts as contaminated.
    to
        Maximum number of samples to keep: the best by `by`, otherwise random ones.
    by
        Indicator that decides which duplicate is kept; by default the longest answer.
    alarm
        Warn about sources, languages and types that lose more than this share.
    pool
        Where work runs: `inline`, `processes:N` or `ray[:address]`; does not affect the result.
    language
        Language of the page.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; what models computed is kept.
    models
        See below.
    """
    rules = selection.CleanRules(
        None if near > 1 else near,
        novelty,
        semantic=semantic,
        alike=alike,
        to=to,
        alarm=alarm,
        conflicts=conflicts,
    )
    embeds = semantic is not None or alike is not None
    read, file = Pool(samples), None if out is None else Path(out)
    with nullcontext() if file is None else data.kept_beside(file) as beside:
        with ExitStack() as stack:
            own = [] if by is None else [by]
            check, _ = stack.enter_context(measuring("clean", own, read, models, cap, embeds=embeds))
            receive = stack.enter_context(receipts_beside(file))
            chosen = indicators.ready(own, models, read, told=lambda done: check())[0] if own else None
            quality = None if chosen is None else oriented(chosen)
            advance = stack.enter_context(progress_bar("clean"))

            def watch(done: float, total: float, unit: str) -> None:
                check()
                advance(done, total, unit)

            streamed = Pool(read.source, receive.reject, watch)
            found = selection.clean(
                streamed,
                rules,
                evaluation=Pool(evaluation),
                against=Pool(against),
                quality=quality,
                embed=indicators.Tools(models).embed if embeds else None,
                pool=stack.enter_context(parse_pool(pool, forked=True)),
                parts=streamed.parts(),
                reject=receive.reject,
                kept=beside,
            )
            for receipt in found.receipts:
                receive(dataclasses.asdict(receipt))
            if not found.samples:
                if beside is not None:  # there is nothing to go on from
                    shutil.rmtree(beside, ignore_errors=True)
                raise data.nothing_read(read.name)
        counts = {"rejected": receive.rejected, **found.removed_by}
        report = Cleaned(
            None, None, None, found.samples + receive.rejected, len(found.kept),
            {rule: count for rule, count in counts.items() if count}, found.alarms,
            len(found.conflicts), () if chosen is None else chosen.notes(), language,
        )  # fmt: skip
        if file is None:
            kept = Dataset(tuple(read.rows(found.kept)), name=read.name)
            return held(report, samples=kept, removed=tuple(map(_removal, receive.rows)))
        gallery = Gallery(found.receipts)
        data.write(read.rows(found.kept, gallery.see), file, "samples")
        made = clean_page(file.stem, report.rows, found, counts, gallery)
        shown = write_page(made, file.with_suffix(".html"), language)
        return dataclasses.replace(
            report, out=str(out), receipts=str(file.with_name(file.name + REMOVED)), page=str(shown)
        )


def _removal(row: Mapping[str, Any]) -> Removal:
    names = [field.name for field in dataclasses.fields(Removal)]
    known = {name: row[name] for name in names if name in row}
    return Removal(**{**known, "span": tuple(row["span"]) if row.get("span") else None})


class Receipts:
    """Takes receipts, and rejected rows among them, into a file or into memory."""

    def __init__(self, write: Callable[[str], object] | None) -> None:
        """Write lines, or keep rows in ``rows``."""
        self._write, self.rows, self.rejected = write, list[Mapping[str, Any]](), 0

    def __call__(self, row: Mapping[str, Any]) -> None:
        """Take a receipt."""
        if self._write is None:
            self.rows.append(row)
        else:
            self._write(json.dumps(row, ensure_ascii=False) + "\n")

    def reject(self, row: Rejected) -> None:
        """Take a row that is no sample."""
        self.rejected += 1
        self({"rule": "rejected", "origin": f"{row.place}:{row.line}", "detail": row.reason})


@contextmanager
def receipts_beside(out: Path | None) -> Iterator[Receipts]:
    """Give what writes receipts beside ``out``, where there is one; the file appears whole."""
    if out is None:
        yield Receipts(None)
    else:
        with data.replacing_text(out.with_name(out.name + REMOVED)) as lines:
            yield Receipts(lines.write)


def oriented(indicator: indicators.Indicator) -> Callable[[Sequence[Sample]], list[float]]:
    """Return a measure of batches whose values are better the higher they are; NaN where undefined."""
    sign = indicator.direction or 1

    def measure(samples: Sequence[Sample]) -> list[float]:
        assert indicator.measure is not None  # noqa: S101 - ready() has made it
        found = indicator.measure(samples)
        return [np.nan if isinstance(v, indicators.Undefined) else sign * v for v in found]

    return measure
