"""Questions of several turns, their references, and what is judged of each turn (MT-bench, 2306.05685)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.core import AssayError, Message, Sample
from assay.data import plain_rows
from assay.judging._judge import Judgement

VERSION = 1
TEMPERATURES: Mapping[str, float] = {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1}
"""How warm answers are drawn by category (FastChat's llm_judge); the others are greedy."""
WITHOUT_REFERENCES = ("writing", "roleplay", "extraction", "stem", "humanities")
"""MT-bench's categories that are graded without reference answers; all others are graded with those given."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Questions that are asked in turn, each after the model's own answers to those before.

    ``references``: an answer to each question, or none at all.
    """

    id: str
    category: str
    questions: tuple[str, ...]
    references: tuple[str, ...] = ()

    def asked(self, answers: Sequence[str]) -> Sample:
        """Return the conversation up to the question that follows ``answers``."""
        turns: list[Message] = []
        for question, answer in zip(self.questions, answers, strict=False):
            turns += [Message("user", question), Message("assistant", answer)]
        return Sample((*turns, Message("user", self.questions[len(answers)])), self.category, group=self.id)

    def judged(self, answers: Sequence[str], turn: int) -> Sample:
        """Return what a judge sees of a turn (0, 1 ...): the conversation before it, and the references."""
        asked = self.asked(answers[:turn])
        if not self.references:
            return asked
        known = self.references[: turn + 1]
        text = known[0] if turn == 0 else "\n\n".join(f"[{n}] {one}" for n, one in enumerate(known, 1))
        return replace(asked, messages=(*asked.messages, Message("assistant", text)))


def read_dialogues(
    questions: Iterable[Path], references: Iterable[Path] = (), *, limit: int | None = None
) -> list[Dialogue]:
    """Return the questions of files in MT-bench's layout, with the references that there are for them.

    A row of questions has ``question_id``, ``turns`` (or ``prompt``: a list), ``category`` and, where they
    stand beside, ``reference`` answers; a row of references ``question_id`` and ``choices`` (the first
    counts) or ``turns``, and stands before what is beside the question.  Of MT-bench's own categories
    references count for math, reasoning and coding alone, as published.  ``limit``: the first so many of each
    category.  Raises :class:`AssayError` with the place of what is missing.
    """
    given = read_turns(references)
    found: dict[str, Dialogue] = {}
    for path in questions:
        for number, row in enumerate(plain_rows(path), 1):
            one = _dialogue(row, f"{path}:{number}")
            known = given.get(one.id, one.references)
            one = replace(one, references=() if one.category in WITHOUT_REFERENCES else known)
            if one.references and len(one.references) != len(one.questions):
                raise AssayError(
                    "not a reference for each question", place=f"{path}:{number}", value=len(one.references),
                    expected=f"{len(one.questions)}, or none",
                )  # fmt: skip
            if one.id in found:
                raise AssayError("a question appears twice", place=f"{path}:{number}", value=one.id)
            found[one.id] = one
    if not found:
        raise AssayError("no questions", place="questions", expected="rows with question_id and turns")
    if given and not given.keys() & found.keys():
        raise AssayError(
            "no reference belongs to a question", place="references", value=_few(given),
            expected=f"question_id as in the questions: {_few(found)}",
        )  # fmt: skip
    return _first(list(found.values()), limit)


def _first(found: list[Dialogue], limit: int | None) -> list[Dialogue]:
    counts: dict[str, int] = {}
    kept = []
    for one in found:
        counts[one.category] = counts.get(one.category, 0) + 1
        if limit is None or counts[one.category] <= limit:
            kept.append(one)
    return kept


def _dialogue(row: Mapping[str, Any], place: str) -> Dialogue:
    turns = _texts(row.get("turns", row.get("prompt")), f"{place}, turns")
    beside = row.get("reference") or ()
    references = _texts(beside, f"{place}, reference") if beside else ()
    known = row.get("question_id", row.get("prompt_id"))
    if known is None:
        raise AssayError("the question has no id", place=place, expected="question_id")
    return Dialogue(str(known), str(row.get("category") or "untyped"), turns, references)


def read_turns(places: Iterable[Path]) -> dict[str, tuple[str, ...]]:
    """Return answers by question from files in FastChat's layout (``choices``, or ``turns`` alone)."""
    found: dict[str, tuple[str, ...]] = {}
    for path in places:
        for number, row in enumerate(plain_rows(path), 1):
            place = f"{path}:{number}"
            if row.get("question_id") is None:
                raise AssayError("the answer names no question", place=place, expected="question_id")
            known, choices = str(row["question_id"]), row.get("choices")
            first = choices[0] if isinstance(choices, list) and choices else row
            turns = _texts(first.get("turns") if isinstance(first, Mapping) else None, f"{place}, turns")
            if found.setdefault(known, turns) != turns:
                raise AssayError(
                    "a second answer to the same question", place=place, value=known,
                    expected="the answers of one model", hint="write those of each model to their own file",
                )  # fmt: skip
    return found


def check_answers(dialogues: Sequence[Dialogue], answers: Mapping[str, Sequence[str]], place: str) -> None:
    """Raise :class:`AssayError` for answers that no question asked for: to others, or to further turns."""
    turns = {one.id: len(one.questions) for one in dialogues}
    if others := [known for known in answers if known not in turns]:
        raise AssayError(
            "answers to questions that are not there", place=place, value=_few(others),
            expected=f"answers to the questions given: {_few(turns)}",
        )  # fmt: skip
    if longer := [known for known, said in answers.items() if len(said) > turns[known]]:
        raise AssayError(
            "more answers than the question has turns", place=place, value=_few(longer),
            expected=f"at most {turns[longer[0]]} for {longer[0]}",
        )  # fmt: skip


def _few(names: Iterable[str]) -> str:
    """Return the first names of many."""
    every = list(names)
    return ", ".join(every[:5]) + (f" and {len(every) - 5:,} more" if len(every) > 5 else "")


def _texts(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(one, str) for one in value):
        raise AssayError("not a list of texts", place=place, value=value, expected="a text for each turn")
    return tuple(value)


def turn_items(
    dialogues: Sequence[Dialogue], answers: Mapping[str, Sequence[str]]
) -> tuple[list[str], list[Sample], list[str | None]]:
    """Return name ("81/2"), item and answer of every turn, None where there is no answer.

    A turn whose earlier answers are missing has none either: there is no conversation to judge it in.
    """
    names, items, texts = list[str](), list[Sample](), list[str | None]()
    for one in dialogues:
        said = list(answers.get(one.id, ()))[: len(one.questions)]
        for turn in range(len(one.questions)):
            before = [*said, *[""] * len(one.questions)]
            names.append(f"{one.id}/{turn + 1}")
            items.append(one.judged(before, turn))
            texts.append(said[turn] if turn < len(said) else None)
    return names, items, texts


def named(names: Sequence[str], judgements: Sequence[Judgement]) -> list[Judgement]:
    """Return judgements under the names of their turns, which are the same for all models."""
    return [replace(one, item=name) for name, one in zip(names, judgements, strict=True)]
