"""Read any known data set: each input row comes out as one sample or one rejection with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from assay.core import AssayError, Inline, OnCommand, Pool, Processes, Sample, parse_pool
from assay.data._files import Broken, FileKind, Mark, RawRow, cut, raw_rows, sniff, splittable
from assay.data._layouts import SCHEMAS, Schema, schema_of
from assay.data._mapping import mapped, parse_map
from assay.data._plugins import READERS, Reader, reader_for, suffixes
from assay.data._raw import printable
from assay.data._shard import Rejected, RowReader, Shard, ShardRows, sampled

_PEEK = 50
_PEEK_BROKEN = 5_000
_WORTH_WORKERS = 32 << 20
DATA_SUFFIXES = frozenset(
    {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".gz", ".xz", ".zst", ".bz2"}
)
_NOT_DATA = frozenset({"dataset_info.json", "state.json", "dataset_dict.json", "manifest.json"})


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
Map: TypeAlias = Annotated[Mapping[str, str] | str | None, OnCommand(str | None)]
"""Which fields hold what (:func:`parse_map`)."""
Places: TypeAlias = Annotated[str | Path | Sequence[str | Path], OnCommand(list[str])]
"""Files, folders of shards, globs, or ``hf:owner/name``: one or several."""


class Reading:
    """A data set to iterate: yields :class:`Sample` or :class:`Rejected`, in the order of the rows.

    After an iteration ``unused`` holds how many rows had each field that was not used, ``notes`` how many
    rows each remark of the readers is about, and ``splits`` the rows of each list of a file that has several.
    """

    def __init__(
        self,
        place: str,
        files: list[Path],
        format: str | None,
        source: str | None,
        watch: Watch | None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare to read; nothing is opened yet."""
        self.place, self.files, self.source, self._watch = place, files, source, watch
        self._format, self._fields = format, fields
        self._forget()

    def _forget(self) -> None:
        self.unused: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()

    @cached_property
    def _kinds(self) -> list[FileKind]:
        return [sniff(path) for path in self.files]

    @cached_property
    def _schemas(self) -> list[Schema | None]:
        if self._fields is not None:
            return [mapped(self._fields)] * len(self.files)
        if self._format is not None:
            return [next((s for s in SCHEMAS if s.name == self._format), None)] * len(self.files)
        return [_main_schema(raw_rows(p, k)) for p, k in zip(self.files, self._kinds, strict=True)]

    @cached_property
    def _readers(self) -> list[tuple[Reader | None, str]]:
        """Return the plug-in that reads each file, where its rows show no schema of ours or it is named."""
        if self._format is not None:
            return [(READERS.get(self._format), "")] * len(self.files)
        if self._fields is not None:
            return [(None, "")] * len(self.files)
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
            why=_why(schema, kind, forced=self._format is not None, fields=self._fields) + said,
            container=kind.container,
            compression=kind.compression,
            encoding=kind.encoding_words,
            files=len(self.files),
        )

    def shards(self, size: int | None = None) -> Iterator[Shard]:
        """Yield the files in order, those of lines in parts of at least ``size`` bytes if it is given.

        What the parts hold one after another is what an iteration yields.
        """
        files = zip(self.files, self._kinds, self._schemas, self._readers, strict=True)
        for path, kind, schema, (reader, _) in files:
            stem = _source_name(path) if reader is None else path.stem
            whole = Shard(
                path, kind, self._name(path), self.source or stem, bool(self.source),
                None if schema is None or self._fields is not None else SCHEMAS.index(schema),
                None if self._fields is None else tuple(self._fields.items()),
                "" if reader is None else reader.name,
            )  # fmt: skip
            if size is None or reader is not None or not splittable(kind):
                yield whole
                continue
            for lines in cut(path, size):
                yield replace(whole, start=lines.start, end=lines.end, line=lines.before)

    def __iter__(self) -> Iterator[Sample | Rejected]:
        """Read all files in order."""
        self._forget()
        total = sum(path.stat().st_size for path in self.files)
        before = 0
        for shard in self.shards():
            done = before
            watch = (lambda n, done=done: self._watch(done + n, total)) if self._watch else None  # type: ignore[misc]
            rows = ShardRows(shard, watch)
            yield from rows
            self.count(rows)
            before += shard.size

    def count(self, rows: RowReader) -> None:
        """Add what one part counted."""
        self.unused.update(rows.unused)
        self.notes.update(rows.notes)
        self.splits.update(rows.splits)

    def _name(self, path: Path) -> str:
        """Return the name of a file in origins: its path in the folder that is read."""
        root = Path(self.place).expanduser()
        return printable(path.relative_to(root).as_posix() if root.is_dir() else path.name)


def _main_schema(rows: Iterator[RawRow]) -> Schema | None:
    """Return the schema that most of the first rows show."""
    sound = (row for _, row in islice(rows, _PEEK_BROKEN) if not isinstance(row, Broken | Mark))
    shown = [schema_of(row) for row in islice(sound, _PEEK)]
    counts = Counter(SCHEMAS.index(s) for s in shown if s is not None)
    return SCHEMAS[counts.most_common(1)[0][0]] if counts else None


def _why(
    schema: Schema | None, kind: FileKind, *, forced: bool, fields: Mapping[str, str] | None = None
) -> str:
    stored = kind.container + (f" in {kind.compression}" if kind.compression != "none" else "")
    text = f", {kind.encoding_words}" if kind.encoding else ""
    if fields is not None:
        return f"{stored}{text}; mapped: {', '.join(f'{k} from `{v}`' for k, v in fields.items())}"
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
    while Path(name).suffix.lower() in DATA_SUFFIXES:
        name = Path(name).stem
    return name


def read(
    place: str | Path,
    *,
    format: str | None = None,
    source: str | None = None,
    map: Map = None,
    watch: Watch | None = None,
) -> Reading:
    """Open a file, a folder of shards, a glob, a saved ``datasets`` folder, or ``hf:owner/name[:split]``.

    ``format`` overrides the detected row schema; ``source`` names the data set in its samples (the file's
    name by default); ``map`` says which fields hold what, for layouts that Assay does not know
    (``prompt=question,answer=response``, see :func:`parse_map`); ``watch`` is told (bytes read, bytes in
    all).  Raises :class:`AssayError` where there is nothing to read, or a file is no data set at all; broken
    rows never raise.
    """
    text = str(place)
    known = sorted({schema.name for schema in SCHEMAS} | (set() if text.startswith("hf:") else set(READERS)))
    if format is not None and format not in known:
        raise AssayError("no such format", place="format", value=format, expected=", ".join(known))
    if format is not None and map is not None:
        raise AssayError("a format and a map", place="map", value=format, expected="one of the two")
    fields = None if map is None else parse_map(map)
    if text.startswith("hf:"):
        return _HubReading(text, format, source, fields)
    return Reading(text, find_files(text), format, source, watch, fields)


def read_rows(rows: Iterable[Any], *, map: Map = None) -> Iterator[Sample | Rejected]:
    """Yield a sample or a rejection for each row in memory: samples as they are, mappings by their layout."""
    fields, numbered = None if map is None else parse_map(map), list(enumerate(rows, start=1))
    others = ((number, row) for number, row in numbered if not isinstance(row, Sample))
    schema = _main_schema(others) if fields is None else mapped(fields)
    reader = RowReader(fields)
    yield from sampled(
        row if isinstance(row, Sample) else reader.converted(row, schema, "", "rows", number)
        for number, row in numbered
    )


def nothing_read(place: str) -> AssayError:
    """Return the error for data without a single sample: what is made of nothing is no result."""
    return AssayError(
        "there is no sample", place=place, expected="at least one row that is a sample",
        hint="`assay data inspect` says why each row is rejected; a map of fields reads other layouts",
    )  # fmt: skip


def as_places(given: Places) -> tuple[str, ...]:
    """Return one place or several as their texts."""
    return (str(given),) if isinstance(given, str | Path) else tuple(str(one) for one in given)


def workers_for(places: Sequence[str], pool: str) -> Pool:
    """Return the pool that is named, or this process for files that are read before workers have started."""
    found = parse_pool(pool, forked=True)
    local = isinstance(found, Processes)
    size = sum(p.stat().st_size for one in places if not one.startswith("hf:") for p in find_files(one))
    return Inline() if local and size < _WORTH_WORKERS else found


def find_files(place: str) -> list[Path]:
    """Return the data files of a place in order; links that lead out of a folder of shards are left out."""
    path = Path(place).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        root, known = path.resolve(), DATA_SUFFIXES | suffixes()
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
        _refuse_kind(path, place)
    if not found:
        raise AssayError(
            "nothing to read",
            place=place,
            expected="a file, a folder of shards, a glob, or hf:owner/name",
            hint="check the spelling; data files end in " + " ".join(sorted(DATA_SUFFIXES)),
        )
    return found


def _refuse_kind(path: Path, place: str) -> None:
    """Refuse what is there and is no file: it would be read twice, and not be the same."""
    with suppress(OSError):
        if path.exists():
            raise AssayError(
                "this is a pipe, a socket or a device, not a file", place=printable(place),
                expected="a file", hint="write it to a file first: the file is read more than once",
            )  # fmt: skip
        if path.is_symlink():
            raise AssayError("the link leads to no file", place=printable(place),
                             value=printable(str(path.readlink())), expected="a file")  # fmt: skip


def hub_revision(place: str) -> str:
    """Return which content ``hf:owner/name[:split]`` stands for now: the commit on the Hub or in the cache.

    Raises :class:`AssayError` where the data set cannot be reached.
    """
    name = place.removeprefix("hf:").partition(":")[0]
    return str(_from_hub(place, lambda datasets: datasets.load_dataset_builder(name).hash))


def _from_hub(place: str, found: Callable[[Any], Any]) -> Any:
    """Return what the `datasets` package finds."""
    try:
        import datasets
    except ImportError:
        raise AssayError(
            "reading from the hub needs the `datasets` package",
            place=place,
            hint="pip install 'instruct-assay[train]'",
        ) from None
    try:
        return found(datasets)
    except Exception as error:
        raise AssayError(
            f"the data set could not be opened ({type(error).__name__})",
            place=place,
            expected="hf:owner/name or hf:owner/name:split, reachable or in the cache",
        ) from None


class _HubReading(Reading):
    """Rows of a Hugging Face data set, streamed."""

    def __init__(
        self, place: str, format: str | None, source: str | None, fields: Mapping[str, str] | None
    ) -> None:
        super().__init__(place, [], format, source, None, fields)
        self._id, _, split = place.removeprefix("hf:").partition(":")
        self._split = split or "train"

    @cached_property
    def _rows(self) -> Any:
        return _from_hub(
            self.place,
            lambda datasets: datasets.load_dataset(self._id, split=self._split, streaming=True),
        )

    @cached_property
    def detection(self) -> Detection:
        """Say which schema the first rows show."""
        schema = _main_schema((i, row) for i, row in enumerate(self._rows.take(_PEEK)))
        why = f"streamed from the hub; {schema.says if schema else 'no row shows a known schema'}"
        return Detection(schema.name if schema else "unknown", why, "hub", "none", "", 1)

    def __iter__(self) -> Iterator[Sample | Rejected]:
        """Stream the rows."""
        self._forget()
        wanted = self._format or self.detection.format
        schema = next((s for s in SCHEMAS if s.name == wanted), None)
        schema = schema if self._fields is None else mapped(self._fields)
        source, reader = self.source or self._id, RowReader(self._fields)
        yield from sampled(reader.converted(row, schema, source, self._id, n) for n, row in self._numbered())
        self.count(reader)

    def _numbered(self) -> Iterator[RawRow]:
        """Yield the rows; where the stream breaks off, say so."""
        line = 0
        try:
            for line, row in enumerate(self._rows, start=1):
                yield line, row
        except Exception as error:
            reason = printable(str(error).splitlines()[0][:200] if str(error) else type(error).__name__)
            yield line + 1, Broken(f"the stream breaks off after row {line}: {reason}")
