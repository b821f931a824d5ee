"""Whether an object is what its manifest says: sizes at each reading, digests once per process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

from assay.core import file_digest

MANIFEST = "manifest.json"

Signature: TypeAlias = "tuple[tuple[str, int, int], ...]"

_SEEN: dict[str, Signature] = {}
"""Folders whose digests were right, with names, sizes and times of their files then."""


def listed(folder: Path) -> list[Path]:
    """Return the files that belong into a manifest: all but the manifest itself, in any folder."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)


def remember(folder: Path) -> None:
    """Take an object for intact that was digested just now."""
    _SEEN[str(folder.resolve())] = _signature(folder)


def forget(folder: Path) -> None:
    """Digest an object anew when it is read next."""
    _SEEN.pop(str(folder.resolve()), None)


def problem_of(folder: Path, *, anew: bool = False, strict: bool = False) -> str | None:
    """Return what is wrong with an object, or None.

    Its digests are trusted where this process found them right and no file changed in size or time since;
    with ``anew`` they are read in any case.  Files that the manifest does not name are wrong only if
    ``strict``.
    """
    try:
        now = _signature(folder)
        if not anew and _SEEN.get(str(folder.resolve())) == now:
            return None
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        found = _difference(folder, files, strict=strict)
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its manifest cannot be read ({type(error).__name__})"
    if found is None:
        _SEEN[str(folder.resolve())] = now
    return found


def _difference(folder: Path, files: dict[str, Any], *, strict: bool) -> str | None:
    for name, (size, _) in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size:,} bytes, not {size:,}"
    for name, (_, digest) in files.items():
        if file_digest(folder / name) != digest:
            return f"{name} has changed"
    more = {str(p.relative_to(folder)) for p in listed(folder)} - set(files) if strict else set()
    return f"{min(more)} does not belong to it" if more else None


def _signature(folder: Path) -> Signature:
    entries = [(p, p.stat()) for p in (*listed(folder), folder / MANIFEST)]
    return tuple((str(p.relative_to(folder)), entry.st_size, entry.st_mtime_ns) for p, entry in entries)
