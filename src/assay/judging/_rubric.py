"""Rubrics: what a judge is told for each type of use, in English and in Chinese."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeAlias

from assay.core import AssayError, Message, Sample, digest, read_text
from assay.data import language_of
from assay.judging._scale import Scale

Language: TypeAlias = Literal["en", "zh"]
Form: TypeAlias = Literal["json", "number", "pairwise"]

GENERAL = "general"
"""Name of the rubric of items whose type is not known."""
SINGLE, SINGLE_REFERENCE = "single", "single-reference"
"""Names of the rubrics that grade a single answer whatever its type, without and with a reference."""

_GENERAL_FROM = "open_qa"
_GENERAL_NAME = {"en": "Any task", "zh": "任意任务"}
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_DELIMITER = re.compile(r"<(?=/?(?:question|reference|answer|answer_a|answer_b)\s*>)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Anchor:
    """One number of a scale, and what an answer is like that earns it."""

    score: float
    meaning: str


@dataclass(frozen=True, slots=True)
class Rubric:
    """How answers to one type of use are judged; anchors rise from 0 to 1, or from 1 to 10."""

    type: str
    name: str
    criteria: str
    anchors: tuple[Anchor, ...]
    needs_reference: bool
    reference_use: str

    @property
    def scale(self) -> Scale:
        """Return the scale that the anchors make."""
        steps = tuple(anchor.score for anchor in self.anchors)
        return Scale(steps[0], steps[-1], steps)

    @property
    def units(self) -> tuple[float, ...]:
        """Return what the anchors are worth in [0, 1]."""
        return tuple(self.scale.unit(anchor.score) for anchor in self.anchors)


@dataclass(frozen=True, slots=True)
class Rubrics:
    """The rubrics of one language and the texts around them; ``digest`` is that of all of it."""

    language: str
    texts: Mapping[str, str]
    by_type: Mapping[str, Rubric]
    digest: str

    def of(self, kind: str | None) -> Rubric:
        """Return the rubric of a type, or the general one."""
        return self.by_type.get(kind or "", self.by_type[GENERAL])

    def pointwise(
        self, item: Sample, answer: str, rubric: Rubric, form: Literal["json", "number"]
    ) -> tuple[Message, ...]:
        """Return the messages that ask for a score of one answer.

        In the form ``number`` the anchors are numbered from 0, so that each is one token.
        """
        labels = range(len(rubric.anchors)) if form == "number" else [a.score for a in rubric.anchors]
        lines = [
            _fill(self.texts["scale_line"], {"score": f"{label:g}", "meaning": anchor.meaning})
            for label, anchor in zip(labels, rubric.anchors, strict=True)
        ]
        own = {"answer": _data(answer), "scale": "\n".join(lines), "form": self.texts[f"form_{form}"]}
        return self._messages("template", item, rubric, own)

    def pairwise(self, item: Sample, first: str, second: str, rubric: Rubric) -> tuple[Message, ...]:
        """Return the messages that ask which of two answers is better."""
        own = {"answer_a": _data(first), "answer_b": _data(second), "form": self.texts["form_pairwise"]}
        return self._messages("pairwise", item, rubric, own)

    def _messages(
        self, template: str, item: Sample, rubric: Rubric, own: Mapping[str, str]
    ) -> tuple[Message, ...]:
        reference = item.answer or ""
        values = {
            "type": rubric.name,
            "question": _data(question(item)),
            "reference": _data(reference) if reference else self.texts["no_reference"],
            "criteria": rubric.criteria,
            "reference_use": rubric.reference_use if reference else self.texts["no_reference_use"],
            **own,
        }
        return (
            Message("system", self.texts["system"]),
            Message("user", _fill(self.texts[template], values)),
        )


def question(item: Sample) -> str:
    """Return the prompt of an item as one text; several turns are distinguished by their roles."""
    turns = item.prompt
    if len(turns) == 1:
        return turns[0].content
    return "\n\n".join(f"[{turn.role}]\n{turn.content}" for turn in turns)


def language_for(item: Sample, wanted: str = "auto") -> Language:
    """Return the language in which an item is judged: its own if that is Chinese, else English."""
    if wanted in ("en", "zh"):
        return wanted  # type: ignore[return-value]
    own = item.language or language_of(question(item))
    return "zh" if own == "zh" else "en"


def rubrics(language: str, own: Path | None = None) -> Rubrics:
    """Read the rubrics of a language; a user's ``own`` file replaces types and texts, or adds types.

    A file that changed is read again.  Raises :class:`AssayError` with the place of what is missing or wrong.
    """
    return _rubrics(language, own, stamp(own))


@cache
def single(language: str) -> Rubrics:
    """Return the rubrics of a language that grade single answers from 1 to 10 (MT-bench, 2306.05685)."""
    own, name = rubrics(language), f"single-{language}.toml"
    known = {kind: _rubric(kind, entry, name) for kind, entry in _packaged(name).items()}
    return Rubrics(language, own.texts, known, digest([own.texts, list(known.values())]))


def _packaged(name: str) -> dict[str, Any]:
    return tomllib.loads(files("assay.judging").joinpath("rubrics", name).read_text(encoding="utf-8"))


def stamp(own: Path | None) -> tuple[int, int] | None:
    """Return what changes with the content of a file; None without one, or where it is not there."""
    try:
        found = own and own.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found else None


@cache
def _rubrics(language: str, own: Path | None, state: tuple[int, int] | None) -> Rubrics:
    name = f"{language}.toml"
    table = _packaged(name)
    for kind, entry in (_read(own) if own is not None else {}).items():
        table[kind] = {**table.get(kind, {}), **entry}
    place = str(own or name)
    texts = {key: str(text).strip("\n") for key, text in table.pop("general").items()}
    known = {kind: _rubric(kind, entry, place) for kind, entry in table.items()}
    known.setdefault(GENERAL, _general(known[_GENERAL_FROM], _GENERAL_NAME[language]))
    return Rubrics(language, texts, known, digest([texts, list(known.values())]))


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise AssayError(
            f"the rubrics cannot be read ({error})", place=str(path), expected="a TOML file"
        ) from None
    for kind, entry in table.items():
        if not isinstance(entry, dict):
            raise AssayError("not a table", place=f"{path}: {kind}", value=entry, expected="[type] tables")
    return table


def _rubric(kind: str, entry: Mapping[str, Any], place: str) -> Rubric:
    missing = [key for key in ("name", "criteria", "scale", "reference_use") if not entry.get(key)]
    if missing:
        raise AssayError(
            "the rubric is not complete", place=f"{place}: {kind}", expected=f"also {', '.join(missing)}"
        )
    anchors = sorted((_anchor(row, f"{place}: {kind}.scale") for row in entry["scale"]), key=_score)
    scores = [anchor.score for anchor in anchors]
    ends = (scores[0], scores[-1])
    if not 2 <= len(anchors) <= 10 or len(set(scores)) < len(scores) or ends not in ((0, 1), (1, 10)):
        raise AssayError(
            "not a scale",
            place=f"{place}: {kind}.scale",
            value=scores,
            expected="2 to 10 different scores, from 0 to 1 or from 1 to 10",
        )
    return Rubric(
        kind,
        str(entry["name"]),
        str(entry["criteria"]).strip(),
        tuple(anchors),
        bool(entry.get("needs_reference", False)),
        str(entry["reference_use"]).strip(),
    )


def _anchor(row: Any, place: str) -> Anchor:
    if not isinstance(row, dict) or not isinstance(row.get("score"), int | float) or not row.get("meaning"):
        raise AssayError("not an anchor", place=place, value=row, expected="{ score = 0.5, meaning = '…' }")
    return Anchor(float(row["score"]), str(row["meaning"]))


def _score(anchor: Anchor) -> float:
    return anchor.score


def _general(basis: Rubric, name: str) -> Rubric:
    """Return the rubric of an unknown type: that of open questions, which asks least of the form."""
    return Rubric(GENERAL, name, basis.criteria, basis.anchors, False, basis.reference_use)


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Fill the placeholders in one pass: braces inside the values, and all others, stay as they are."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


def _data(text: str) -> str:
    """Return a text in which nothing looks like the end of its own delimiters."""
    return _DELIMITER.sub("‹", text)
