"""A stream of testbed samples, decided by a seed alone."""

from __future__ import annotations

import random
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from assay.core import TASK_TYPES, AssayError, Sample, task_type
from assay.data.synthetic import _defects
from assay.data.synthetic._check import check
from assay.data.synthetic._defects import DEFECTS
from assay.data.synthetic._tables import LANGUAGES
from assay.data.synthetic._tasks import MAKERS, Task

Split = Literal["train", "eval"]
_REMEMBERED = 64
# Prompts are given to one split by their checksum, so that no prompt is in both, whatever the seeds.
_EVAL_SHARE = 8


@dataclass(frozen=True, slots=True)
class Planted:
    """A sample, and the defect planted in it: its kind and the characters of the answer it touches."""

    sample: Sample
    defect: str | None = None
    span: tuple[int, int] | None = None


def generate(
    n: int,
    *,
    seed: int,
    split: Split = "train",
    types: Sequence[str] = TASK_TYPES,
    languages: Sequence[str] = LANGUAGES,
    difficulty: float = 0.5,
    defects: Mapping[str, float] | None = None,
) -> Iterator[Planted]:
    """Yield ``n`` samples; the first m of a longer stream are the stream of m (so prefixes are rungs).

    Types and languages take equal turns, in random order within each round.  ``difficulty`` in (0, 1] scales
    how much each type has to learn (:func:`learning_size`); ``defects`` maps a kind of :data:`DEFECTS` to its
    share of the samples.  Raises :class:`AssayError` for unknown names and for values out of range.
    """
    stream = _Stream(seed, split, types, languages, difficulty, defects or {})
    return islice(stream.samples(), n)


def _known(place: str, given: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for name in given:
        if name not in known:
            raise AssayError("unknown name", place=f"testbed.{place}", value=name, expected=", ".join(known))
    if not given and place != "defects":
        raise AssayError("empty", place=f"testbed.{place}", expected=", ".join(known))
    return tuple(given)


class _Stream:
    def __init__(
        self,
        seed: int,
        split: str,
        types: Sequence[str],
        languages: Sequence[str],
        difficulty: float,
        defects: Mapping[str, float],
    ) -> None:
        chosen = _known("types", [task_type(t) for t in types], TASK_TYPES)
        _known("split", [split], ("train", "eval"))
        _known("defects", list(defects), DEFECTS)
        self.cells = [
            (t, LANGUAGES.index(c)) for t in chosen for c in _known("languages", languages, LANGUAGES)
        ]
        if not 0 < difficulty <= 1:
            raise AssayError(
                "out of range", place="testbed.difficulty", value=difficulty, expected="above 0, at most 1"
            )
        if any(not 0 <= share <= 1 for share in defects.values()) or sum(defects.values()) > 1:
            raise AssayError(
                "out of range",
                place="testbed.defects",
                value=dict(defects),
                expected="shares that sum to at most 1",
            )
        self.split, self.difficulty, self.defects = split, difficulty, defects
        self.rng = random.Random(f"assay-testbed-1:{seed}:{split}")
        self.earlier: deque[Sample] = deque(maxlen=_REMEMBERED)

    def samples(self) -> Iterator[Planted]:
        row = 0
        while True:
            order = list(self.cells)
            self.rng.shuffle(order)
            for kind, lang in order:
                yield self._planted(kind, lang, row)
                row += 1

    def _planted(self, type: str, lang: int, row: int) -> Planted:
        task = self._task(type, lang)
        kind = self._kind() if self.defects else None
        origin = f"testbed:{row}"
        # One letter cannot be cut, and the first sample copies none: they stay clean.
        cannot = (kind == "near_duplicate" and not self.earlier) or (
            kind == "truncated" and len(task.answer) < 2
        )
        if kind is None or cannot:
            sample = _sample(type, lang, task, task.prompt, task.answer, origin)
            self.earlier.append(sample)
            return Planted(sample)
        if kind == "near_duplicate":
            return self._near_copy(origin)
        answer, span = self._spoiled(kind, type, lang, task)
        return Planted(_sample(type, lang, task, task.prompt, answer, origin), kind, span)

    def _task(self, type: str, lang: int) -> Task:
        """Make a task whose prompt belongs to the split."""
        while True:
            task = MAKERS[type](self.rng, lang, self.difficulty)
            held_out = zlib.crc32(task.prompt.encode()) % _EVAL_SHARE == 0
            if held_out == (self.split == "eval"):
                return task

    def _kind(self) -> str | None:
        drawn = self.rng.random()
        for kind, share in self.defects.items():
            drawn -= share
            if drawn < 0:
                return kind
        return None

    def _near_copy(self, origin: str) -> Planted:
        source = self.earlier[int(self.rng.random() * len(self.earlier))]
        prompt = _defects.misspelt(source.prompt[0].content, self.rng)
        copy = Sample.single(
            prompt,
            source.answer,
            type=source.type,
            language=source.language,
            source=source.source,
            checker=source.checker,
            group=source.group,
            origin=origin,
        )
        return Planted(copy, "near_duplicate", (0, len(source.answer or "")))

    def _spoiled(self, kind: str, type: str, lang: int, task: Task) -> tuple[str, tuple[int, int]]:
        if kind == "garbled":
            return _defects.garbled(task.answer, self.rng)
        if kind == "truncated":
            return _defects.truncated(task.answer, self.rng)
        if kind == "refusal":
            answer = _defects.refusal(lang, self.rng)
        elif kind == "wrong_language":
            answer = self._other(type, 1 - lang, task, kind)
        elif kind == "off_topic":
            others = [cell for cell in self.cells if cell[0] != type and cell[1] == lang] or [(type, lang)]
            answer = self._other(others[int(self.rng.random() * len(others))][0], lang, task, kind)
        else:
            answer = self._other(type, lang, task, kind)
        return answer, (0, len(answer))

    def _other(self, type: str, lang: int, task: Task, kind: str) -> str:
        """Return the answer to another task that is not right for this one."""
        if kind == "wrong_language" and type == "translation":
            lang = 1 - lang  # a translation's answer is in the other language already
            return task.prompt.rpartition("：" if lang == 0 else ": ")[2]
        answer = task.answer
        for _ in range(100):
            answer = MAKERS[type](self.rng, lang, self.difficulty).answer
            if check(task.checker, answer) < 1:
                break
        return answer


def _sample(type: str, lang: int, task: Task, prompt: str, answer: str, origin: str) -> Sample:
    return Sample.single(
        prompt,
        answer,
        type=type,
        language=LANGUAGES[lang],
        source="testbed",
        checker=task.checker,
        group=f"{type}/{LANGUAGES[lang]}/{task.key}",
        origin=origin,
    )
