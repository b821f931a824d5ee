"""A page described once: blocks of words, figures and charts, which :mod:`assay.view` shows in any form.

Words are keys of the catalogue and figures are numbers, so that a description knows neither the reader's
language nor the form it is shown in, and a missing value stays None until it is shown as a dash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Say:
    """A text of the catalogue: its key, and what is filled in (see :attr:`Column.form` for values)."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Restore the texts among the values, which JSON has as mappings."""
        object.__setattr__(self, "values", {name: _restored(value) for name, value in self.values.items()})

    def __hash__(self) -> int:
        """Return a hash that equal texts share; values may be lists."""
        return hash(self.key)

    def __str__(self) -> str:
        """Return it in words of the reader's language; looked up by name, as notebooks do (see ``Shown``)."""
        view = import_module("assay.view")
        text: str = view.said(self, view.reader_language())
        return text


_SPOKEN: ContextVar[str | None] = ContextVar("language", default=None)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Say texts inside the block in ``language``: progress and receipts of a study are in its own."""
    before = _SPOKEN.set(language)
    try:
        yield
    finally:
        _SPOKEN.reset(before)


def spoken() -> str | None:
    """Return the language of the innermost :func:`speaking`, None outside of any."""
    return _SPOKEN.get()


def _restored(value: Any) -> Any:
    return Say(**value) if isinstance(value, Mapping) and value.keys() == {"key", "values"} else value


def say(key: str, /, **values: Any) -> Say:
    """Return a text of the catalogue with ``values`` filled in."""
    return Say(key, values)


Text: TypeAlias = str | Say
"""A plain string comes from data and is shown as it is."""


def stored_text(stored: Any) -> Text:
    """Return a text from its JSON: a key with values, or the plain string of an older file."""
    found = _restored(stored)
    return found if isinstance(found, Say) else str(found)


@dataclass(frozen=True, slots=True)
class Judged:
    """A text with the word of the verdict on it, by which it is coloured."""

    text: Text
    word: str


@dataclass(frozen=True, slots=True)
class Shade:
    """A figure of a heat map: ``level`` from -3 (worst) to 3 (best) colours it, ``marked`` sets it off."""

    value: float | None
    level: int
    marked: bool = False


Cell: TypeAlias = (
    str
    | int
    | float
    | Say
    | Judged
    | Shade
    | tuple[float | None, float | None]
    | Sequence[str | Say]
    | Mapping[str, int]
    | None
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the page's answer."""

    text: Text
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text; ``tone`` is "", strong, quiet or warning."""

    text: Text
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Items:
    """A list of texts."""

    texts: tuple[Text, ...]
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, and how its cells are shown.

    ``form``: "" is text; ``@group`` looks a name up in the catalogue (``group.name``) and shows it as it is
    where that has none; ``bar`` draws a count beside the largest; anything else formats numbers: by name
    (percent of a share, size of bytes, time of seconds, short, chance and p of probabilities, value, gain) or
    by Python's format specification.  A pair of numbers is shown as an interval, None as a dash.
    """

    head: Text
    form: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; a line is drawn below the rows ``breaks``."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: Text | None = None
    note: Text | None = None
    breaks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with their values."""

    rows: tuple[tuple[Text, Cell], ...]


@dataclass(frozen=True, slots=True)
class Marked:
    """A text in runs, some of them set off."""

    runs: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A sample as it is shown; long texts are cut and say so (``cut`` characters are left out)."""

    id: str
    origin: str
    prompt: str
    answer: str
    value: float | None = None
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that are folded away at first, where the form can."""

    title: Text
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """Blocks side by side, where there is room."""

    sides: tuple[tuple[Block, ...], ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts [bins] between ``edges`` [bins + 1], and those of a part ``selected`` [bins] or empty."""

    name: Text
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    selected: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points [n], some of them ``marked`` [n], with the line of equality, or at zero for residuals."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    marked: tuple[bool, ...]
    x_name: Text
    y_name: Text
    residuals: bool = False


@dataclass(frozen=True, slots=True)
class Smoothed:
    """A mean with its band [grid] over a log axis, the points [n] it is of, and where its best lies."""

    name: Text
    grid: tuple[float, ...]
    mean: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    best: tuple[float, float, float]
    """The best place between its bounds: (low, best, high)."""
    x_name: Text
    y_name: Text


Block: TypeAlias = (
    Heading | Paragraph | Items | Table | Facts | Marked | Example | Fold | Beside | Histogram | Scatter
    | Smoothed
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """What a value shows of itself; ``language`` None is the reader's own, ``title`` is for a whole file."""

    blocks: tuple[Block, ...]
    language: str | None = None
    title: Text = ""
    kind: Text = ""
    name: str = ""


def page(*blocks: Block | None, language: str | None = None) -> Page:
    """Return a page of the blocks that are not None."""
    return Page(tuple(block for block in blocks if block is not None), language)


def files(**places: str) -> Facts:
    """Return where things were written, by what they are."""
    return Facts(tuple((say(f"file.{name}"), place) for name, place in places.items()))


def next_command(command: str) -> Paragraph:
    """Return what to run next."""
    return Paragraph(say("next", command=command))


class Shown:
    """A value that a notebook shows as its page, in HTML.

    Its own ``as_page() -> Page`` describes it; :mod:`assay.view`, which is above, describes those of this
    package.  It is asked for by name when a notebook asks, so that nothing is imported upwards before.
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        html: str = import_module("assay.view").value_html(self)
        return html
