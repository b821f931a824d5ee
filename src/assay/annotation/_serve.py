"""Run the pages until they are stopped."""

from __future__ import annotations

import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from assay import web
from assay.annotation._app import build_app
from assay.annotation._diff import difference
from assay.annotation._export import AnnotationStatus, status, write_labels
from assay.annotation._pages import Scale
from assay.annotation._read import read_items
from assay.annotation._store import Store
from assay.annotation._tokens import Tokens
from assay.annotation._work import work_of
from assay.core import AssayError, to_json
from assay.data import write_lines


def default_database(out: Path) -> str:
    """Return the database beside a file of labels: ``labels.jsonl`` has ``labels.sqlite``."""
    return str(out.with_suffix(".sqlite"))


def open_annotation(
    places: Sequence[str], out: Path, *, database: str | None, answers: Path | None, annotators: int,
    per_item: int,
) -> Store:  # fmt: skip
    """Open the database of an annotation, with its items read and dealt.

    Rows that could not be used are written to ``OUT.rejected.jsonl``.  Raises :class:`AssayError` where there
    is no item at all.
    """
    found = read_items(places, answers)
    if found.rejected:
        path = out.with_name(f"{out.name}.rejected.jsonl")
        write_lines(({**_plain(row)} for row in found.rejected), path)
        print(f"{len(found.rejected)} rows could not be used: {path}", file=sys.stderr)
    if not found.items:
        raise AssayError(
            "no item to label",
            place=", ".join(places),
            expected="a data set that assay data inspect can read",
        )
    store = Store(database or default_database(out))
    store.load(found.items, found.answers)
    store.deal(annotators, per_item)
    return store


def _plain(row: object) -> dict[str, object]:
    fields = to_json(row)
    assert isinstance(fields, dict)  # noqa: S101 - dataclasses become objects
    return dict(fields)


def serve(
    store: Store, out: Path, *, annotators: int, host: str = "127.0.0.1", port: int = 0,
    language: Literal["en", "zh"] | None = None, scale: Scale = "steps", open_browser: bool = False,
    most: float | None = None,
) -> AnnotationStatus:  # fmt: skip
    """Serve the pages until Ctrl-C, then write the labels to ``out`` and say how far they are.

    Port 0 is the one of the last time where it is free, so that open pages go on.  With ``most`` it ends once
    this call has seen so many seconds of people's work.
    """
    begun = status(store).work
    tokens = Tokens.new(annotators)
    app = build_app(store, tokens, web.allowed_hosts(host), scale=scale, language=language)
    bound = web.bind(host, port or int(store.remember("port") or 0), fixed=port != 0)
    number = bound.getsockname()[1]
    store.remember("port", str(number))
    links = _announce(store, tokens, host, number)
    # The dictionary of Chinese words takes a second to load; nobody should wait for it.
    threading.Thread(target=difference, args=("中文", "文字"), daemon=True).start()
    if open_browser:
        webbrowser.open(links[0])
    stop = None if most is None else _Enough(store, most + (begun.seconds if begun else 0.0))
    web.run(app, bound, stop)
    write_labels(store, out)
    return status(store)


class _Enough:
    """Tells whether people have worked for so many seconds."""

    def __init__(self, store: Store, most: float) -> None:
        self.store, self.most = store, most

    def __call__(self) -> bool:
        return work_of(self.store.labels(), 0).seconds >= self.most


def _announce(store: Store, tokens: Tokens, host: str, port: int) -> list[str]:
    """Print one link for each annotator; the tokens are shown nowhere else."""
    web.warn(host, "read and label")
    names = store.seats()
    links = [f"{web.address(host, port)}/login?token={token}" for token in tokens.by_seat.values()]
    for seat, link in zip(tokens.by_seat, links, strict=True):
        print(f"annotator {seat} ({names[seat] or 'not named yet'}): {link}", file=sys.stderr)
    print("Ctrl-C ends; labels are safe in " + store.place, file=sys.stderr, flush=True)
    return links
