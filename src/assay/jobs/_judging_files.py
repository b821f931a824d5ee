"""Files of judging: answers, judgements and labels of people, each line checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay import judging
from assay.core import AssayError, Sample, digest, read_json_lines

_ANSWER_KEYS = ("answer", "output", "response", "completion", "text")
_SCORE_KEYS = ("score", "human_score", "label", "stars")


@dataclass(frozen=True, slots=True)
class JudgementFile:
    """Judgements, and of the answers they are of the lengths (characters) and digests, by item."""

    place: str
    rows: tuple[judging.Judgement, ...]
    lengths: Mapping[str, int]
    answers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LabelFile:
    """Labels of people; ``unscored`` rows were seen and bear no score."""

    labels: tuple[judging.Label, ...]
    unscored: int


def read_answers(place: Path, items: Sequence[Sample]) -> list[str | None]:
    """Return the answer to each item from JSON lines, None where there is none.

    Rows bear the ``item`` that they answer (as ``assay answer`` writes them), or come in the order of the
    items, equally many.  Raises :class:`AssayError` with the line for anything that does not fit.
    """
    rows = list(read_json_lines(place))
    keyed = [("item" in row) for _, row in rows]
    if any(keyed) and not all(keyed):
        raise AssayError("only some rows name their item", place=str(place))
    texts = [(where, row, _text(row, where)) for where, row in rows]
    if not any(keyed):
        if len(rows) != len(items):
            raise AssayError(
                "the number of answers and items differs",
                place=str(place),
                value=f"{len(rows)} answers, {len(items)} items",
                expected="as many rows as items, in their order, or an `item` in each row",
            )
        return [text for _, _, text in texts]
    known = {item.id for item in items}
    found: dict[str, str | None] = {}
    for where, row, text in texts:
        name = str(row["item"])
        if name not in known:
            raise AssayError(
                "answer to an unknown item",
                place=where,
                value=name,
                hint="pass the items that were answered",
            )
        if name in found and found[name] != text:
            raise AssayError("second answer to the same item", place=where, value=name)
        found[name] = text
    return [found.get(item.id) for item in items]


def _text(row: dict[str, Any], where: str) -> str | None:
    key = next((key for key in _ANSWER_KEYS if key in row), None)
    if key is None:
        raise AssayError("no answer in the row", place=where, expected=f"one of {', '.join(_ANSWER_KEYS)}")
    text = row[key]
    if text is None or isinstance(text, str):
        return text
    raise AssayError("the answer is not a text", place=f"{where}, {key}", value=text)


def answer_digest(answer: str) -> str:
    """Return what tells answers apart, whatever the white space around them."""
    return digest(answer.strip())[:32]


def judgement_row(item: Sample, answer: str | None, found: judging.Judgement) -> dict[str, Any]:
    """Return a judgement as a line of its file."""
    return {
        **dataclasses.asdict(found),
        "language": item.language,
        "origin": item.origin,
        "characters": None if answer is None else len(answer),
        "answer_digest": None if answer is None else answer_digest(answer),
    }


def read_judgements(place: Path) -> JudgementFile:
    """Read what ``assay judge`` wrote; raises :class:`AssayError` with the line of anything else."""
    names = {field.name for field in dataclasses.fields(judging.Judgement)}
    found, lengths, answers = [], {}, {}
    for where, row in read_json_lines(place):
        missing = [name for name in ("item", "type", "method", "score") if name not in row]
        if missing:
            raise AssayError(
                "not a judgement", place=where, value=missing, expected="rows that `assay judge` wrote"
            )
        if row["score"] is not None:
            _number(row["score"], where)
        known: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in row.items() if key in names
        }
        found.append(judging.Judgement(**{"group": None, **known}))
        if row.get("characters") is not None:
            lengths[row["item"]] = _length(row["characters"], where)
        if row.get("answer_digest") is not None:
            answers[row["item"]] = str(row["answer_digest"])
    return JudgementFile(str(place), tuple(found), lengths, answers)


def _length(value: object, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise AssayError("the length of the answer is not a count", place=f"{where}, characters", value=value)


def read_labels(place: Path, of: JudgementFile) -> LabelFile:
    """Read people's labels: ``item``, ``score`` in [0, 1], and ``annotator`` and ``judged`` if known.

    ``judged`` is the answer that was scored, as ``assay annotate`` exports it.  Raises :class:`AssayError`
    where it is another than the judge's, or for a row that is no label.
    """
    labels, unscored = [], 0
    for where, row in read_json_lines(place):
        key = next((key for key in _SCORE_KEYS if key in row), None)
        if key is None or "item" not in row:
            raise AssayError("not a label", place=where, value=list(row), expected="item and score")
        if row[key] is None:
            unscored += 1
            continue
        item, who, judged = str(row["item"]), row.get("annotator"), row.get("judged")
        labels.append(judging.Label(item, _number(row[key], where), None if who is None else str(who)))
        if isinstance(judged, str) and of.answers.get(item) not in (None, answer_digest(judged)):
            raise AssayError(
                "people and judge scored different answers",
                place=where,
                value=judged,
                hint=f"label the answers that {of.place} is of",
            )
    return LabelFile(tuple(labels), unscored)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AssayError("the score is not a number", place=where, value=value)
    if not 0 <= value <= 1:
        raise AssayError("the score is not in [0, 1]", place=where, value=value, expected="0 to 1")
    return float(value)
