"""Verbs of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from assay.data import Inspection


def data_inspect(places: list[str], *, rejected: Path | None = None) -> Inspection:
    """Count a data set by type, language and length; show duplicates and each rejected row's reason.

    Example: `assay data inspect alpaca.json "shards/*.jsonl.zst" --rejected rejected.jsonl`

    Parameters
    ----------
    places
        Files, folders of shards, globs, or `hf:owner/name`.
    rejected
        Write all rejected rows, with place and reason, to this JSONL file.
    """
    from assay import data

    return data.inspect(places, rejected=rejected)


def data_convert(
    places: list[str],
    *,
    out: Path,
    format: Literal["messages", "alpaca", "sharegpt", "samples"] = "messages",
    rejected: Path | None = None,
) -> Any:
    """Convert data sets to one format, with entries for LLaMA-Factory and axolotl beside the file.

    Example: `assay data convert belle.json alpaca.jsonl --out train.jsonl --format sharegpt`

    Parameters
    ----------
    places
        What to read.
    out
        The file to write.
    format
        How to write it.
    rejected
        Write rejected rows to this JSONL file.
    """
    from assay import data

    return data.convert(places, out, format=format, rejected=rejected)


def data_show(place: str, *, base: str = "pocket", row: int = 0, max_tokens: int = 1024) -> Any:
    """Show one sample as the model sees it: tokens, and which of them the loss counts.

    Example: `assay data show alpaca.jsonl --row 7 --base bigscience/bloomz-560m`

    Parameters
    ----------
    place
        A file, folder or id of samples.
    base
        The model whose tokenizer and chat template are used.
    row
        Which usable row, from 0.
    max_tokens
        Longer samples are cut here.
    """
    from assay import jobs

    return jobs.show_tokens(place, base=base, row=row, max_tokens=max_tokens)


def data_testbed(
    n: int,
    out: Path,
    *,
    seed: int = 0,
    split: Literal["train", "eval"] = "train",
    defects: float = 0.0,
) -> Any:
    """Write samples of the testbed; planted defects and their places go beside them.

    Example: `assay data testbed 10000 testbed.jsonl --defects 0.2`

    Parameters
    ----------
    n
        How many samples.
    out
        The file to write (Assay's own JSONL, with type, language and checker).
    seed
        The same seed gives the same samples.
    split
        Training or evaluation prompts; they do not overlap.
    defects
        Share of samples with a planted defect, all kinds alike.
    """
    from assay import jobs

    return jobs.write_testbed(n, out, seed=seed, split=split, defects=defects)
