"""Catalogues whose names are loaded at first use, so that plans and help stay quick: torch takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy(package: str, /, **modules: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package (PEP 562), given the names that each of its modules offers."""
    where = {name: module for module, names in modules.items() for name in names.split()}

    def load(name: str) -> Any:
        if name in where:
            return getattr(import_module(f"{package}.{where[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return load
