"""People correct and score evaluation items on a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assay.core import File
from assay.jobs._chat import need_packages

if TYPE_CHECKING:
    from assay.annotation import AnnotationExport, AnnotationStatus

OVERLAP = 2
"""Annotators of an item where nothing else is said: with one alone nobody knows how far people agree."""
_PACKAGES = ("fastapi", "python_multipart", "sqlalchemy", "uvicorn")


def annotate(
    items: list[str],
    *,
    out: File,
    database: str | None = None,
    answers: File | None = None,
    annotators: int = 1,
    per_item: int | None = None,
    scale: Literal["steps", "binary"] = "steps",
    host: str = "127.0.0.1",
    port: int = 0,
    language: Literal["auto", "en", "zh"] = "auto",
    open_browser: bool = False,
) -> AnnotationStatus:
    """Annotate items in the browser: correct answers and types, give scores; Ctrl-C writes labels.

    Example: `assay annotate eval.jsonl --out labels.jsonl --answers answers.jsonl --annotators 2`

    The printed links contain the login tokens. Labels are saved to the database at once; rerun the same
    command to continue. Press ? on the page for keyboard shortcuts.

    Parameters
    ----------
    items
        Evaluation items: files, folders, globs, or `hf:owner/name`.
    out
        JSONL file for the labels: item, annotator, type, answer, score, note, time, and the answer judged.
    database
        A file (SQLite), or a URL such as `postgresql+psycopg://user@host/name` (password from
        PGPASSWORD); next to `out` by default.
    answers
        Model answers to show and score, as written by `assay answer`.
    annotators
        Number of annotators; each gets a link.
    per_item
        Number of annotators per item; by default 2 where there are two or more, so that agreement is known.
    scale
        steps (0, 0.25, 0.5, 0.75, 1) or binary (wrong, right).
    host
        Address to listen on. Traffic is not encrypted, so any address other than localhost gives a warning.
    port
        Port; 0 reuses the last one or picks a free one.
    language
        Language of the pages; auto follows the browser. It can be changed on the page.
    open_browser
        Open the first annotator's link in a browser.
    """
    need_packages("annotation", *_PACKAGES)
    from assay import annotation

    store = annotation.open_annotation(
        items, Path(out), database=database, answers=None if answers is None else Path(answers),
        annotators=annotators, per_item=min(annotators, OVERLAP) if per_item is None else per_item,
    )  # fmt: skip
    try:
        return annotation.serve(
            store, Path(out), annotators=annotators, host=host, port=port, scale=scale,
            open_browser=open_browser, language=None if language == "auto" else language,
        )  # fmt: skip
    finally:
        store.close()


def annotate_export(database: str, *, out: File, by: str | None = None) -> AnnotationExport:
    """Export corrected items as samples, with all labels and disagreements in separate files.

    Example: `assay annotate export labels.sqlite --out golden.jsonl`

    Labels go to OUT.labels.jsonl, items without a majority to OUT.disagreements.jsonl.

    Parameters
    ----------
    database
        Annotation database: a file or a URL.
    out
        File for the samples (JSONL).
    by
        Use this annotator's labels instead of the majority's.
    """
    need_packages("annotation", *_PACKAGES)
    from assay import annotation

    store = annotation.Store(database, create=False)
    try:
        return annotation.export(store, Path(out), by=by)
    finally:
        store.close()


def annotate_status(database: str) -> AnnotationStatus:
    """Show annotation progress and inter-annotator agreement (Krippendorff's alpha).

    Example: `assay annotate status labels.sqlite`

    Parameters
    ----------
    database
        Annotation database: a file or a URL.
    """
    need_packages("annotation", *_PACKAGES)
    from assay import annotation

    store = annotation.Store(database, create=False)
    try:
        return annotation.status(store)
    finally:
        store.close()
