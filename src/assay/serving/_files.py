"""Files of a study's folder, and of nothing else."""

from __future__ import annotations

from pathlib import Path

KINDS = {
    ".html": "text/html; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png",
    ".csv": "text/csv; charset=utf-8", ".json": "application/json", ".jsonl": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8", ".parquet": "application/octet-stream",
}  # fmt: skip
# A report is a page of its own: it may show itself, and neither reach this server nor anything else.
HEADERS = {
    "content-security-policy": (
        "sandbox allow-scripts allow-downloads allow-popups; default-src 'none'; script-src 'unsafe-inline'; "
        "style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
    )
}


def find_file(folder: Path, path: str) -> Path | None:
    """Return a file of ``folder`` that may be shown; None where there is none.

    Links that lead out of the folder are not followed; hidden files and other kinds are not shown.
    """
    if "\0" in path or "\\" in path:
        return None
    parts = Path(path).parts
    if not parts or any(part.startswith(".") or part == "/" for part in parts):
        return None
    root, found = folder.resolve(), (folder / path).resolve()
    return found if found.is_relative_to(root) and found.is_file() and found.suffix in KINDS else None
