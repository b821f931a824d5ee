"""What a parameter is on the command line, where that is narrower than in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias


@dataclass(frozen=True, slots=True)
class OnCommand:
    """Marks a type, inside ``Annotated``: on the command line it is ``type``."""

    type: Any


@dataclass(frozen=True, slots=True, init=False)
class Without:
    """Marks a set of options, inside ``Annotated``: these fields are not on the command line."""

    fields: tuple[str, ...]

    def __init__(self, *fields: str) -> None:
        """Name the fields."""
        object.__setattr__(self, "fields", fields)


File: TypeAlias = Annotated[str | Path, OnCommand(Path)]
"""A file or folder, by its path."""
