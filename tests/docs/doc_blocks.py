"""The code blocks of the documentation: commands to run and files to write."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+)?([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"#\s*([\w./-]+\.(?:ya?ml|py|toml|csv|jsonl))\s*\n")
"""A block whose first line names a file is that file."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page: its language, its text, and the file that its first line names, if any."""

    page: Path
    line: int
    language: str
    text: str
    run: bool = True
    """False where it needs what no test has (``norun`` behind the language): GPUs, an installation."""

    @property
    def file(self) -> str | None:
        """Name of the file that the block is."""
        found = NAMED.match(self.text)
        return found[1] if found else None

    def commands(self) -> Iterator[tuple[int, str]]:
        """Yield the commands of a shell block with their lines, continued lines joined."""
        if self.language in {"sh", "bash", "console"}:
            yield from _joined(self.text, self.line)


def _joined(text: str, first: int) -> Iterator[tuple[int, str]]:
    held, at = "", first
    for number, line in enumerate(text.splitlines(), first):
        at = at if held else number
        held += line.removesuffix("\\") if line.endswith("\\") else line
        if not line.endswith("\\"):
            if held.strip() and not held.lstrip().startswith("#"):
                yield at, held.strip()
            held = ""


def pages() -> list[Path]:
    """Return the pages that users read."""
    docs = [p for p in sorted((ROOT / "docs").rglob("*.md")) if "decisions" not in p.parts]
    return [ROOT / "README.md", ROOT / "README.zh.md", *docs]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        yield Block(
            page, text.count("\n", 0, found.start()) + 2, found[1] or "", found[3], "norun" not in found[2]
        )


def assay_words(command: str) -> list[str] | None:
    """Return the arguments that a shell command gives to ``assay``, None where it runs another."""
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    cut = next((i for i, word in enumerate(words) if word in {"|", ">", ">>", "&&", ";", "&"}), len(words))
    return words[1:cut] if words[:1] == ["assay"] else None


def inline(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the commands that a page names within a sentence, with their lines."""
    text = FENCE.sub(lambda found: "\n" * found[0].count("\n"), page.read_text(encoding="utf-8"))
    for found in re.finditer(r"`(assay [^`]+)`", text):
        yield text.count("\n", 0, found.start()) + 1, found[1]


def examples() -> Iterator[tuple[str, str]]:
    """Yield the commands that the public functions and the ready studies show, with where they stand."""
    for file in sorted((ROOT / "src").rglob("*.py")):
        for found in re.finditer(r"`(assay [^`{}]+)`", file.read_text(encoding="utf-8")):
            yield file.name, " ".join(found[1].split())
    for file in sorted((ROOT / "recipes").rglob("*.yaml")):
        for line in re.findall(r"^#\s+(assay .*)$", file.read_text(encoding="utf-8"), re.MULTILINE):
            yield file.name, line
