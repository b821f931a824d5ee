"""The one rule for files that users name as outputs: what may be written where, in which format, over what.

:func:`output` is called before the work begins, and gives an :class:`Output` that is written when it is done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from assay.core import AssayError
from assay.data._raw import printable
from assay.data._read import DATA_SUFFIXES
from assay.data._whole import replacing, replacing_text

CONTAINERS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv",
              ".parquet": "parquet"}  # fmt: skip
COMPRESSIONS = {".gz": "gzip", ".xz": "xz", ".bz2": "bzip2", ".zst": "zstd"}
_MARK = "user.assay.output"
_LEDGER = ".assay-outputs.json"


@dataclass(frozen=True, slots=True)
class Output:
    """A file that may be written, with the container and the compression that its name asks for, or ""."""

    path: Path
    container: str = ""
    compression: str = ""

    @contextmanager
    def partial(self) -> Iterator[Path]:
        """Give the place to write to; the file appears whole where the block ends well, and is ours then."""
        with replacing(self.path) as place:
            yield place
            mark_ours(place, self.path)  # before it appears, so that a kill leaves no file that is not ours


LONGEST_NAME = 200
"""Bytes; what is written beside an output has up to 50 more, and file systems take 255."""


def output(
    path: str | Path,
    *,
    inputs: Sequence[str | Path] = (),
    force: bool = False,
    suffixes: Sequence[str] | None = tuple(CONTAINERS),
) -> Output:
    """Return an output that may be written; call it before the work begins.

    ``inputs`` are the places that are read: an output is none of them, and lies in no folder of them where
    the next reading would take it for data.  ``force`` allows to replace a file that Assay has not written,
    or that was changed since.  ``suffixes`` are the formats that the caller can write, any name if None;
    those of data may be followed by one of a compression.  Raises :class:`AssayError` where the path is a
    folder, a device or an input, where its folder is missing or closed, its suffix unknown, or a file of
    others is in its place.
    """
    place = Path(path).expanduser()
    _check_place(place)
    _check_inputs(place, inputs)
    container, compression = _format(place, suffixes) if suffixes is not None else ("", "")
    if place.exists() and not force and not is_ours(place):
        raise AssayError(
            "a file that Assay has not written, or that was changed since, is in the place of the output",
            place=printable(str(place)),
            expected="a new name, or an output of Assay to replace",
            hint="choose another name, or replace the file with --force",
        )
    return Output(place, container, compression)


def _check_place(place: Path) -> None:
    shown = printable(str(place))
    if place.is_dir() or str(place).endswith("/") or place.name in ("", ".", ".."):
        raise AssayError("the output is a folder", place=shown, expected="the name of a file")
    if place.exists() and not place.is_file():
        raise AssayError("the output is a device or a pipe", place=shown, expected="the name of a file")
    if len(os.fsencode(place.name)) > LONGEST_NAME:
        raise AssayError(
            "the name of the output is too long: files beside it have longer ones", place=shown,
            expected=f"at most {LONGEST_NAME} bytes", hint="choose a shorter name",
        )  # fmt: skip
    folder = place.parent
    if not folder.is_dir():
        raise AssayError(
            "the folder of the output does not exist",
            place=shown,
            expected="a file in a folder that is there",
            hint=f"mkdir -p {printable(str(folder))}",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise AssayError("the folder of the output cannot be written to", place=shown,
                         hint="choose a folder of your own, or change its permissions")  # fmt: skip


def _check_inputs(place: Path, inputs: Sequence[str | Path]) -> None:
    shown = printable(str(place))
    for given in map(str, inputs):
        if given.startswith("hf:"):
            continue
        source = Path(given).expanduser()
        if source.is_dir():
            inside = place.resolve().is_relative_to(source.resolve())
            if inside and place.suffix.lower() in DATA_SUFFIXES and not place.name.startswith("."):
                raise AssayError(
                    "the output lies in an input folder, where the next reading would take it for data",
                    place=shown,
                    value=given,
                    hint="write it to another folder",
                )
        elif (source.exists() and place.exists() and source.samefile(place)) or (
            place.resolve() == source.resolve()
        ):
            raise AssayError("the output is an input", place=shown, value=given, hint="choose another name")
        elif _takes_in(source, place):
            raise AssayError("the input's pattern takes the output in", place=shown, value=given,
                             hint="choose another name")  # fmt: skip


def _takes_in(pattern: Path, place: Path) -> bool:
    is_glob = any(sign in pattern.name for sign in "*?[")
    same = place.parent.resolve() == pattern.parent.resolve()
    return is_glob and same and fnmatch(place.name, pattern.name)


def _format(place: Path, suffixes: Sequence[str]) -> tuple[str, str]:
    """Return the container and the compression that a name asks for."""
    name = place.name.lower()
    packed = next((kind for suffix, kind in COMPRESSIONS.items() if name.endswith(suffix)), "")
    inner = Path(name).with_suffix("").name if packed else name
    suffix = Path(inner).suffix
    container = CONTAINERS.get(suffix, suffix.lstrip("."))
    if suffix not in suffixes or (packed and container not in ("jsonl", "json", "csv", "tsv")):
        known = " ".join(suffixes)
        compressed = f", also with {' '.join(COMPRESSIONS)}" if ".jsonl" in suffixes else ""
        raise AssayError("the name of the output has no format that can be written",
                         place=printable(str(place)), value=place.suffix or "no suffix",
                         expected=known + compressed)  # fmt: skip
    return container, packed


def _state(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size}:{found.st_mtime_ns}"


def is_ours(path: Path) -> bool:
    """Say whether Assay has written a file as an output and nobody has changed it since."""
    state = _state(path)
    with suppress(OSError, AttributeError):
        if os.getxattr(path, _MARK).decode() == state:
            return True
    return state in _ledger(path.parent).get(path.name, "").split()


def mark_ours(partial: Path, path: Path) -> None:
    """Note that Assay has written what becomes ``path``: with the file, else in a list beside it."""
    state = _state(partial)
    try:
        os.setxattr(partial, _MARK, state.encode())
    except (OSError, AttributeError):
        entries = {
            name: states for name, states in _ledger(path.parent).items() if (path.parent / name).exists()
        }
        # The file that is there still is ours too, until it is replaced.
        states = " ".join([*entries.get(path.name, "").split()[-1:], state])
        with replacing_text(path.parent / _LEDGER) as file:
            json.dump(entries | {path.name: states}, file, indent=1)


def _ledger(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / _LEDGER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
