"""Items and models' answers from files; what cannot be used is reported with its place and reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import Sample
from assay.data import Rejected, read


@dataclass(frozen=True, slots=True)
class Found:
    """Items by id in the order of their rows, answers by item, and the rows that could not be used."""

    items: dict[str, Sample]
    answers: dict[str, str]
    rejected: tuple[Rejected, ...]


def read_items(places: Sequence[str], answers: Path | None = None) -> Found:
    """Read evaluation items from data sets, and a model's answers from the JSONL of ``assay answer``.

    A row of answers has ``item`` (the id of its sample) and ``answer``.  A conversation that comes twice is
    one item; the second row is rejected, as are answers to items that are not there.
    """
    items: dict[str, Sample] = {}
    rejected: list[Rejected] = []
    for place in places:
        for row in read(place):
            if isinstance(row, Rejected):
                rejected.append(row)
            elif row.id in items:
                rejected.append(_again(row, items[row.id]))
            else:
                items[row.id] = row
    found: dict[str, str] = {}
    if answers is not None:
        with answers.open(encoding="utf-8", errors="surrogateescape") as lines:
            for number, line in enumerate(lines, start=1):
                reason = _take_answer(line, items, found)
                if reason is not None:
                    excerpt = line.strip()[:120].encode("utf-8", "replace").decode()
                    rejected.append(Rejected(answers.name, number, reason, excerpt))
    return Found(items, found, tuple(rejected))


def _again(sample: Sample, first: Sample) -> Rejected:
    place, _, line = sample.origin.rpartition(":")
    number = int(line) if line.isdecimal() else 0
    return Rejected(place, number, f"the same conversation as {first.origin}", _excerpt(sample))


def _excerpt(sample: Sample) -> str:
    return sample.prompt[-1].content[:120].encode("utf-8", "replace").decode()


def _take_answer(line: str, items: dict[str, Sample], found: dict[str, str]) -> str | None:
    """Take the answer of a line into ``found``; return why it could not be taken."""
    if not line.strip():
        return None
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})"
    if not isinstance(row, dict) or not isinstance(row.get("item"), str):
        return "no id of an item under `item`"
    item, text = row["item"], row.get("answer")
    if not isinstance(text, str):
        return "no text under `answer`"
    if item not in items:
        return "no such item"
    if found.setdefault(item, text) != text:
        return "another answer to the same item came before"
    return None
