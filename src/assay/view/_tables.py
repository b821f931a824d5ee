"""Tables of reports on the terminal."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def table(*columns: str, left: Collection[str] = ()) -> Any:
    """Return an empty table; the first column and those of ``left`` hold words, the others figures."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        words = column == columns[0] or column in left
        made.add_column(column, justify="left" if words else "right", no_wrap=not words)
    return made
