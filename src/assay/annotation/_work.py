"""What an annotation takes of people's time, read from when they saved their labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from assay.annotation._values import HumanLabel
from assay.core import Say, say

USUAL = 30.0
"""Seconds of a label before any was given."""
_BREAK = 600.0
"""A longer time between two labels of one annotator is a pause, in seconds."""
_FEWEST = 5


@dataclass(frozen=True, slots=True)
class Work:
    """Seconds of people's time behind ``labels`` labels, ``open`` ones that are still to be given."""

    seconds: float
    labels: int
    open: int
    each: float
    learned: bool

    def before(self) -> Say:
        """Return what is left to do, in words."""
        key = "annotate.work.before" if self.learned else "annotate.work.before.rough"
        return say(key, labels=self.open, wall=self.open * self.each, each=self.each, given=self.labels)

    def after(self) -> Say:
        """Return what was done, in words: the whole, and for one label."""
        return say("annotate.work.after", labels=self.labels, wall=self.seconds, each=self.each)

    def said(self) -> Iterator[Say]:
        """Yield what was done, then what is left of it."""
        if self.labels:
            yield self.after()
        if self.open:
            yield self.before()


def work_of(labels: Iterable[HumanLabel], asked: int) -> Work:
    """Return what the labels took, and how many of the ``asked`` ones are open.

    Times between labels of one annotator count up to ten minutes; what came before a first label, or after a
    pause, counts as their median.
    """
    times: dict[str, list[datetime]] = {}
    for label in labels:
        times.setdefault(label.annotator, []).append(datetime.fromisoformat(label.time))
    count = sum(map(len, times.values()))
    gaps = [
        (late - early).total_seconds() for own in map(sorted, times.values()) for early, late in pairwise(own)
    ]
    worked = [gap for gap in gaps if gap <= _BREAK]
    each = median(worked) if len(worked) >= _FEWEST else USUAL
    seconds = sum(worked) + (count - len(worked)) * each
    return Work(seconds, count, max(asked - count, 0), each, len(worked) >= _FEWEST)
