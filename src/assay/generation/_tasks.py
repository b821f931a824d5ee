"""Tasks: what is shown to the model, what it writes, and the seeds that are in the package."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.core import AssayError, Sample, read_json_lines, task_type
from assay.data import normalise, read

SEEDS = Path(__file__).parent / "seeds"
SEED_LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Task:
    """An instruction with its material and its answer, either of them "" where there is none.

    ``type`` is a standard name (:func:`assay.core.task_type`) or None; ``language`` a primary tag or None.
    """

    instruction: str
    input: str = ""
    output: str = ""
    type: str | None = None
    language: str | None = None
    name: str = ""

    @property
    def prompt(self) -> str:
        """The instruction, and the input in a paragraph of its own."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction

    @cached_property
    def identity(self) -> str:
        """The prompt without case, width, white space and punctuation: equal for exact duplicates."""
        return normalise(self.prompt) or self.prompt

    def sample(self, source: str) -> Sample:
        """Return the task as a sample; without an answer it is an evaluation item."""
        return Sample.single(
            self.prompt, self.output or None, type=self.type, language=self.language, source=source
        )


def task_of(sample: Sample) -> Task:
    """Return the last turn of a sample as a task; what stands before a blank line is its instruction."""
    instruction, _, material = sample.prompt[-1].content.partition("\n\n")
    return Task(
        instruction.strip(), material.strip(), sample.answer or "", sample.type, sample.language,
        sample.origin or sample.id,
    )  # fmt: skip


def own_seeds(language: str) -> tuple[Task, ...]:
    """Return the seed tasks of the package in ``language`` (en or zh)."""
    if language not in SEED_LANGUAGES:
        raise AssayError(
            "the package ships no seed tasks in this language",
            place="language",
            value=language,
            expected=" or ".join(SEED_LANGUAGES),
            hint="localize the English ones, or provide your own seed tasks",
        )
    return read_seeds([str(SEEDS / f"{language}.jsonl")])


def read_seeds(places: Iterable[str]) -> tuple[Task, ...]:
    """Read seed tasks: JSONL rows with instruction, input and output, or any data set.

    Rows may have type, language, id; input and output apart from the instruction are kept so.  Raises
    :class:`AssayError` for a place without a task, and for a row that is none.
    """
    found: list[Task] = []
    for place in places:
        before = len(found)
        if Path(place).suffix == ".jsonl" and Path(place).is_file():
            found += _rows(Path(place))
        else:
            found += [task_of(row) for row in read(place) if isinstance(row, Sample)]
        if len(found) == before:
            raise AssayError("no seed task", place=place, expected="rows with instruction, input and output")
    return tuple(found)


def _rows(path: Path) -> list[Task]:
    return [_row(row, place) for place, row in read_json_lines(path)]


def _row(row: dict[str, Any], place: str) -> Task:
    if isinstance(row.get("instances"), list) and row["instances"] and isinstance(row["instances"][0], dict):
        row = {**row["instances"][0], **{k: v for k, v in row.items() if k != "instances"}}
    texts = [row.get(name, "") for name in ("instruction", "input", "output")]
    if not all(isinstance(text, str) for text in texts) or not texts[0].strip():
        raise AssayError(
            "not a seed task",
            place=place,
            value=str(row)[:80],
            expected='{"instruction": …, "input": …, "output": …}, all texts',
        )
    kind, language = row.get("type"), row.get("language")
    return Task(
        texts[0].strip(),
        texts[1].strip(),
        texts[2].strip(),
        type=task_type(kind) if isinstance(kind, str) and kind.strip() else None,
        language=language if isinstance(language, str) else None,
        name=str(row.get("id") or Path(place).name),
    )
