"""What the server is told of studies and models; who tells it is above this room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from assay.model import ChatModel


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study as the dashboard lists it; ``models`` are the names of those that are trained."""

    name: str
    finished: bool
    models: tuple[str, ...]
    planned: int
    """Models that the study is to have, the untrained base among them."""
    says: str | None
    """The answer of its report in one sentence; None where there is no report."""
    reports: tuple[str, ...] = ()
    """Places of its report, and of that over several bases where it is one of them, within the runs."""
    done: int = 0
    steps: int = 0
    """Steps done, of those that it has; 0 where it does not list them."""
    running: bool = False
    """Whether a command works at it now."""
    whole: bool = True
    """Whether all its steps are known: false while its data are read and its recipe is checked."""
    command: str | None = None
    """The study file, with settings, by which it was run; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Under:
    """A step under way: what it is, how far (``total`` 0 where it does not say), and what it says besides."""

    name: str
    label: str
    done: float
    total: float
    note: str


@dataclass(frozen=True, slots=True)
class Live:
    """A study as it is now: its row, steps under way, time and money left, models measured, curves so far."""

    row: StudyRow
    under: tuple[Under, ...]
    seconds_left: float | None
    measured: int
    planned: int
    panels: str
    """Markup of the curves, "" where there is none."""
    paid: Mapping[str, float] = field(default_factory=dict)
    """Money that its steps have paid for, by currency."""
    to_pay: Mapping[str, float] = field(default_factory=dict)
    """Money that what is left will cost, by currency."""


class Library(Protocol):
    """The studies and models that are served."""

    @property
    def runs(self) -> Path:
        """The folder whose files may be shown."""
        ...

    @property
    def given(self) -> Sequence[str]:
        """Models that were named at the start, beside those of studies."""
        ...

    def studies(self, language: str) -> Sequence[StudyRow]:
        """Return all studies, in ``language`` where there is something to say."""
        ...

    def live(self, name: str, language: str, *, fitted: bool) -> Live | None:
        """Return a study as it is now, None where there is none of this name.

        Without ``fitted`` curves are those that were fitted before, so that a page is there at once.
        """
        ...

    def overlaid(self, names: Sequence[str], language: str) -> str:
        """Return the markup of the curves of several studies over one another, "" where they share none."""
        ...

    def open(self, name: str) -> ChatModel:
        """Load a model; raise :class:`AssayError` for a name that is not served."""
        ...
