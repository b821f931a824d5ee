"""Read any known data set: each input row comes out as one sample or one rejection with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from assay.core import AssayError, OnCommand, Sample
from assay.data._files import Broken, FileKind, RawRow, raw_rows, sniff
from assay.data._rows import SCHEMAS, Reject, Schema, schema_of, to_sample

_PEEK = 50
_DATA_SUFFIXES = frozenset(
    {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".gz", ".xz", ".zst", ".bz2"}
)
_OURS = {"prompt": "instruction", "answer": "output"}
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
Map: TypeAlias = Mapping[str, str]
Places: TypeAlias = Annotated[str | Path | Sequence[str | Path], OnCommand(list[str])]
"""Files, folders of shards, globs, or ``hf:owner/name``: one or several."""


class Reading:
    """A data set to iterate: yields :class:`Sample` or :class:`Rejected`, in the order of the rows."""

    def __init__(
        self, place: str, files: list[Path], format: str | None, source: str | None, watch: Watch | None,
        map: Map | None = None,
    ) -> None:  # fmt: skip
        """Prepare to read; nothing is opened yet."""
        self.place, self.files, self.source, self._watch, self._map = place, files, source, watch, map
        self._format = format

    @cached_property
    def _kinds(self) -> list[FileKind]:
        return [sniff(path) for path in self.files]

    @cached_property
    def _schemas(self) -> list[Schema | None]:
        if self._format is not None:
            return [next(s for s in SCHEMAS if s.name == self._format)] * len(self.files)
        return [_main_schema(self._raw(p, k)) for p, k in zip(self.files, self._kinds, strict=True)]

    def _raw(
        self, path: Path, kind: FileKind, watch: Callable[[int], None] | None = None
    ) -> Iterator[RawRow]:
        rows = raw_rows(path, kind, watch)
        return rows if self._map is None else ((line, mapped(row, self._map)) for line, row in rows)

    @cached_property
    def detection(self) -> Detection:
        """Say what was found in the first file that shows a schema."""
        index = next((i for i, s in enumerate(self._schemas) if s is not None), 0)
        schema, kind = self._schemas[index], self._kinds[index]
        return Detection(
            format=schema.name if schema else "unknown",
            why=_why(schema, kind, forced=self._format is not None),
            container=kind.container,
            compression=kind.compression,
            encoding=kind.encoding_words,
            files=len(self.files),
        )

    def __iter__(self) -> Iterator[Sample | Rejected]:
        """Read all files in order."""
        total = sum(path.stat().st_size for path in self.files)
        before = 0
        for path, kind, schema in zip(self.files, self._kinds, self._schemas, strict=True):
            done = before
            watch = (lambda n, done=done: self._watch(done + n, total)) if self._watch else None  # type: ignore[misc]
            source = self.source or _source_name(path)
            for line, row in self._raw(path, kind, watch):
                yield _convert(row, schema, source, path.name, line)
            before += path.stat().st_size


def mapped(row: Any, map: Map) -> Any:
    """Return a row with the columns that ``map`` names under our names (prompt, answer, or of any format)."""
    if not isinstance(row, Mapping):
        return row
    kept = {name: value for name, value in row.items() if name not in map.values()}
    return kept | {_OURS.get(name, name): row.get(column) for name, column in map.items()}


def read_rows(
    rows: Iterable[Any], *, source: str = "", map: Map | None = None
) -> Iterator[Sample | Rejected]:
    """Yield a sample or a rejection for each row in memory: samples as they are, mappings by their format."""
    numbered = [(n, r if map is None else mapped(r, map)) for n, r in enumerate(rows, 1)]
    schema = _main_schema(iter((n, r) for n, r in numbered if not isinstance(r, Sample)))
    for number, row in numbered:
        yield row if isinstance(row, Sample) else _convert(row, schema, source, "rows", number)


def as_places(given: Places) -> tuple[str, ...]:
    """Return one place or several as their texts."""
    return (str(given),) if isinstance(given, str | Path) else tuple(map(str, given))


def _convert(row: Any, schema: Schema | None, source: str, name: str, line: int) -> Sample | Rejected:
    if isinstance(row, Broken):
        return Rejected(name, line, row.reason, row.excerpt)
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


def _source_name(path: Path) -> str:
    name = path.name
    while Path(name).suffix.lower() in _DATA_SUFFIXES:
        name = Path(name).stem
    return name


def read(
    place: str | Path, *, format: str | None = None, source: str | None = None, watch: Watch | None = None,
    map: Map | None = None,
) -> Reading:  # fmt: skip
    """Open a file, a folder of shards, a glob, a saved ``datasets`` folder, or ``hf:owner/name[:split]``.

    ``format`` overrides the detected row schema; ``source`` names the data set in its samples (the file's
    name by default); ``map`` says which columns of other names hold what; ``watch`` is told (bytes read,
    bytes in all).  Raises :class:`AssayError` where there is nothing to read; broken content never raises.
    """
    known = sorted({schema.name for schema in SCHEMAS})
    if format is not None and format not in known:
        raise AssayError("no such format", place="format", value=format, expected=", ".join(known))
    text = str(place)
    if text.startswith("hf:"):
        return _HubReading(text, format, source, map)
    return Reading(text, find_files(text), format, source, watch, map)


def find_files(place: str) -> list[Path]:
    """Return the data files of a place in order; links that lead out of a folder of shards are left out."""
    path = Path(place).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        root = path.resolve()
        found = [
            p
            for p in sorted(path.rglob("*"))
            if p.is_file()
            and p.suffix.lower() in _DATA_SUFFIXES
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

    def __init__(self, place: str, format: str | None, source: str | None, map: Map | None) -> None:
        super().__init__(place, [], format, source, None, map)
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
        schema = _main_schema(
            (i, mapped(row, self._map or {})) for i, row in enumerate(self._rows.take(_PEEK))
        )
        why = f"streamed from the hub; {schema.says if schema else 'no row shows a known schema'}"
        return Detection(schema.name if schema else "unknown", why, "hub", "none", "", 1)

    def __iter__(self) -> Iterator[Sample | Rejected]:
        """Stream the rows."""
        wanted = self._format or self.detection.format
        schema = next((s for s in SCHEMAS if s.name == wanted), None)
        for line, row in enumerate(self._rows, start=1):
            renamed = mapped(row, self._map or {})
            yield _convert(renamed, schema, self.source or self._name, self._name, line)


def write_rejected(rows: Iterator[Rejected], path: Path) -> int:
    """Write rejected rows as JSONL and return how many."""
    count = 0
    with path.open("w", encoding="utf-8") as report:
        for row in rows:
            fields = {"place": row.place, "line": row.line, "reason": row.reason, "excerpt": row.excerpt}
            report.write(json.dumps(fields, ensure_ascii=False) + "\n")
            count += 1
    return count
