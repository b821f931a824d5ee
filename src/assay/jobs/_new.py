"""A study file from a look at the data: sizes that the pool allows, an evaluation set, defaults said."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal, TypeVar

from assay import core, data, study
from assay.core import AssayError, File, Shown, say
from assay.data import Places, as_places, replacing_text
from assay.jobs._evalset import SplitReport, split

T = TypeVar("T")

_RUNGS, _FEWEST, _SMALLEST = 6, 3, 32
_LARGEST = 0.85
"""Share of the pool that is the largest rung: what equals an item, and the control slice, are taken out."""
_LEAST_ITEMS, _TENTH = 30, 10
_BY_TYPE = 2


@dataclass(frozen=True, slots=True)
class NewStudy(Shown):
    """A study file that was written, and what was seen of the data.

    ``split`` are the files of evaluation items and of training samples that were made, where no evaluation
    set was given.
    """

    out: str
    name: str
    samples: int
    types: int
    languages: tuple[str, ...]
    rungs: tuple[int, ...]
    evaluation: tuple[str, ...]
    split: tuple[str, str] | None

    def as_page(self) -> core.Page:
        """Return what was seen, what was chosen, and the two commands that follow."""
        seen = say(
            "new.seen", samples=self.samples, types=self.types, languages=", ".join(self.languages) or "?"
        )
        made = None
        if self.split is not None:
            made = core.Paragraph(say("new.split", items=self.split[0], rest=self.split[1]))
        rungs = ", ".join(f"{n:,}" for n in self.rungs)
        return core.page(
            core.Paragraph(seen),
            made,
            core.Paragraph(say("new.rungs", rungs=rungs)),
            core.Paragraph(say("new.next", out=self.out), "strong"),
        )


def new(
    pool: Places,
    *,
    out: File = "study.yaml",
    evaluation: Sequence[str] = (),
    base: str = "pocket",
    items: int = 400,
    seeds: int = 3,
    smallest_gain: float = 0.01,
    language: Literal["en", "zh"] = "en",
    ask: bool = False,
    force: bool = False,
) -> NewStudy:
    """Write a study file from a look at the data.

    Without an evaluation set, items are split off the pool. Sizes double up to what the pool allows.

    Example: `assay new pool.jsonl`, or `assay new pool.jsonl --base Qwen/Qwen3-0.6B --ask`

        >>> rows = assay.data.testbed(400, "many.jsonl")
        >>> assay.new("many.jsonl", out="many.yaml", items=40).rungs
        (37, 75, 150, 300)

    Parameters
    ----------
    pool
        Files, folders of shards, globs, or `hf:owner/name`.
    out
        Study file to write; split files go next to it.
    evaluation
        Evaluation sets, with reference answers; split off the pool by default.
    base
        Base model: a Hugging Face id, a folder, or `pocket`.
    items
        Number of evaluation items to split off; at most a tenth of the pool.
    seeds
        Runs at each size.
    smallest_gain
        The smallest gain in score that matters.
    language
        Language of the report.
    ask
        Ask for base, seeds and the smallest gain in the terminal; Enter keeps what is in brackets.
    force
        Overwrite existing files.
    """
    target, places = Path(out), as_places(pool)
    _free(target, force=force)
    if ask:
        base, seeds, smallest_gain = _asked(base, seeds, smallest_gain, language)
    seen = data.inspect(places)
    made, samples = None, seen.samples - seen.duplicates
    sets = as_places(evaluation) if evaluation else ()
    if not sets:
        made = _split(places, target, seen.samples, items, force=force)
        sets, places, samples = (made.out,), (made.train,), made.training
    rungs = _rungs(samples, ", ".join(places))
    found = NewStudy(
        str(target), target.stem, samples, len(seen.by_type), tuple(seen.by_language)[:4], rungs,
        sets, None if made is None else (made.out, made.train),
    )  # fmt: skip
    text = _text(found, places, base, seeds, smallest_gain, language, by_type=len(seen.by_type) >= _BY_TYPE)
    with replacing_text(target) as file:
        file.write(text)
    study.load(target)
    return found


def _free(target: Path, *, force: bool) -> None:
    if target.suffix not in (".yaml", ".yml"):
        raise AssayError("not a study file", place="--out", value=str(target), expected="a name in .yaml")
    if target.exists() and not force:
        raise AssayError(
            "the file is there already", place="--out", value=str(target), expected="a new file",
            hint="another name, or --force to overwrite it",
        )  # fmt: skip


def _split(places: Sequence[str], target: Path, samples: int, items: int, *, force: bool) -> SplitReport:
    """Split evaluation items off the pool."""
    n = min(items, samples // _TENTH)
    if n < _LEAST_ITEMS:
        raise AssayError(
            "the pool is too small to split evaluation items off it", place=", ".join(places),
            value=f"{samples} samples", expected=f"at least {_LEAST_ITEMS * _TENTH}",
            hint="give a set of its own: --evaluation eval.jsonl",
        )  # fmt: skip
    files = [target.with_name(f"{target.stem}-{what}.jsonl") for what in ("eval", "pool")]
    for file in files:
        if file.exists() and not force:
            raise AssayError(
                "the file is there already", place="--out", value=str(file), expected="a new file",
                hint="another name of the study, or --force to overwrite it",
            )  # fmt: skip
    return split(list(places), out=files[0], train=files[1], n=n)


def _rungs(samples: int, place: str) -> tuple[int, ...]:
    """Return :func:`_sizes`; raises where these are too few for a curve."""
    rungs = _sizes(samples)
    if len(rungs) < _FEWEST:
        least = next(n for n in count() if len(_sizes(n)) >= _FEWEST)
        raise AssayError(
            "the pool is too small for a ladder", place=place, value=f"{samples} samples",
            expected=f"at least {least}: a curve needs three sizes",
        )  # fmt: skip
    return rungs


def _sizes(samples: int) -> tuple[int, ...]:
    """Return up to six sizes that double up to what the pool allows, two digits each."""
    largest = _rounded(samples * _LARGEST)
    return tuple(sorted({n for k in range(_RUNGS) if (n := _rounded(largest / 2**k)) >= _SMALLEST}))


def _rounded(n: float) -> int:
    """Return a size with two digits, rounded down: the pool has that many."""
    unit = 10 ** max(len(str(int(n))) - 2, 0)
    return int(n // unit * unit)


def _text(
    found: NewStudy, places: Sequence[str], base: str, seeds: int, smallest_gain: float, language: str,
    *, by_type: bool,
) -> str:  # fmt: skip
    """Return the study file; JSON is YAML, so that any name is quoted as it must be."""
    folder = Path(found.out).parent
    sets = {
        "pool": [_beside(place, folder) for place in places],
        "evaluation": [_beside(place, folder) for place in found.evaluation],
    }
    lines = [
        f"# Written by `assay new` for {found.samples:,} samples. Every key: docs/study.md.",
        "" if by_type else "# The pool names fewer than two types: `assay evalset classify` sorts items.",
        f"name: {_quoted(found.name)}",
        f"base: {_quoted(base)}  # a Hugging Face id, a folder, or `pocket` for a first try",
        *(f"{key}: {_quoted(value)}" for key, value in sets.items()),
        f"ladder: {{rungs: {_quoted(found.rungs)}, seeds: {seeds}}}",
        f"question: {{smallest_gain: {smallest_gain:g}}}  # the smallest gain in score that matters to you",
        f"language: {language}",
    ]
    return "\n".join(filter(None, lines)) + "\n"


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _beside(place: str, folder: Path) -> str:
    """Return a place as a study file in a folder has it: relative to the folder, or whole."""
    if ":" in place.split("/")[0]:
        return place
    path = Path(place)
    try:
        return str(path.resolve().relative_to(folder.resolve()))
    except ValueError:
        return str(path.resolve())


def _asked(base: str, seeds: int, smallest_gain: float, language: str) -> tuple[str, int, float]:
    """Ask in the terminal; an empty line keeps what is in brackets."""
    return (
        _answer("new.ask.base", base, str, language),
        _answer("new.ask.seeds", seeds, int, language),
        _answer("new.ask.gain", smallest_gain, float, language),
    )


def _answer(key: str, now: T, kind: Callable[[str], T], language: str) -> T:
    from assay.view import said

    while True:
        print(f"{said(say(key), language)} [{now}]: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line.strip():
            return now
        try:
            return kind(line.strip())
        except ValueError:
            print(said(say("new.ask.again", value=line.strip()), language), file=sys.stderr)
