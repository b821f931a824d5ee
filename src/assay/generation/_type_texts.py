"""Typed prompts that the type classifier may learn from: all written for this project."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

from assay.data import synthetic

LANGUAGES = ("en", "zh")

_CHOICE = re.compile(r"\(([^()]*)\)")
_SLOT = re.compile(r"\{(\w+)\}")
_TESTBED = 240


@dataclass(frozen=True, slots=True)
class TypedText:
    """A prompt, its type, and the wording it is of: prompts of one wording never part in validation."""

    text: str
    type: str
    group: str


def wordings(language: str, each: int = 8) -> Iterator[TypedText]:
    """Yield ``each`` prompts of every wording of ``types/LANGUAGE.txt``, the same in every run."""
    sections = _sections(language)
    names = {name for lines in sections.values() for line in lines for name in _SLOT.findall(line)}
    slots = {name: sections.pop(name)[0].split(" | ") for name in sorted(names & set(sections))}
    for kind, lines in sections.items():
        for number, line in enumerate(lines):
            rng = random.Random(f"{language}/{kind}/{line}")
            for _ in range(each):
                text = _spoken(_filled(line, slots, rng), language, rng)
                yield TypedText(text, kind, f"{language}/{kind}/{number}")


def _sections(language: str) -> dict[str, list[str]]:
    text = files("assay.generation").joinpath("types", f"{language}.txt").read_text("utf-8")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]"):
            found[line[1:-1]] = own = []
        elif line and not line.startswith("#:"):
            own.append(line)
    return found


def _filled(line: str, slots: Mapping[str, list[str]], rng: random.Random) -> str:
    while _CHOICE.search(line):
        line = _CHOICE.sub(lambda match: rng.choice(match[1].split("/")), line)

    def draw(match: re.Match[str]) -> str:
        if match[1] == "n":
            return str(rng.choice((rng.randint(2, 12), rng.randint(13, 999))))
        return rng.choice(slots[match[1]])

    filled = _SLOT.sub(draw, line).replace("\\n", "\n")
    # A text to work on stands in its own paragraph as often as not.
    gap = rng.choice(("\n", "\n\n", " ", ""))
    return re.sub(r"(?<=[:：.。])\s*(?=\S{40,})", gap, filled, count=1)


# Polite words around a task say nothing of its type: each type has them alike.
_BEFORE = {
    "en": ("Please ", "Can you help me? ", "Hi. ", "I need help: "),
    "zh": ("请", "请你", "你好，", "麻烦你", "帮我"),
}
_AFTER = {
    "en": (" Thanks.", " Be brief.", " Answer in full sentences.", " Please be accurate.", " Keep it short."),
    "zh": ("谢谢。", "请简短回答。", "请用中文回答。", "请详细说明。", "回答要准确。"),
}


def _spoken(text: str, language: str, rng: random.Random) -> str:
    if rng.random() < 0.2:
        text = rng.choice(_BEFORE[language]) + text
    if rng.random() < 0.1:
        text += rng.choice(_AFTER[language])
    return text.rstrip("。.?？") if rng.random() < 0.2 else text


def seed_texts() -> Iterator[TypedText]:
    """Yield the seed tasks of the package."""
    for language in LANGUAGES:
        place = files("assay.generation").joinpath("seeds", f"{language}.jsonl")
        for line in place.read_text("utf-8").split("\n")[:-1]:
            row = json.loads(line)
            prompt = f"{row['instruction']}\n\n{row['input']}" if row["input"] else row["instruction"]
            yield TypedText(prompt, row["type"], f"seed/{row['id']}")


def testbed_texts() -> Iterator[TypedText]:
    """Yield prompts of the testbed, whose few wordings are one group for each type and language."""
    for planted in synthetic.generate(_TESTBED, seed=0):
        sample = planted.sample
        yield TypedText(
            sample.prompt[-1].content, sample.type or "", f"testbed/{sample.language}/{sample.type}"
        )
