"""TensorBoard's event files, read without TensorBoard: records of protocol buffers, the same since 2015.

A record is a length (8 bytes), its checksum (4), the event, its checksum (4).  An event has a step (field 2)
and a summary (5) of values (1), each with a tag (1) and a number (2) or a tensor (8).
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import AssayError
from assay.results._metrics import last_values, measured
from assay.results._recipes import facts_of
from assay.results._values import Run

_EVENTS = "events.out.tfevents."
_TEXT = 7
"""TensorProto's type of strings."""


@dataclass(frozen=True, slots=True)
class TensorboardReader:
    """Event files; a folder of them is a run.  Hugging Face writes its settings there, as a text ``args``."""

    name: str = "tensorboard"
    version: int = 1
    patterns: tuple[str, ...] = (f"*{_EVENTS}*",)

    def __call__(self, path: Path) -> Iterator[Run] | None:
        """Return the run of the folder that a file is in, once."""
        if _EVENTS not in path.name:
            return None
        files = sorted(p for p in path.parent.iterdir() if _EVENTS in p.name)
        return iter([_run(path.parent, files)] if path == files[0] else [])


def _run(folder: Path, files: list[Path]) -> Run:
    history: dict[int, dict[str, float]] = defaultdict(dict)
    config: dict[str, Any] = {}
    for file in files:
        for step, tag, value in _values(file):
            if isinstance(value, float):
                history[step][tag] = value
            elif tag.split("/")[0] in ("args", "config"):
                config |= _object(value)
    values, notes = last_values(sorted(history.items()))
    return Run("tensorboard", str(folder), (str(folder),), facts_of(config), measured(values), notes=notes)


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _values(file: Path) -> Iterator[tuple[int, str, float | str]]:
    """Yield (step, tag, number or text); a last record that is cut, as of a run that was killed, is none."""
    content = file.read_bytes()
    place = 0
    while place + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        if place + 12 + length > len(content):
            return
        try:
            yield from _event(content[place + 12 : place + 12 + length])
        except (IndexError, struct.error, UnicodeDecodeError):
            raise AssayError("a record is no event of TensorBoard", place=f"{file}: byte {place}",
                             expected="an event file as it was written") from None  # fmt: skip
        place += length + 16


def _event(event: bytes) -> Iterator[tuple[int, str, float | str]]:
    fields = _fields(event)
    step = next((value for number, value in fields if number == 2), 0)
    for summary in (value for number, value in fields if number == 5):
        for one in (value for number, value in _fields(summary) if number == 1):
            own = dict(_fields(one))
            tag = own.get(1, b"").decode()
            if 2 in own:
                yield step, tag, struct.unpack("<f", own[2])[0]
            elif 8 in own:
                yield from ((step, tag, value) for value in _tensor(own[8]))


def _tensor(tensor: bytes) -> Iterator[float | str]:
    """Yield the number of a scalar tensor, or its text."""
    fields = _fields(tensor)
    kind = next((value for number, value in fields if number == 1), 0)
    for number, value in fields:
        if kind == _TEXT and number == 8:
            yield value.decode("utf-8", "replace")
        elif kind == 1 and number in (4, 5) and len(value) == 4:
            yield struct.unpack("<f", value)[0]


def _fields(message: bytes) -> list[tuple[int, Any]]:
    """Return (number, value) of a message's fields: integers, or bytes."""
    found: list[tuple[int, Any]] = []
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        match key & 7:
            case 0:
                value, place = _varint(message, place)
                found.append((key >> 3, value))
                continue
            case 1:
                length = 8
            case 2:
                length, place = _varint(message, place)
            case 5:
                length = 4
            case _:
                raise IndexError(key)
        if place + length > len(message):
            raise IndexError(place)
        found.append((key >> 3, message[place : place + length]))
        place += length
    return found


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
