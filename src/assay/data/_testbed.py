# ruff: noqa: PT028 - its name begins with test, and it is none
"""Write the samples of the testbed to a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assay.core import AssayError, File, Sample
from assay.data import synthetic
from assay.data._write import write


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written, with its rows and what was counted on the way."""

    path: str
    rows: int
    counts: dict[str, int]


def testbed(
    n: int,
    out: File,
    *,
    seed: int = 0,
    split: Literal["train", "eval"] = "train",
    defects: float = 0.0,
) -> Written:
    """Generate synthetic samples with known answers; planted defects are listed in a second file.

    Example: `assay data testbed 10000 testbed.jsonl --defects 0.2`

        >>> assay.data.testbed(100, "testbed.jsonl").rows
        100

    Parameters
    ----------
    n
        Number of samples.
    out
        File to write (JSONL with type, language and checker).
    seed
        Random seed; the same seed gives the same samples.
    split
        Draw training or evaluation prompts, which do not overlap.
    defects
        Share of samples with a planted defect, all kinds equally often.
    """
    if not 0 <= defects <= 1:
        raise AssayError("not a share", place="--defects", value=defects, expected="a number from 0 to 1")
    shares = {kind: defects / len(synthetic.DEFECTS) for kind in synthetic.DEFECTS} if defects else {}
    counts: dict[str, int] = {}
    file = Path(out)
    truth = file.with_name(file.name + ".defects.jsonl")

    def rows() -> Iterator[Sample]:
        with truth.open("w", encoding="utf-8") as report:
            for index, planted in enumerate(synthetic.generate(n, seed=seed, split=split, defects=shares)):
                if planted.defect:
                    counts[planted.defect] = counts.get(planted.defect, 0) + 1
                    entry = {"row": index, "defect": planted.defect, "span": planted.span}
                    report.write(json.dumps(entry) + "\n")
                yield planted.sample

    file.parent.mkdir(parents=True, exist_ok=True)
    write(rows(), file, "samples")
    if not counts:
        truth.unlink()
    return Written(str(out), n, counts)
