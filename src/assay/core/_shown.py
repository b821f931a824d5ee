"""Values that show themselves in a notebook."""

from __future__ import annotations

from importlib import import_module


class Shown:
    """A value that a notebook shows as the terminal does.

    How it looks is known to :mod:`assay.view`, which is above; it is asked for by name when a notebook asks.
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        html: str = import_module("assay.view").html_of(self)
        return html
