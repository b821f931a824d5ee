"""Lay the sources of the site out in build/docs: these pages, the project's files, pages made from code.

    python docs/_site.py && mkdocs build

Links that lead out of this folder are pointed at the copies; a link to nothing is left for mkdocs to refuse.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
OUT = ROOT / "build" / "docs"
PROJECT = ("README.md", "README.zh.md", "CHANGELOG.md", "LOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""Files beside the docs that are pages of the site too."""
ELSEWHERE = "# Python 函数\n\n函数说明只有英文，见英文站点的同名页面。\n"
"""In place of a second copy of the docstrings, whose anchors would be there twice."""
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def main() -> None:
    """Write all sources anew."""
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(DOCS, OUT, ignore=shutil.ignore_patterns("_*", "__pycache__"))
    for page in (*sorted(OUT.rglob("*.md")), *(ROOT / name for name in PROJECT)):
        _lay(page)
    reference = OUT / "reference"
    reference.mkdir(exist_ok=True)
    (reference / "commands.md").write_text(commands(), encoding="utf-8")
    (reference / "functions.md").write_text(functions(), encoding="utf-8")
    (reference / "functions.zh.md").write_text(ELSEWHERE, encoding="utf-8")


def _lay(page: Path) -> None:
    """Write a page with its links as the site has them, and what it links to outside the docs."""
    ours = page.is_relative_to(OUT)
    source = DOCS / page.relative_to(OUT) if ours else page
    place = page if ours else OUT / "project" / page.name
    up = "../" * len(place.relative_to(OUT).parts[:-1])

    def moved(found: re.Match[str]) -> str:
        target = found[1].replace(".zh.md", ".md")  # the site chooses the language
        reached = source.parent.joinpath(target).resolve()
        if reached.is_relative_to(DOCS):
            return f"]({up}{reached.relative_to(DOCS)}{found[2] or ''})"
        copied = OUT / "project" / reached.relative_to(ROOT)
        if reached.is_file() and reached.parent != ROOT:
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(reached, copied)
        return f"]({up}{copied.relative_to(OUT)}{found[2] or ''})"

    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(LINK.sub(moved, source.read_text(encoding="utf-8")), encoding="utf-8")


def commands() -> str:
    """Return the help of every command."""
    from assay.cli import build

    text = build(everything=True).generate_docs(output_format="markdown", heading_level=1)
    return re.sub(r"^# assay.*$", "# Commands", text, count=1, flags=re.MULTILINE)


def functions() -> str:
    """Return what the docstrings of the public functions and values say."""
    from assay._catalogue import CATALOGUE, OTHERS, python_name

    lines = ["# Python functions", "", "Commands and functions go together: [Python](../python.md).", ""]
    names = {python_name(c): entry.place for c, entry in CATALOGUE.items()} | dict(OTHERS)
    for name, place in names.items():
        label = f"assay.{name}"
        lines += [f"::: {place.replace(':', '.')}", "    options:"]
        lines += [f"      {key}: {label}" for key in ("heading", "toc_label")] + [""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
