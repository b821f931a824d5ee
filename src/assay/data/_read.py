"""Read any known data set: each input row comes out as one sample or one rejection with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from assay.core import AssayError, Sample, Undefined
from assay.data._files import Broken, FileKind, RawRow, raw_rows, sniff
from assay.data._plugins import READERS, Reader, placed, plugin_rows, reader_for, suffixes
from assay.data._rows import SCHEMAS, Reject, Schema, schema_of, to_sample

_PEEK = 50
_DATA_SUFFIXES = frozenset(
    {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".gz", ".xz", ".zst", ".bz2"}
)
_NOT_DATA = frozenset({"dataset_info.json", "state.json", "dataset_dict.json", "manifest.json"})


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is no sample: where it stands, why, and how it begins."""

    place: str
    line: int
    reason: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Detection:
    """What was detected and why, in words for the user."""

    format: str
    why: str
    container: str
    compression: str
    encoding: str
    files: int


Watch = Callable[[int, int], None]


class Reading:
    """A data set to iterate: yields :class:`Sample` or :class:`Rejected`, in the order of the rows."""

    def __init__(
        self, place: str, files: list[Path], format: str | None, source: str | None, watch: Watch | None
    ) -> None:
        """Prepare to read; nothing is opened yet."""
        self.place, self.files, self.source, self._watch = place, files, source, watch
        self._format = format

    @cached_property
    def _kinds(self) -> list[FileKind]:
        return [sniff(path) for path in self.files]

    @cached_property
    def _schemas(self) -> list[Schema | None]:
        if self._format is not None:
            return [next((s for s in SCHEMAS if s.name == self._format), None)] * len(self.files)
        return [_main_schema(raw_rows(p, k)) for p, k in zip(self.files, self._kinds, strict=True)]

    @cached_property
    def _readers(self) -> list[tuple[Reader | None, str]]:
        """Return the plug-in that reads each file, where its rows show no schema of ours or it is named."""
        if self._format is not None:
            return [(READERS.get(self._format), "")] * len(self.files)
        found = zip(self.files, self._schemas, strict=True)
        return [reader_for(path) if schema is None else (None, "") for path, schema in found]

    @property
    def plugins(self) -> str:
        """What identifies the plug-ins that read the files; "" where none does."""
        names = sorted({reader.name for reader, _ in self._readers if reader is not None})
        return "; ".join(map(READERS.identity, names))

    @cached_property
    def detection(self) -> Detection:
        """Say what was found in the first file that shows a schema."""
        for reader, said in self._readers:
            if reader is not None:
                why = f"read by {READERS.entry(reader.name).place}" + (f"; {said}" if said else "")
                return Detection(reader.name, why, "plug-in", "none", "", len(self.files))
        index = next((i for i, s in enumerate(self._schemas) if s is not None), 0)
        schema, kind = self._schemas[index], self._kinds[index]
        said = "".join(f"; {more}" for _, more in self._readers[index : index + 1] if more)
        return Detection(
            format=schema.name if schema else "unknown",
            why=_why(schema, kind, forced=self._format is not None) + said,
            container=kind.container,
            compression=kind.compression,
            encoding=kind.encoding_words,
            files=len(self.files),
        )

    def __iter__(self) -> Iterator[Sample | Rejected]:
        """Read all files in order."""
        total = sum(path.stat().st_size for path in self.files)
        before = 0
        kinds = zip(self.files, self._kinds, self._schemas, self._readers, strict=True)
        for path, kind, schema, (reader, _) in kinds:
            done = before
            watch = (lambda n, done=done: self._watch(done + n, total)) if self._watch else None  # type: ignore[misc]
            source = self.source or (_source_name(path) if reader is None else path.stem)
            rows = raw_rows(path, kind, watch) if reader is None else plugin_rows(reader, path)
            for line, row in rows:
                yield _convert(row, schema, source, path.name, line)
            before += path.stat().st_size


def _convert(row: Any, schema: Schema | None, source: str, name: str, line: int) -> Sample | Rejected:
    if isinstance(row, Broken):
        return Rejected(name, line, row.reason, row.excerpt)
    if isinstance(row, Undefined):
        return Rejected(name, line, row.reason, "")
    if isinstance(row, Sample):
        return placed(row, source, f"{name}:{line}")
    try:
        return to_sample(row, schema, source, f"{name}:{line}")
    except Reject as reason:
        return Rejected(name, line, str(reason), _show(row))


def _show(row: Any) -> str:
    text = (
        repr(row) if not isinstance(row, dict) else ", ".join(f"{k}: {str(v)[:60]}" for k, v in row.items())
    )
    return text[:120].encode("utf-8", "replace").decode()


def _main_schema(rows: Iterator[RawRow]) -> Schema | None:
    """Return the schema that most of the first rows show."""
    shown = [schema_of(row) for _, row in islice(rows, _PEEK)]
    counts = Counter(SCHEMAS.index(s) for s in shown if s is not None)
    return SCHEMAS[counts.most_common(1)[0][0]] if counts else None


def _why(schema: Schema | None, kind: FileKind, *, forced: bool) -> str:
    stored = kind.container + (f" in {kind.compression}" if kind.compression != "none" else "")
    text = f", {kind.encoding_words}" if kind.encoding else ""
    if schema is None:
        return f"{stored}{text}; no row shows a known schema"
    return f"{stored}{text}; {'the format was given' if forced else schema.says}"


def reader_identity(place: str) -> str:
    """Return what identifies the plug-ins that read a place; "" where none does."""
    if not READERS or place.startswith("hf:"):
        return ""
    return Reading(place, find_files(place), None, None, None).plugins


def _source_name(path: Path) -> str:
    name = path.name
    while Path(name).suffix.lower() in _DATA_SUFFIXES:
        name = Path(name).stem
    return name


def read(
    place: str | Path, *, format: str | None = None, source: str | None = None, watch: Watch | None = None
) -> Reading:
    """Open a file, a folder of shards, a glob, a saved ``datasets`` folder, or ``hf:owner/name[:split]``.

    ``format`` overrides the detected row schema; ``source`` names the data set in its samples (the file's
    name by default); ``watch`` is told (bytes read, bytes in all).  Raises :class:`AssayError` where there is
    nothing to read; broken content never raises.
    """
    text = str(place)
    known = sorted({schema.name for schema in SCHEMAS} | (set() if text.startswith("hf:") else set(READERS)))
    if format is not None and format not in known:
        raise AssayError("no such format", place="format", value=format, expected=", ".join(known))
    if text.startswith("hf:"):
        return _HubReading(text, format, source)
    return Reading(text, find_files(text), format, source, watch)


def find_files(place: str) -> list[Path]:
    """Return the data files of a place in order; links that lead out of a folder of shards are left out."""
    path = Path(place).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        root, known = path.resolve(), _DATA_SUFFIXES | suffixes()
        found = [
            p
            for p in sorted(path.rglob("*"))
            if p.is_file()
            and p.suffix.lower() in known
            and p.name not in _NOT_DATA
            and not p.name.startswith(".")
            and p.resolve().is_relative_to(root)
        ]
    elif any(sign in path.name for sign in "*?["):
        found = [p for p in sorted(path.parent.glob(path.name)) if p.is_file()]
    else:
        found = []
    if not found:
        raise AssayError(
            "nothing to read",
            place=place,
            expected="a file, a folder of shards, a glob, or hf:owner/name",
            hint="check the spelling; data files end in " + " ".join(sorted(_DATA_SUFFIXES)),
        )
    return found


class _HubReading(Reading):
    """Rows of a Hugging Face data set, streamed."""

    def __init__(self, place: str, format: str | None, source: str | None) -> None:
        super().__init__(place, [], format, source, None)
        self._name, _, split = place.removeprefix("hf:").partition(":")
        self._split = split or "train"

    @cached_property
    def _rows(self) -> Any:
        try:
            import datasets
        except ImportError:
            raise AssayError(
                "reading from the hub needs the `datasets` package",
                place=self.place,
                hint="pip install 'instruct-assay[train]'",
            ) from None
        try:
            return datasets.load_dataset(self._name, split=self._split, streaming=True)
        except Exception as error:
            raise AssayError(
                f"the data set could not be opened ({type(error).__name__})",
                place=self.place,
                expected="hf:owner/name or hf:owner/name:split, reachable or in the cache",
            ) from None

    @cached_property
    def detection(self) -> Detection:
        """Say which schema the first rows show."""
        schema = _main_schema((i, row) for i, row in enumerate(self._rows.take(_PEEK)))
        why = f"streamed from the hub; {schema.says if schema else 'no row shows a known schema'}"
        return Detection(schema.name if schema else "unknown", why, "hub", "none", "", 1)

    def __iter__(self) -> Iterator[Sample | Rejected]:
        """Stream the rows."""
        wanted = self._format or self.detection.format
        schema = next((s for s in SCHEMAS if s.name == wanted), None)
        for line, row in enumerate(self._rows, start=1):
            yield _convert(row, schema, self.source or self._name, self._name, line)


def write_rejected(rows: Iterator[Rejected], path: Path) -> int:
    """Write rejected rows as JSONL and return how many."""
    count = 0
    with path.open("w", encoding="utf-8") as report:
        for row in rows:
            fields = {"place": row.place, "line": row.line, "reason": row.reason, "excerpt": row.excerpt}
            report.write(json.dumps(fields, ensure_ascii=False) + "\n")
            count += 1
    return count
