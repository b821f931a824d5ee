"""Read, convert, inspect and write data sets; plain texts; languages and words; the testbed."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.data._dataset import Dataset, write_dataset
from assay.data._hashed import HashedFile, HashedTexts, hashed, joined, kernel, shingle_sets
from assay.data._inspect import Inspection, LengthCounts, inspect
from assay.data._kept import kept_beside, part_key
from assay.data._languages import language_of, languages_of, normalise, words
from assay.data._layouts import SCHEMAS, Schema, placeholder
from assay.data._mapping import parse_map
from assay.data._output import Output, output
from assay.data._plugins import READERS, Reader, Row
from assay.data._points import (
    Cell,
    PointTable,
    cell_number,
    has_size,
    read_cells,
    read_points,
    read_rows_of_text,
)
from assay.data._read import (
    Detection,
    Map,
    Places,
    Reading,
    as_places,
    find_files,
    hub_revision,
    nothing_read,
    read,
    read_rows,
    reader_identity,
)
from assay.data._shard import (
    PART_BYTES,
    Part,
    Rejected,
    Shard,
    ShardRows,
    in_batches,
    rows_of_part,
    whole_files,
)
from assay.data._testbed import Written, testbed
from assay.data._texts import holds_texts, plain_rows, read_texts
from assay.data._turns import MAX_CHARACTERS
from assay.data._whole import replacing, replacing_folder, replacing_text, write_json, write_lines
from assay.data._write import FORMATS, Conversion, Format, convert, to_row, write, write_rejected, write_rows

if TYPE_CHECKING:
    show: Callable[..., Any]

__all__ = [
    "FORMATS",
    "MAX_CHARACTERS",
    "PART_BYTES",
    "READERS",
    "SCHEMAS",
    "Cell",
    "Conversion",
    "Dataset",
    "Detection",
    "Format",
    "HashedFile",
    "HashedTexts",
    "Inspection",
    "LengthCounts",
    "Map",
    "Output",
    "Part",
    "Places",
    "PointTable",
    "Reader",
    "Reading",
    "Rejected",
    "Row",
    "Schema",
    "Shard",
    "ShardRows",
    "Written",
    "as_places",
    "cell_number",
    "convert",
    "find_files",
    "has_size",
    "hashed",
    "holds_texts",
    "hub_revision",
    "in_batches",
    "inspect",
    "joined",
    "kept_beside",
    "kernel",
    "language_of",
    "languages_of",
    "normalise",
    "nothing_read",
    "output",
    "parse_map",
    "part_key",
    "placeholder",
    "plain_rows",
    "read",
    "read_cells",
    "read_points",
    "read_rows",
    "read_rows_of_text",
    "read_texts",
    "reader_identity",
    "replacing",
    "replacing_folder",
    "replacing_text",
    "rows_of_part",
    "shingle_sets",
    "show",
    "testbed",
    "to_row",
    "whole_files",
    "words",
    "write",
    "write_dataset",
    "write_json",
    "write_lines",
    "write_rejected",
    "write_rows",
]


if not TYPE_CHECKING:  # a checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        """Find ``assay.data.show``, which needs a model's tokenizer and so lives above."""
        if name == "show":
            return import_module("assay.jobs._data").show
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
