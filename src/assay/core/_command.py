"""What a parameter is on the command line and in a file, where that is narrower than in Python."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias


@dataclass(frozen=True, slots=True)
class OnCommand:
    """Marks a type, inside ``Annotated``: on the command line and in a study file it is ``type``."""

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


def in_words(hint: Any) -> Any:
    """Return the type that a parameter has where it is written in words."""
    if typing.get_origin(hint) is Annotated:
        return next((mark.type for mark in hint.__metadata__ if isinstance(mark, OnCommand)), hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return typing.Union[tuple(in_words(part) for part in typing.get_args(hint))]  # noqa: UP007
    return hint
