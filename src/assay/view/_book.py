"""The answers of a report: from their file, or from the sheets of a result; and as much as a page holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from assay.core import AnswerBook, AnswerSheet, BookItem, BookRun, BookTexts, StudyResult, read_json
from assay.view._files import restore

ANSWERS = "answers.json"
"""File of all answers, beside the report."""
MOST_CHARACTERS = 24_000_000
"""Of texts in one page: with more, a browser takes seconds to open it."""


def load_book(folder: Path) -> AnswerBook | None:
    """Return the answers that lie beside a report, None where none do."""
    path = folder / ANSWERS
    return restore(AnswerBook, read_json(path), place=str(path)) if path.is_file() else None


def book_of(result: StudyResult) -> AnswerBook:
    """Return the sheets of a result as a book: what is there of a result without a file of answers."""
    runs = dict.fromkeys(
        BookRun(a.arm, a.n_train, a.seed, a.run) for sheet in result.answers for a in sheet.answers
    )
    texts = BookTexts()
    items = tuple(_item(sheet, tuple(runs), texts) for sheet in result.answers if sheet.answers)
    return AnswerBook(tuple(runs), items, texts.all())


def _item(sheet: AnswerSheet, runs: tuple[BookRun, ...], texts: BookTexts) -> BookItem:
    own = {BookRun(a.arm, a.n_train, a.seed, a.run): a for a in sheet.answers}
    found = [own.get(run) for run in runs]
    return BookItem(
        id=sheet.item, type=sheet.type, language="", prompt=sheet.prompt, reference=sheet.reference,
        answers=tuple(texts.place(a.answer if a else None) for a in found),
        scores=tuple(a.score if a else None for a in found),
        said=tuple(texts.place(a.said if a else None) for a in found),
    )  # fmt: skip


def fitting(book: AnswerBook, most: int = MOST_CHARACTERS) -> AnswerBook:
    """Return the book with as many items as ``most`` characters allow, taken from all types in turn."""
    left, kept = most, set[str]()
    for item in _in_turn(book.items):
        left -= _characters(book, item)
        if left < 0:
            break
        kept.add(item.id)
    return book if len(kept) == len(book.items) else _only(book, kept)


def _in_turn(items: tuple[BookItem, ...]) -> list[BookItem]:
    seen: dict[str, int] = {}
    places = []
    for item in items:
        seen[item.type] = seen.get(item.type, 0) + 1
        places.append(seen[item.type])
    return [item for _, item in sorted(zip(places, items, strict=True), key=lambda pair: pair[0])]


def _characters(book: AnswerBook, item: BookItem) -> int:
    places = {place for place in (*item.answers, *item.said) if place is not None}
    return len(item.prompt) + len(item.reference or "") + sum(len(book.texts[p]) for p in places)


def _only(book: AnswerBook, kept: set[str]) -> AnswerBook:
    """Return the book with some of its items, and no text that none of them needs."""
    texts = BookTexts()

    def places(old: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(None if p is None else texts.place(book.texts[p]) for p in old)

    items = tuple(
        replace(item, answers=places(item.answers), said=places(item.said))
        for item in book.items
        if item.id in kept
    )
    return AnswerBook(book.runs, items, texts.all())
