"""The Python of another environment, where a program runs that this one need not have."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from assay.core._errors import AssayError


def other_python(named: str | None, variable: str, module: str, *, title: str, setting: str) -> str | None:
    """Return the python that has a program: as named (or its environment's folder), by its variable, or ours.

    None where none is named and this environment does not have ``module``.  Raises :class:`AssayError` where
    what is named, by ``setting`` or the environment's ``variable``, is no python.
    """
    found = named or os.environ.get(variable)
    if found is None:
        return sys.executable if find_spec(module) is not None else None
    inside = Path(found).expanduser() / "bin" / "python"
    place = str(inside) if inside.is_file() else shutil.which(found)
    if place is None:
        raise AssayError(
            "no such python", place=setting if named else variable, value=found,
            expected=f"the folder or the python of an environment that has {title}",
        )  # fmt: skip
    return place
