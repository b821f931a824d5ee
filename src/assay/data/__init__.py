"""Read, convert, inspect and write data sets; plain texts; languages and words; the testbed."""

from assay.data._dataset import Dataset, write_dataset
from assay.data._hashed import HashedTexts, hashed, kernel, shingle_sets
from assay.data._inspect import Inspection, LengthCounts, inspect
from assay.data._languages import language_of, normalise, words
from assay.data._layouts import SCHEMAS, Schema, placeholder
from assay.data._mapping import parse_map
from assay.data._output import Output, output
from assay.data._read import Detection, Reading, Rejected, find_files, read
from assay.data._texts import read_texts
from assay.data._turns import MAX_CHARACTERS
from assay.data._whole import replacing, replacing_folder, replacing_text, write_json, write_lines
from assay.data._write import FORMATS, Conversion, Format, convert, write, write_rejected, write_rows

__all__ = [
    "FORMATS",
    "MAX_CHARACTERS",
    "SCHEMAS",
    "Conversion",
    "Dataset",
    "Detection",
    "Format",
    "HashedTexts",
    "Inspection",
    "LengthCounts",
    "Output",
    "Reading",
    "Rejected",
    "Schema",
    "convert",
    "find_files",
    "hashed",
    "inspect",
    "kernel",
    "language_of",
    "normalise",
    "output",
    "parse_map",
    "placeholder",
    "read",
    "read_texts",
    "replacing",
    "replacing_folder",
    "replacing_text",
    "shingle_sets",
    "words",
    "write",
    "write_dataset",
    "write_json",
    "write_lines",
    "write_rejected",
    "write_rows",
]
