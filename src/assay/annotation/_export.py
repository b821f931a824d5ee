"""Labels to files: what each annotator said, corrected items, and where annotators disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.annotation._store import Store
from assay.annotation._values import HumanLabel, Item
from assay.annotation._work import Work, work_of
from assay.core import (
    AssayError,
    Column,
    Items,
    Message,
    Page,
    Paragraph,
    Sample,
    Shown,
    Table,
    files,
    page,
    say,
    to_json,
)
from assay.data import write, write_lines
from assay.judging import Alpha, krippendorff_alpha


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far annotators agree: alpha of types (nominal) and of scores (interval), and equal answers.

    ``answers`` treats corrected answers as nominal values; its ``same`` is the share of pairs that are equal.
    """

    types: Alpha
    scores: Alpha
    answers: Alpha

    def as_table(self) -> Table:
        """Return alpha, equal pairs and items with several labels, a row each."""
        rows = tuple(
            (say(f"annotate.overview.{name}"), found.value, found.same, found.units, found.reason)
            for name, found in (("types", self.types), ("scores", self.scores), ("answers", self.answers))
        )
        forms = {"agree": "@", "alpha": "value", "same": "percent", "shared": ",", "why": "@reason"}
        columns = tuple(Column(say(f"col.{name}"), form) for name, form in forms.items())
        noted = any(row[-1] for row in rows)
        return Table(
            columns if noted else columns[:-1], rows if noted else tuple(row[:-1] for row in rows),
            say("annotate.overview.agreement"), note=say("annotate.overview.agreement.note"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AnnotatorStatus:
    """How far one annotator is: items given, labelled, and with an unsaved change."""

    name: str | None
    items: int
    done: int
    drafts: int


@dataclass(frozen=True, slots=True)
class AnnotationStatus(Shown):
    """How far an annotation is, and how well its annotators agree.

    ``labelled`` items have a label, ``shared`` two or more; ``labels`` counts all of them.
    """

    database: str
    items: int
    labels: int
    annotators: tuple[AnnotatorStatus, ...]
    agreement: Agreement
    labelled: int = 0
    shared: int = 0
    work: Work | None = None
    """What it took of people's time so far."""

    def as_page(self) -> Page:
        """Return who has done how much, then how far they agree."""
        head = say("annotate.head", labelled=self.labelled, items=self.items, shared=self.shared)
        people = tuple(
            (
                say("annotate.nobody", n=place) if one.name is None else one.name,
                one.done,
                one.items,
                one.drafts,
            )
            for place, one in enumerate(self.annotators, 1)
        )
        names = ("annotator", "labelled", "given", "drafts")
        table = Table(
            tuple(Column(say(f"col.{name}"), "," * (i > 0)) for i, name in enumerate(names)), people
        )
        agreed = (
            None if self.shared or len(self.annotators) > 1 else Paragraph(say("annotate.alone"), "quiet")
        )
        return page(
            Paragraph(head, "strong"),
            table,
            agreed or self.agreement.as_table(),
            Items(tuple(self.work.said())) if self.work else None,
            files(database=self.database),
        )


@dataclass(frozen=True, slots=True)
class AnnotationExport(Shown):
    """What was written: corrected samples, items left out by reason, and labels."""

    samples: str
    kept: int
    disagreed: int
    unlabelled: int
    labels: str
    n_labels: int
    disagreements: str

    def as_page(self) -> Page:
        """Return how many items became samples, which did not and why, and where all of it lies."""
        head = say("annotate.exported", kept=self.kept, items=self.kept + self.disagreed + self.unlabelled)
        left = [
            say(f"annotate.left.{name}", n=n)
            for name, n in (("disagreed", self.disagreed), ("unlabelled", self.unlabelled))
            if n
        ]
        places = {"samples": self.samples, "labels": self.labels, "disagreements": self.disagreements}
        return page(Paragraph(head, "strong"), Items(tuple(left)) if left else None, files(**places))


def agreement(labels: Iterable[HumanLabel]) -> Agreement:
    """Return the agreement of annotators over items; a value that was not given is missing, not zero."""
    by_item: dict[str, list[HumanLabel]] = {}
    for label in labels:
        by_item.setdefault(label.item, []).append(label)
    rows = list(by_item.values())
    return Agreement(
        krippendorff_alpha([[r.type for r in row if r.type is not None] for row in rows]),
        krippendorff_alpha([[r.score for r in row if r.score is not None] for row in rows], "interval"),
        krippendorff_alpha([[_bare(r.answer) for r in row if r.answer is not None] for row in rows]),
    )


def _bare(text: str | None) -> str | None:
    """Return a text without spaces at ends of lines, which no annotator sees; indentation stays."""
    return None if text is None else "\n".join(line.rstrip() for line in text.strip().splitlines())


def status(store: Store) -> AnnotationStatus:
    """Return how far an annotation is."""
    rows = []
    for seat, name in store.seats().items():
        tasks = store.tasks(seat)
        n_drafts = sum(task.state == "draft" for task in tasks)
        rows.append(AnnotatorStatus(name, len(tasks), sum(task.labelled for task in tasks), n_drafts))
    labels = store.labels()
    n_items, each = sum(1 for _ in store.all_items()), Counter(label.item for label in labels)
    return AnnotationStatus(
        store.place, n_items, len(labels), tuple(rows), agreement(labels), len(each),
        sum(n > 1 for n in each.values()), work_of(labels, sum(row.items for row in rows)),
    )  # fmt: skip


def write_labels(store: Store, path: Path) -> int:
    """Write all labels as JSONL, the items in order, and return how many.

    A row has item (the sample's id), annotator, type, answer, score, note, time, judged (the answer that was
    scored) and position; a score that was not given is null.
    """
    return write_lines((_row(label) for label in store.labels()), path)


def _row(label: HumanLabel) -> dict[str, Any]:
    row = to_json(label)
    assert isinstance(row, dict)  # noqa: S101 - dataclasses become objects
    return row


def export(store: Store, out: Path, *, by: str | None = None) -> AnnotationExport:
    """Write corrected items as samples, labels to ``OUT.labels.jsonl``, disagreements beside them.

    Without ``by``, an item's type and answer are what more than half of its annotators say (answers that
    differ in blanks at ends of lines alone are equal); an item without such a majority is left out and listed
    in ``OUT.disagreements.jsonl``.  With ``by``, they are what that annotator says.  Items without a label
    are counted and left out.  Raises :class:`AssayError` for an annotator who is not there.
    """
    labels = store.labels()
    names = {name for name in store.seats().values() if name is not None}
    if by is not None and by not in names:
        expected = ", ".join(sorted(names)) or "nobody has logged in yet"
        raise AssayError("no such annotator", place="by", value=by, expected=expected)
    by_item: dict[str, list[HumanLabel]] = {}
    for label in labels:
        by_item.setdefault(label.item, []).append(label)
    kept: list[Sample] = []
    disputes: list[dict[str, Any]] = []
    unlabelled = 0
    for item in store.all_items():
        said = [x for x in by_item.get(item.id, ()) if by is None or x.annotator == by]
        dispute = _dispute(item, said)
        if not said:
            unlabelled += 1
        elif dispute is not None:
            disputes.append(dispute)
        else:
            kept.append(_corrected(item.sample, said))
    label_path = out.with_name(f"{out.name}.labels.jsonl")
    dispute_path = out.with_name(f"{out.name}.disagreements.jsonl")
    write(kept, out, "samples")
    write_lines(disputes, dispute_path)
    n_labels = write_lines(map(_row, labels), label_path)
    return AnnotationExport(
        str(out), len(kept), len(disputes), unlabelled, str(label_path), n_labels, str(dispute_path)
    )


def _majority(values: Sequence[str | None]) -> bool:
    """Say whether more than half of the values are the same."""
    return bool(values) and Counter(values).most_common(1)[0][1] * 2 > len(values)


def _dispute(item: Item, said: Sequence[HumanLabel]) -> dict[str, Any] | None:
    """Return the row of an item without a majority, or None."""
    fields = {
        "type": _majority([label.type for label in said]),
        "answer": _majority([_bare(label.answer) for label in said]),
    }
    open_fields = [name for name, agreed in fields.items() if not agreed]
    if not said or not open_fields:
        return None
    says = [{"annotator": x.annotator} | {name: getattr(x, name) for name in open_fields} for x in said]
    return {"item": item.id, "position": item.position, "origin": item.sample.origin, "fields": open_fields,
            "labels": says}  # fmt: skip


def _corrected(sample: Sample, said: Sequence[HumanLabel]) -> Sample:
    kind = Counter(label.type for label in said).most_common(1)[0][0]
    bare = Counter(_bare(label.answer) for label in said).most_common(1)[0][0]
    answer = next(label.answer for label in said if _bare(label.answer) == bare)
    turns = sample.prompt if answer is None else (*sample.prompt, Message("assistant", answer))
    return replace(sample, messages=turns, type=kind)
