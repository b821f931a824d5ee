"""All answers of a study's models, for looking through: each text stored once."""

from __future__ import annotations

from dataclasses import dataclass

from assay.core._page import Shown


@dataclass(frozen=True, slots=True)
class BookRun:
    """A model of the ladder; ``key`` is that of the step that measured it, ``n_train`` 0 the base."""

    arm: str
    n_train: int
    seed: int
    key: str


@dataclass(frozen=True, slots=True)
class BookItem:
    """An evaluation item and, for every run of the book in its order, what that model answered.

    ``answers`` and ``said`` (the judge's reason) are places in the book's texts, None where there is none;
    ``scores`` are None where nothing was scored.  All three are as long as the book's runs.
    """

    id: str
    type: str
    language: str
    prompt: str
    reference: str | None
    answers: tuple[int | None, ...]
    scores: tuple[float | None, ...]
    said: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, repr=False)
class AnswerBook(Shown):
    """Every answer of every model to every item, with the score and the judge's reason."""

    runs: tuple[BookRun, ...]
    items: tuple[BookItem, ...]
    texts: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<AnswerBook: {len(self.runs)} models, {len(self.items)} items>"


class BookTexts:
    """Collects texts, each once; a place stays what it was."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str | None) -> int | None:
        """Return the place of a text, None for none."""
        return None if text is None else self._places.setdefault(text, len(self._places))

    def all(self) -> tuple[str, ...]:
        """Return the texts in the order of their places."""
        return tuple(self._places)
