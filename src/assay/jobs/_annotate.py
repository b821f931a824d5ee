"""People correct and score evaluation items on a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assay.core import AssayError, File
from assay.jobs._chat import need_packages

if TYPE_CHECKING:
    from assay.annotation import AnnotationExport, AnnotationStatus

_PACKAGES = ("fastapi", "python_multipart", "sqlalchemy", "uvicorn")


def annotate(
    items: list[str],
    *,
    out: File,
    database: str | None = None,
    answers: File | None = None,
    annotators: int = 1,
    per_item: int = 1,
    scale: Literal["steps", "binary"] = "steps",
    host: str = "127.0.0.1",
    port: int = 0,
    language: Literal["auto", "en", "zh"] = "auto",
    open_browser: bool = False,
) -> AnnotationStatus:
    """Serve a page to correct golden answers and types and to give scores; Ctrl-C writes the labels.

    Example: `assay annotate eval.jsonl --out labels.jsonl --answers answers.jsonl --annotators 2`

    The links printed hold the tokens to log in. Labels are kept in the database as they are made: the same
    command goes on where it was. Press ? on the page for its keys.

    Parameters
    ----------
    items
        Evaluation items: files, folders, globs, or `hf:owner/name`.
    out
        JSONL file of the labels: item, annotator, type, answer, score, note, time, and the answer judged.
    database
        A file (SQLite), or a URL such as `postgresql+psycopg://user@host/name` (its password from
        PGPASSWORD); beside `out` by default.
    answers
        Answers of a model to show and score, as `assay answer` writes them.
    annotators
        How many people; each has a link.
    per_item
        How many of them label each item.
    scale
        steps (0, 0.25, 0.5, 0.75, 1) or binary (wrong, right).
    host
        The address to listen on; any but this machine's own is warned about, for nothing is encrypted.
    port
        0 takes the port of the last time, or a free one.
    language
        Language of the pages; auto is that of each browser. It can be changed on the page.
    open_browser
        Open the first annotator's link in a browser.
    """
    need_packages("annotation", *_PACKAGES)
    from assay import annotation

    store = annotation.open_annotation(
        items, Path(out), database=database, answers=None if answers is None else Path(answers),
        annotators=annotators, per_item=per_item,
    )  # fmt: skip
    try:
        return annotation.serve(
            store, Path(out), annotators=annotators, host=host, port=port, scale=scale,
            open_browser=open_browser, language=None if language == "auto" else language,
        )  # fmt: skip
    finally:
        store.close()


def annotate_export(database: str, *, out: File, by: str | None = None) -> AnnotationExport:
    """Write corrected items as samples, with all labels and the disagreements beside them.

    Example: `assay annotate export labels.sqlite --out golden.jsonl`

    Labels go to OUT.labels.jsonl, items without a majority to OUT.disagreements.jsonl.

    Parameters
    ----------
    database
        The database of the annotation: a file, or a URL.
    out
        The file of samples to write (JSONL).
    by
        Take what this annotator says, instead of the majority.
    """
    need_packages("annotation", *_PACKAGES)
    from assay import annotation

    store = annotation.Store(_existing(database))
    try:
        return annotation.export(store, Path(out), by=by)
    finally:
        store.close()


def annotate_status(database: str) -> AnnotationStatus:
    """Say how far an annotation is, and how well its annotators agree (Krippendorff's alpha).

    Example: `assay annotate status labels.sqlite`

    Parameters
    ----------
    database
        The database of the annotation: a file, or a URL.
    """
    need_packages("annotation", *_PACKAGES)
    from assay import annotation

    store = annotation.Store(_existing(database))
    try:
        return annotation.status(store)
    finally:
        store.close()


def _existing(database: str) -> str:
    if "://" not in database and not Path(database).expanduser().is_file():
        raise AssayError(
            "no such database", place="database", value=database, expected="the file that assay annotate made"
        )
    return database
