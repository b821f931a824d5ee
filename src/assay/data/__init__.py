"""Read, convert, inspect and write data sets; plain texts; languages and words; the testbed."""

from assay.data._dataset import Dataset, write_dataset
from assay.data._hashed import HashedTexts, hashed, kernel, shingle_sets
from assay.data._inspect import Inspection, LengthCounts, inspect
from assay.data._languages import language_of, normalise, words
from assay.data._plugins import READERS, Reader, Row
from assay.data._read import Detection, Reading, Rejected, find_files, read, reader_identity
from assay.data._rows import MAX_CHARACTERS
from assay.data._texts import read_texts
from assay.data._whole import replacing, replacing_text, write_json, write_lines
from assay.data._write import FORMATS, Conversion, Format, convert, write, write_training_configs

__all__ = [
    "FORMATS",
    "MAX_CHARACTERS",
    "READERS",
    "Conversion",
    "Dataset",
    "Detection",
    "Format",
    "HashedTexts",
    "Inspection",
    "LengthCounts",
    "Reader",
    "Reading",
    "Rejected",
    "Row",
    "convert",
    "find_files",
    "hashed",
    "inspect",
    "kernel",
    "language_of",
    "normalise",
    "read",
    "read_texts",
    "reader_identity",
    "replacing",
    "replacing_text",
    "shingle_sets",
    "words",
    "write",
    "write_dataset",
    "write_json",
    "write_lines",
    "write_training_configs",
]
