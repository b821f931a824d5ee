"""Results and values as files: found, read again, replaced whole."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from assay.core import AssayError, BasesResult, StudyResult, read_json, replacing

T = TypeVar("T")

RESULT = "result.json"
HTML = "report.html"
SAYS = "says.json"
"""What a study found, in a sentence in each language: so that a list of studies reads no results."""
COMMAND = "command.json"
"""By which file and settings a study was run, for the commands that its pages show."""


def replace_file(path: Path, content: bytes) -> Path:
    """Write a file that appears whole, by a rename."""
    with replacing(path) as partial:
        partial.write_bytes(content)
    return path


def keep_command(folder: Path, file: str) -> None:
    """Note by which file and settings a study is named on the command line, where it is named by one."""
    if file:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / COMMAND, f"{json.dumps({'study': file}, ensure_ascii=False)}\n".encode())


def study_command(folder: Path) -> str | None:
    """Return by which file and settings the study of a folder was run; None where that is not known."""
    for place in (folder / COMMAND, folder.parent / COMMAND):
        with suppress(AssayError):
            if place.is_file():
                return str(read_json(place).get("study") or "") or None
    return None


def load_result(path: Path) -> StudyResult:
    """Read a result.json again; the value equals the one that was written.

    Raises :class:`AssayError` where the file is not the result of a study on one base, with the first wrong
    place in it.
    """
    found = load_study(path)
    if isinstance(found, BasesResult):
        raise AssayError(
            "the result is of several bases",
            place=str(path),
            expected="that of one: "
            + ", ".join(str(path.parent / base.name / RESULT) for base in found.bases),
        )
    return found


def load_study(path: Path) -> StudyResult | BasesResult:
    """Read a result.json again, of one base or of several."""
    data = read_json(path, hint="run the study again: what is in the store is not done twice")
    if "bases" in data:
        return restore(BasesResult, data, place=str(path))
    return restore(StudyResult, data, place=str(path))


def restore(kind: type[T], data: Any, *, place: str = "$") -> T:
    """Return the frozen dataclass ``kind`` from its plain JSON data (:func:`assay.core.to_json`).

    Raises :class:`AssayError` that names the first wrong place.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise AssayError(
            f"not a {kind.__name__}: {first['msg']}",
            place=f"{place}: {path}" if path else place,
            value=None if first["type"] == "missing" else first.get("input"),
            hint="write it again with the same version of Assay",
        ) from None
