"""Readers of other packages: files that no format of ours fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from assay.core import AssayError, Plugins, Sample, Undefined
from assay.data._layouts import SCHEMAS

Row: TypeAlias = "Sample | Mapping[str, Any] | Undefined"


class Reader(Protocol):
    """The rows of a file that it knows, or None for any other.

    Best a frozen dataclass.  ``version`` changes whenever rows do; ``suffixes`` (``.xlsx``) say which files
    of a folder it reads.  Calling it with a path returns None at once where it does not know the file, else
    the rows in their order, each time from the start: samples, mappings that show a format of ours (such
    as ``instruction`` and ``output``), or :class:`~assay.core.Undefined` with the reason why a row is none.
    It is a function that returns an iterator, not a generator, which would never return None.
    """

    name: str
    version: int
    suffixes: tuple[str, ...]

    def __call__(self, path: Path) -> Iterable[Row] | None:
        """Return the rows of a file, or None."""


READERS: Plugins[Reader] = Plugins(
    "assay.readers", "reader", Reader, dict.fromkeys(schema.name for schema in SCHEMAS)
)
"""Readers of other packages by name: formats beside our own."""


def suffixes() -> frozenset[str]:
    """Return the suffixes that readers of other packages know, in lower case."""
    return frozenset(s.lower() for reader in _usable()[0] for s in reader.suffixes)


def _usable() -> tuple[list[Reader], list[str]]:
    """Return the readers that can be used, and why others cannot."""
    found, broken = [], []
    for name in READERS:
        try:
            found.append(READERS[name])
        except AssayError as error:
            broken.append(f"{error.problem} ({error.place})")
    return found, broken


def reader_for(path: Path) -> tuple[Reader | None, str]:
    """Return the one reader that knows a file of no format of ours, and what else is to be said.

    Raises :class:`AssayError` where several know it: which one reads it is the user's to say.
    """
    readers, said = _usable()
    knowing = []
    for reader in readers:
        try:
            if reader(path) is not None:
                knowing.append(reader)
        except Exception as error:
            said.append(f"the reader {reader.name} failed ({type(error).__name__}: {error})")
    if len(knowing) > 1:
        raise AssayError(
            "several readers know the file", place=str(path), value=", ".join(r.name for r in knowing),
            expected="one", hint="name it: format=",
        )  # fmt: skip
    return (knowing[0] if knowing else None), "; ".join(said)


def plugin_rows(reader: Reader, path: Path) -> Iterator[tuple[int, Row]]:
    """Yield (number from 1, row); where the reader fails, the rest of the file is one row that is none."""
    line = 0
    try:
        rows = reader(path)
        if rows is None:
            yield 1, Undefined(f"the reader {reader.name} does not know the file")
            return
        for line, row in enumerate(rows, start=1):
            yield line, row
    except Exception as error:
        yield line + 1, Undefined(f"the reader {reader.name} stopped ({type(error).__name__}: {error})")


def placed(sample: Sample, source: str, origin: str) -> Sample:
    """Return a reader's sample with its data set and place, where it says none."""
    return dataclasses.replace(sample, source=sample.source or source, origin=sample.origin or origin)
