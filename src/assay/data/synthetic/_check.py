"""Exact checkers: canonical JSON that says what is right, and an answer, to a score in [0, 1]."""

from __future__ import annotations

import ast
import json
import operator
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from assay.core import AssayError, Json, canonical_json

_LONGEST_EXPRESSION = 200
_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def checker(kind: str, **arguments: Json) -> str:
    """Return the canonical JSON of a checker."""
    return canonical_json({"kind": kind, **arguments})


def check(checker: str, answer: str) -> float:
    """Score an answer by an exact checker, in [0, 1].

    Kinds: ``label`` (one of ``accept``), ``number`` (the last number is ``value``), ``steps`` (half for the
    ``lines`` in order, half for the last number), ``items`` (``need`` different ones of ``accept``),
    ``words`` (F1 with the words or characters of ``reference``), ``expression`` (Python arithmetic in ``x``
    that agrees with ``reference``), ``text`` (holds all of ``needs``, ends a sentence, at most ``longest``
    characters).
    Raises :class:`AssayError` for JSON that names no known kind or lacks its arguments.
    """
    kind, arguments = _parsed(checker)
    try:
        return max(0.0, min(1.0, float(_KINDS[kind](answer, arguments))))
    except (KeyError, TypeError) as error:
        raise AssayError(
            f"the checker lacks or misuses an argument ({error})", place=f"checker {kind}", value=checker
        ) from None


@lru_cache(maxsize=4096)
def _parsed(checker: str) -> tuple[str, dict[str, Any]]:
    try:
        arguments = json.loads(checker)
        kind = arguments.pop("kind")
        if kind in _KINDS:
            return str(kind), arguments
    except (ValueError, KeyError, AttributeError, TypeError):
        pass
    raise AssayError(
        "not a checker", place="checker", value=checker, expected=f"JSON with kind: {', '.join(_KINDS)}"
    )


def plain(text: str) -> str:
    """Return text without case, width, punctuation at the ends and runs of white space."""
    folded = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    return folded.strip(" .,!?;:。，！？；：、'\"“”‘’")


_PIECE = re.compile(r"[a-z]+|\d+|[^\W\d_a-z]")


def pieces(text: str) -> list[str]:
    """Return Latin words, numbers and single characters of other scripts."""
    return _PIECE.findall(unicodedata.normalize("NFKC", text).lower())


def _label(answer: str, arguments: Mapping[str, Any]) -> float:
    return float(plain(answer) in {plain(a) for a in arguments["accept"]})


def _numbers(answer: str) -> list[int]:
    return [int(n) for n in re.findall(r"-?\d{1,18}", unicodedata.normalize("NFKC", answer))]


def _number(answer: str, arguments: Mapping[str, Any]) -> float:
    return float(_numbers(answer)[-1:] == [arguments["value"]])


def _steps(answer: str, arguments: Mapping[str, Any]) -> float:
    said = "".join(unicodedata.normalize("NFKC", answer).split())
    at, right = 0, 0
    for line in arguments["lines"]:
        found = said.find(line, at)
        if found >= 0:
            at, right = found + len(line), right + 1
    return 0.5 * right / len(arguments["lines"]) + 0.5 * _number(answer, arguments)


def _items(answer: str, arguments: Mapping[str, Any]) -> float:
    said = [p for p in (plain(part) for part in re.split(r"[,，、;；\n]| and |和", answer)) if p]
    right = set(said) & {plain(a) for a in arguments["accept"]}
    return len(right) / max(int(arguments["need"]), len(said))


def _words(answer: str, arguments: Mapping[str, Any]) -> float:
    said, wanted = Counter(pieces(answer)), Counter(pieces(arguments["reference"]))
    common = (said & wanted).total()
    return 2 * common / (said.total() + wanted.total()) if wanted else float(not said)


def _expression(answer: str, arguments: Mapping[str, Any]) -> float:
    try:
        tree = ast.parse(unicodedata.normalize("NFKC", answer).strip()[:_LONGEST_EXPRESSION], mode="eval")
        return float(
            all(
                _value(tree.body, x) == _value(ast.parse(arguments["reference"], mode="eval").body, x)
                for x in (7, 12, 100, 41)
            )
        )
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return 0.0


def _value(node: ast.expr, x: int) -> int:
    """Evaluate whole-number arithmetic in x; nothing else can be expressed, so nothing else can run."""
    match node:
        case ast.Name(id="x"):
            return x
        case ast.Constant(value=int(number)) if abs(number) < 10**6:
            return number
        case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, x), _value(right, x))
    raise ValueError("not whole-number arithmetic in x")


def _text(answer: str, arguments: Mapping[str, Any]) -> float:
    said = unicodedata.normalize("NFKC", answer).lower().strip()
    needs = arguments["needs"]
    held: float = sum(need.lower() in said for need in needs) / len(needs)
    ends = said.endswith((".", "。", "!", "?"))
    short = len(said) <= arguments["longest"]
    return float(held * (0.5 + 0.25 * ends + 0.25 * short))


_KINDS: Mapping[str, Callable[[str, Mapping[str, Any]], float]] = {
    "label": _label,
    "number": _number,
    "steps": _steps,
    "items": _items,
    "words": _words,
    "expression": _expression,
    "text": _text,
}
