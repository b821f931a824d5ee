"""Prompt templates: text files with named places in braces, those of the package or the user's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from assay.core import AssayError, digest
from assay.generation._tasks import Task

PROMPTS = Path(__file__).parent / "prompts"
EVOLUTIONS = ("deepen", "constrain", "concretise", "reason", "breadth")

_PLACE = re.compile(r"\{(\w+)\}")
_PLACES: Mapping[str, frozenset[str]] = {
    "self_instruct": frozenset({"count", "language", "types", "examples", "first"}),
    "localise": frozenset({"language", "task"}),
    "answer": frozenset({"language", "instruction", "input"}),
    "classify": frozenset({"instruction", "input"}),
    **{f"evolve_{how}": frozenset({"language", "type", "instruction", "input"}) for how in EVOLUTIONS},
}
_NEEDED: Mapping[str, frozenset[str]] = {
    "self_instruct": frozenset({"examples"}),
    "localise": frozenset({"task"}),
}
_LABELS = {
    "en": ("### Task {}", "Type: ", "Instruction: ", "Input: ", "Output: ", "(none)", ", "),
    "zh": ("### 任务 {}", "类型：", "指令：", "输入：", "输出：", "（无）", "、"),
}
_NAMES = {
    "en": "en English zh Chinese ja Japanese ko Korean de German fr French es Spanish it Italian "
    "pt Portuguese ru Russian ar Arabic hi Hindi th Thai el Greek he Hebrew nl Dutch pl Polish tr Turkish "
    "vi Vietnamese id Indonesian sw Swahili uk Ukrainian fa Persian bn Bengali",
    "zh": "en 英文 zh 中文 ja 日文 ko 韩文 de 德文 fr 法文 es 西班牙文 it 意大利文 pt 葡萄牙文 ru 俄文 "
    "ar 阿拉伯文 hi 印地文 th 泰文 el 希腊文 he 希伯来文",
}


def language_name(language: str, among: str = "en") -> str:
    """Return the name of a language tag in English or Chinese; a name stays as it is."""
    parts = _NAMES[among].split()
    return dict(zip(parts[::2], parts[1::2], strict=True)).get(language, language)


@dataclass(frozen=True)
class Prompts:
    """Templates written in ``language`` (en or zh), from ``folder``; without one, those of the package.

    A folder of the user's holds any of the package's names (``self_instruct.txt``); the others are the
    package's.  Lines that begin with ``#:`` are comments.
    """

    language: str = "en"
    folder: Path | None = None

    def __post_init__(self) -> None:
        """Raise :class:`AssayError` for a language without templates, or a folder without any."""
        if self.language not in _LABELS:
            raise AssayError(
                "no prompts for this language", place="prompts", value=self.language, expected="en or zh"
            )
        if self.folder is not None and not any((self.folder / f"{n}.txt").is_file() for n in _PLACES):
            raise AssayError(
                "no prompt template in this folder",
                place=str(self.folder),
                expected="any of " + ", ".join(f"{n}.txt" for n in _PLACES),
            )
        for name in _PLACES:
            self.template(name)

    @property
    def identity(self) -> str:
        """Digest of all templates."""
        return digest([self.template(name) for name in _PLACES])

    def template(self, name: str) -> str:
        """Return a template without its comments."""
        own = None if self.folder is None else self.folder / f"{name}.txt"
        path = own if own is not None and own.is_file() else PROMPTS / self.language / f"{name}.txt"
        return _read(name, path)

    def fill(self, name: str, **values: str) -> str:
        """Return a template with its places filled; a line whose only places are empty is left out.

        An input that is empty in a task block is written as the language's "(none)".
        """
        lines = []
        for line in self.template(name).split("\n"):
            places = _PLACE.findall(line)
            if places and all(not values.get(place, "") for place in places):
                continue
            lines.append(_PLACE.sub(lambda found: values.get(found[1], ""), line))
        return "\n".join(lines).strip()

    def self_instruct(
        self, examples: Sequence[Task], *, count: int, language: str, types: Sequence[str]
    ) -> str:
        """Ask for ``count`` new tasks, some shown; ``types``: those wanted, or none."""
        return self.fill(
            "self_instruct",
            count=str(count),
            language=language_name(language, self.language),
            types=_LABELS[self.language][6].join(types),
            examples="\n\n".join(self.block(task, i) for i, task in enumerate(examples, start=1)),
            first=str(len(examples) + 1),
        )

    def localise(self, task: Task, language: str) -> str:
        """Ask for the task in another language and culture."""
        return self.fill(
            "localise", language=language_name(language, self.language), task=self.block(task, 1)
        )

    def evolve(self, how: str, task: Task, language: str) -> str:
        """Ask for the task made harder, or another of its kind (:data:`EVOLUTIONS`)."""
        return self.fill(
            f"evolve_{how}",
            language=language_name(language, self.language),
            type=task.type or "generation",
            instruction=task.instruction,
            input=task.input or _LABELS[self.language][5],
        )

    def answer(self, task: Task, language: str) -> str:
        """Ask for the answer to a task."""
        return self.fill(
            "answer",
            language=language_name(language, self.language),
            instruction=task.instruction,
            input=task.input,
        )

    def classify(self, task: Task) -> str:
        """Ask for the type of a task."""
        return self.fill("classify", instruction=task.instruction, input=task.input)

    def block(self, task: Task, number: int) -> str:
        """Return a task as a block of the form that replies have."""
        head, kind, instruction, material, output, none, _ = _LABELS[self.language]
        lines = [head.format(number)]
        if task.type:
            lines.append(kind + task.type)
        lines += [
            instruction + " ".join(task.instruction.split()),
            material + (task.input or none),
            output + task.output,
        ]
        return "\n".join(lines)


@cache
def _read(name: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AssayError(f"the prompt cannot be read ({type(error).__name__})", place=str(path)) from None
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#:")).strip()
    places = set(_PLACE.findall(kept))
    unknown, missing = places - _PLACES[name], _NEEDED.get(name, frozenset({"instruction"})) - places
    if unknown or missing:
        problem = "unknown place" if unknown else "a place is missing"
        raise AssayError(
            f"{problem} in the prompt",
            place=str(path),
            value=", ".join(sorted(unknown or missing)),
            expected=", ".join(f"{{{n}}}" for n in sorted(_PLACES[name])),
        )
    return kept
