"""Samples and items that suites go through: all types, both languages, and what breaks careless code."""

from __future__ import annotations

import dataclasses
from functools import cache

from assay.core import Sample
from assay.data import synthetic

_HARD = (
    Sample.single("Say nothing.", None),
    Sample.single("Say a blank.", " \n"),
    Sample.single("One word?", "Yes"),
    Sample.single("请用一句话介绍北京。", "北京是中国的首都，有三千多年的建城史。"),
    Sample.single("Answer in pictures.", "👩‍👩‍👧‍👦🇨🇳 e\u0301 \u200b \x1f"),
    Sample.single("Say it again and again.", "again and again, " * 400),
    Sample.single("Say thanks.", "Thank you, you are welcome. Please ask again!"),
    Sample.single("Close the fence.", "```python\nprint('(')\n```\n(["),
)


@cache
def samples(count: int = 40) -> tuple[Sample, ...]:
    """Return samples of the testbed, the twelve types in English and Chinese, and eight that are hard.

    Each has an origin and a source, in turn of two, and no two have the same id.
    """
    made = [row.sample for row in synthetic.generate(count, seed=5, defects={"truncated": 0.1})]
    distinct = {sample.id: sample for sample in (*made, *_HARD)}.values()
    return tuple(
        dataclasses.replace(sample, source=("one", "two")[row % 2], origin=f"suite.jsonl:{row + 1}")
        for row, sample in enumerate(distinct)
    )


@cache
def items(count: int = 24) -> tuple[tuple[Sample, str], ...]:
    """Return items with answers: the reference, that of another item, nothing, and a word."""
    made = [row.sample for row in synthetic.generate(count, seed=6, split="eval")]
    plain = [Sample.single("Name a colour.", "blue"), Sample.single("Say nothing.", None)]
    found = []
    for row, item in enumerate([*made, *plain]):
        other = made[(row + 1) % len(made)].answer or ""
        found += [(item, answer) for answer in (item.answer or "", other, "", "well")]
    return tuple(found)
