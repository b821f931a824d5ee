"""Files of known benchmarks: their questions, and what an answer or the likelihood of choices scores."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from assay.core import AssayError, Message, Sample, canonical_json, digest
from assay.data import plain_rows
from assay.judging._rules import RULES, follows

Kind: TypeAlias = Literal["choice", "number", "text", "rules"]
VERSION = 1
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HAN = re.compile(r"[\u4e00-\u9fff]")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_SAID = re.compile(r"(?:answer|答案|选项?)\s*(?:is|为|是|选)?\s*[:：]?\s*", re.IGNORECASE)
_ASK = {
    "choice": ("Answer with the letter of the right choice alone.", "只回答正确选项的字母。"),
    "number": ("End with the number that is the answer.", "最后写出作为答案的数字。"),
    "text": ("Answer with the result alone.", "只回答结果。"),
}
_KNOWN = (
    "rows with question, A, B … and answer (MMLU, C-Eval, CMMLU); task, input and target (BBH); question and "
    "an answer with #### (GSM8K); or prompt, instruction_id_list and kwargs (IFEval)"
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a benchmark; ``key`` is the right choice, number or text, ``choices`` what may be said.

    ``rules`` are (instruction, arguments as JSON) of IFEval.
    """

    id: str
    kind: Kind
    prompt: str
    key: str = ""
    choices: tuple[str, ...] = ()
    rules: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    def sample(self, answer: str | None = None) -> Sample:
        """Return the question as a conversation, with an answer where one is given."""
        turns = (Message("user", self.prompt),)
        return Sample(turns if answer is None else (*turns, Message("assistant", answer)))

    def score(self, answer: str) -> float:
        """Return 1.0 for a right answer, else 0.0; of rules all must be followed."""
        if self.kind == "rules":
            return float(all(follows(name, answer, given) for name, given in self.rules))
        if self.kind == "number":
            return float(_number(answer) == self.key)
        found = _choice(answer, self.choices) if self.kind == "choice" else _text(answer)
        return float(found == (self.key if self.kind == "choice" else _plain(self.key)))


def read_benchmark(path: Path, limit: int | None = None) -> list[Question]:
    """Return the questions of a file that have a key, the same ``limit`` of them whichever order it has.

    Of files with splits those of ``test``, else of ``val``, where any has a key.  Raises
    :class:`AssayError` for a file that is no benchmark that is known.
    """
    rows = list(plain_rows(path))
    found = [one for row in _split(rows) if (one := _question(row, path)) is not None]
    if not found:
        raise AssayError("no question with a key", place=str(path), expected=_KNOWN)
    unique = list({one.id: one for one in found}.values())
    if limit is not None and limit < len(unique):
        kept = {one.id for one in sorted(unique, key=lambda one: one.id)[:limit]}
        unique = [one for one in unique if one.id in kept]
    return unique


def _split(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    for name in ("test", "val", "dev"):
        own = [row for row in rows if row.get("split") == name and str(row.get("answer") or "").strip()]
        if own:
            return own
    return rows


def _question(row: Mapping[str, Any], path: Path) -> Question | None:
    """Return a row as a question; None where it has no key."""
    if {"prompt", "instruction_id_list", "kwargs"} <= row.keys():
        return _of_rules(row, path)
    if {"question", "A", "B", "answer"} <= row.keys():
        return _of_choices(row)
    if {"input", "target"} <= row.keys():
        return _of_target(str(row["input"]), str(row["target"]).strip())
    if {"question", "answer"} <= row.keys() and "####" in str(row["answer"]):
        asked = str(row["question"])
        return _asked("number", asked, _number(str(row["answer"]).rpartition("####")[2]))
    raise AssayError("the row is of no benchmark that is known", place=str(path), value=sorted(row)[:12],
                     expected=_KNOWN)  # fmt: skip


def _of_rules(row: Mapping[str, Any], path: Path) -> Question:
    names = [str(name) for name in row["instruction_id_list"]]
    if unknown := [name for name in names if name not in RULES]:
        raise AssayError("an instruction that cannot be checked", place=str(path), value=unknown[0],
                         expected=", ".join(RULES))  # fmt: skip
    rules = tuple(zip(names, row["kwargs"], strict=True))
    prompt = str(row["prompt"])
    return Question(digest([prompt, canonical_json(rules)])[:16], "rules", prompt, rules=rules)


def _of_choices(row: Mapping[str, Any]) -> Question | None:
    letters = [letter for letter in _LETTERS[:10] if str(row.get(letter) or "").strip()]
    key = str(row["answer"] or "").strip()
    if key not in letters:
        return None
    options = "\n".join(f"{letter}. {row[letter]}" for letter in letters)
    return _asked("choice", f"{row['question']}\n{options}", key, tuple(letters))


def _of_target(asked: str, key: str) -> Question:
    """Return a question of BBH: a choice where its options are named by letters, else a text."""
    marks = re.findall(r"^\(([A-Z])\)", asked, re.MULTILINE)
    if re.fullmatch(r"\([A-Z]\)", key) and key[1] in marks:
        return _asked("choice", asked, key[1], tuple(marks))
    return _asked("text", asked, key)


def _asked(kind: Kind, text: str, key: str, choices: tuple[str, ...] = ()) -> Question:
    prompt = f"{text}\n\n{_ASK[kind][_HAN.search(text) is not None]}"
    return Question(digest([text, key])[:16], kind, prompt, key, choices)


def _choice(answer: str, choices: tuple[str, ...]) -> str | None:
    """Return the letter of an answer: after its last word for answer, else the first that stands alone."""
    letters = rf"\(?([{''.join(choices)}])(?![A-Za-z])"
    said = [m for part in _SAID.split(answer)[1:] if (m := re.match(letters, part.strip(" *\n")))]
    if said:
        return said[-1][1]
    alone = re.search(rf"(?<![A-Za-z']){letters}", answer)
    return alone[1] if alone else None


def _number(text: str) -> str:
    """Return the last number of a text in one form; "" where there is none."""
    found = _NUMBER.findall(text)
    if not found:
        return ""
    value = float(found[-1].replace(",", ""))
    return str(int(value)) if value.is_integer() else repr(value)


def _text(answer: str) -> str:
    """Return the result that an answer gives: after the last word for answer, else its last line."""
    parts = _SAID.split(answer.strip())
    last = parts[-1] if len(parts) > 1 else (answer.strip().split("\n") or [""])[-1]
    return _plain(last)


def _plain(text: str) -> str:
    return " ".join(text.strip().strip(".。*\"' ").lower().split())
