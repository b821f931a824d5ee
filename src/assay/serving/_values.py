"""What the server is told of studies and models; who tells it is above this room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

    def open(self, name: str) -> ChatModel:
        """Load a model; raise :class:`AssayError` for a name that is not served."""
        ...
