"""What people say of items, and how it is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, TypeAlias

from assay.core import AssayError, Sample, task_type, to_json

EventKind: TypeAlias = Literal["save", "undo", "restore", "aside"]
"""What an event of the history did: ``aside`` keeps an unsaved change that was discarded."""


@dataclass(frozen=True, slots=True)
class Label:
    """What one annotator says of one item.

    ``type`` is the type of use; ``answer`` the golden answer, None where there is none; ``score`` in [0, 1]
    is that of the model's answer, or of the golden answer where no model's is shown, None where not scored.
    """

    type: str | None = None
    answer: str | None = None
    score: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse a score that is none."""
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise AssayError("not a score", place="score", value=self.score, expected="a number from 0 to 1")

    @classmethod
    def proposed(cls, sample: Sample) -> Label:
        """Return what the data itself says: where an annotator starts from."""
        return cls(None if sample.type is None else task_type(sample.type), sample.answer)

    def text(self) -> str:
        """Return the label as JSON in ASCII: any database takes it, whatever the text holds."""
        return json.dumps(to_json(self))

    @classmethod
    def parse(cls, text: str) -> Label:
        """Return the label of a JSON text."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Item:
    """An item to label: ``position`` from 1, the sample, and a model's answer to it if one is known."""

    position: int
    id: str
    sample: Sample
    model_answer: str | None


@dataclass(frozen=True, slots=True)
class Task:
    """One item of an annotator's list, and how far it is.

    ``labelled`` says whether a label holds; a draft may stand beside one.  ``number`` counts the annotator's
    own items from 1, ``position`` all items.
    """

    position: int
    item: str
    state: Literal["open", "draft", "done"]
    labelled: bool
    number: int


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of an item's history; ``version`` counts from 1 for each annotator and item.

    ``points`` is the version whose label holds after the event (0: no label).
    """

    version: int
    kind: EventKind
    points: int
    label: Label | None
    time: str


@dataclass(frozen=True, slots=True)
class Draft:
    """An unsaved change, kept as it was typed by one opened ``page``."""

    page: str
    serial: int
    label: Label
    time: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one item for one annotator: the number of events, the label that holds, the draft."""

    version: int
    label: Label | None
    draft: Draft | None
    time: str | None = None
    """When the label that holds was saved (ISO 8601, UTC)."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a page sends: a label, the version it started from, and which page it is.

    ``page`` names the opened page and ``serial`` counts what it sent; ``seen`` names the page whose draft it
    went on from, or is empty.
    """

    label: Label
    version: int
    page: str
    serial: int = 0
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A change that was not taken: the item was changed elsewhere meanwhile, as ``standing`` says."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class HumanLabel:
    """A label as it is exported: ``item`` is the sample's id, ``time`` when it was saved (ISO 8601, UTC).

    ``judged`` is the answer that the score is of: the model's, or the golden answer where no model's was
    shown.
    """

    item: str
    annotator: str
    type: str | None
    answer: str | None
    score: float | None
    note: str
    time: str
    judged: str | None
    position: int


def sample_text(sample: Sample) -> str:
    """Return a sample as JSON in ASCII."""
    return json.dumps(to_json(sample))


def parse_sample(text: str) -> Sample:
    """Return the sample of a JSON text."""
    from assay.core import Message

    fields = json.loads(text)
    messages = tuple(Message(**m) for m in fields.pop("messages"))
    return Sample(messages, **fields)
