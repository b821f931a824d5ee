"""Measure quality indicators of every sample of a pool."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from assay import indicators as measures
from assay.core import AssayError, File
from assay.data import replacing
from assay.indicators import Models
from assay.jobs._measuring import measuring
from assay.jobs._pages import score_page
from assay.jobs._pool import Data, Pool, held
from assay.plan import parse_pool, progress_bar
from assay.view import write_page

if TYPE_CHECKING:
    import polars

MODELS = Models(cache=Path(".assay/scores"))
"""The embedded models; what they compute is kept."""


@dataclass(frozen=True, repr=False)
class ScoreTable(measures.Scored):
    """Indicators of samples: a summary of each, and the table, in memory or in the file ``out``."""

    @cached_property
    def pool(self) -> Pool:
        """The samples that were scored."""
        raise AssayError("the table does not know its samples", hint="select from the samples, scores=TABLE")

    @cached_property
    def frame(self) -> polars.DataFrame:
        """The table: id, origin, a column for each indicator (null where undefined), and ``why``."""
        return read_scores(Path(self.out))

    def to_parquet(self, out: File) -> Path:
        """Write the table to a file."""
        with replacing(Path(out)) as partial:
            self.frame.write_parquet(partial)
        return Path(out)

    def __repr__(self) -> str:
        return f"<ScoreTable: {self.samples:,} samples, {', '.join(i.name for i in self.indicators)}>"


def score(
    samples: Data,
    indicators: Sequence[str] = (),
    *,
    out: File | None = None,
    pool: str = "processes:2",
    language: Literal["en", "zh"] = "en",
    cap: str | None = None,
    models: Models = MODELS,
) -> ScoreTable:
    """Measure quality indicators of every sample, with a reason for each missing value.

    Example: `assay score alpaca.json --out scores.parquet --indicators mtld --indicators ifd`

        >>> table = assay.score(assay.load("pool.jsonl"), ["len_out", "mtld"])
        >>> table.frame.columns
        ['id', 'origin', 'len_out', 'mtld', 'why']

    Parameters
    ----------
    samples
        Data to read: files, folders of shards, globs, or `hf:owner/name`; in Python also samples.
    indicators
        Indicators to measure: names, published rules (instructmining-v1, instructmining-v2), or a rule's
        JSON file; by default all that need no model.
    out
        Table to write (.parquet); a page with distributions and extreme samples goes next to it.
    pool
        Where work runs: `inline`, `processes:N` or `ray[:address]`; does not affect the values. Models
        run in this process.
    language
        Language of the page.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; what models computed is kept.
    models
        See below.
    """
    names = (indicators,) if isinstance(indicators, str) else tuple(indicators)
    if out is not None and Path(out).suffix != ".parquet":
        raise AssayError("not a table", place="--out", value=str(out), expected="a file ending in .parquet")
    read = Pool(samples)
    with ExitStack() as stack:
        scratch = stack.enter_context(TemporaryDirectory())
        # Files are read far ahead of a model: what counts then is how many samples it has measured.
        check, total = stack.enter_context(measuring("score", names, read, models, cap))
        slow = total > 0
        advance = stack.enter_context(progress_bar("score"))
        workers = stack.enter_context(parse_pool(pool, forked=True))
        file = Path(scratch, "scores.parquet") if out is None else Path(out)

        def watch(done: int) -> None:
            check()
            if slow:
                advance(done, total, "samples")

        streamed = read if slow else Pool(read.source, advance=advance)
        found = measures.score(
            streamed, file, names, models=models, pool=workers, parts=streamed.parts(), watch=watch,
            advance=advance,
        )  # fmt: skip
        if out is None:
            return held(
                ScoreTable("", found.samples, found.indicators, language=language),
                pool=read,
                frame=read_scores(file),
            )
    page = score_page(file, found, read.take)
    shown = write_page(page, file.with_suffix(".html"), language)
    return held(ScoreTable(str(out), found.samples, found.indicators, str(shown), language), pool=read)


def read_scores(table: Path, columns: Sequence[str] | None = None) -> polars.DataFrame:
    """Return the table that :func:`score` wrote, or those of some columns that it has if it has them all.

    Raises :class:`AssayError` where it cannot be read.
    """
    import polars

    try:
        known = polars.read_parquet_schema(table)
        some = None if columns is None or not set(columns) <= set(known) else list(columns)
        return polars.read_parquet(table, columns=some)
    except (OSError, polars.exceptions.PolarsError) as error:
        raise AssayError(
            f"the table cannot be read ({type(error).__name__})", place=str(table),
            expected="what `assay score` wrote",
        ) from None  # fmt: skip
