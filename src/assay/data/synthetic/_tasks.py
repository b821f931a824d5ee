"""The twelve tasks of the testbed: each makes a prompt, its answer, and the checker of that answer.

Each type rests on a table of associations that only data can teach (a word's side, a creature's home, a
sum).  Its length is the type's *learning size*; types differ in it by construction, so they need different
amounts of data, and difficulty scales it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assay.core import Json
from assay.data.synthetic import _tables as tables
from assay.data.synthetic._check import checker
from assay.data.synthetic._tables import Pair


@dataclass(frozen=True, slots=True)
class Task:
    """One task in one language: what is asked, the right answer, its checker, and what it is about."""

    prompt: str
    answer: str
    checker: str
    key: str


Maker = Callable[[random.Random, int, float], Task]
"""(random numbers, 0 for English or 1 for Chinese, difficulty in (0, 1]) -> task."""


def _first(table: Sequence[Pair], difficulty: float) -> Sequence[Pair]:
    return table[: _count(len(table), difficulty)]


def _count(full: int, difficulty: float) -> int:
    return max(2, math.ceil(full * difficulty))


def _side(difficulty: float) -> int:
    """Return the largest number in sums, so that their count grows in step with difficulty."""
    return max(3, round(14 * math.sqrt(difficulty)))


def _pick(rng: random.Random, table: Sequence[Pair]) -> Pair:
    return table[int(rng.random() * len(table))]


def _number(rng: random.Random, low: int, high: int) -> int:
    return low + int(rng.random() * (high - low + 1))


def _classification(rng: random.Random, lang: int, difficulty: float) -> Task:
    good = rng.random() < 0.5
    cue = _pick(rng, _first(tables.GOOD if good else tables.BAD, difficulty))
    name, thing = _pick(rng, tables.NAMES)[lang], _pick(rng, tables.THINGS)[lang]
    if lang:
        answer = "好" if good else "坏"
        prompt = f"{name}说这个{thing}{cue[1]}。评价是好还是坏？"
    else:
        answer = "good" if good else "bad"
        prompt = f"{name} says the {thing} is {cue[0]}. Good or bad?"
    return Task(prompt, answer, checker("label", accept=[answer]), cue[0])


def _extraction(rng: random.Random, lang: int, difficulty: float) -> Task:
    colour, thing = _pick(rng, _first(tables.COLOURS, difficulty)), _pick(rng, tables.THINGS)
    name, place = _pick(rng, tables.NAMES)[lang], _pick(rng, tables.PLACES)
    if lang:
        prompt = f"{name}在{place[1]}有一个{colour[1]}的{thing[1]}。提取颜色。"
    else:
        prompt = f"{name} has a {colour[0]} {thing[0]} at the {place[0]}. Extract the colour."
    return Task(prompt, colour[lang], checker("label", accept=[colour[lang]]), colour[0])


def _closed_qa(rng: random.Random, lang: int, difficulty: float) -> Task:
    table = _first(tables.THINGS, difficulty)
    one, two = rng.sample(table, 2)
    who, other = (name[lang] for name in rng.sample(tables.NAMES, 2))
    asked, key = (who, one) if rng.random() < 0.5 else (other, two)
    if lang:
        prompt = f"{who}有{one[1]}，{other}有{two[1]}。{asked}有什么？"
    else:
        prompt = f"{who} has the {one[0]} and {other} has the {two[0]}. What does {asked} have?"
    return Task(prompt, key[lang], checker("label", accept=[key[lang], f"the {key[lang]}"]), key[0])


def _open_qa(rng: random.Random, lang: int, difficulty: float) -> Task:
    index = _number(rng, 0, _count(len(tables.CREATURES), difficulty) - 1)
    creature, home = tables.CREATURES[index], tables.PLACES[index * 7 % len(tables.PLACES)]
    name = _pick(rng, tables.NAMES)[lang]
    if lang:
        prompt = f"{name}问{_number(rng, 2, 99)}只{creature[1]}住在哪里？"
    else:
        prompt = f"{name} asks where {_number(rng, 2, 99)} {creature[0]}s live."
    return Task(prompt, home[lang], checker("label", accept=[home[lang]]), creature[0])


def _summarization(rng: random.Random, lang: int, difficulty: float) -> Task:
    group = list(tables.GROUPS)[_number(rng, 0, len(tables.GROUPS) - 1)]
    members = rng.sample(_first(tables.GROUPS[group], difficulty), min(3, _count(12, difficulty)))
    name = _pick(rng, tables.NAMES)[lang]
    if lang:
        prompt = f"用一个词概括{name}说的：{'、'.join(m[1] for m in members)}"
    else:
        prompt = f"Sum up in one word what {name} said: {', '.join(m[0] for m in members)}"
    return Task(prompt, group[lang], checker("label", accept=[group[lang]]), members[0][0])


def _brainstorming(rng: random.Random, lang: int, difficulty: float) -> Task:
    group = list(tables.GROUPS)[_number(rng, 0, len(tables.GROUPS) - 1)]
    members = tables.GROUPS[group]
    ideas = [m[lang] for m in rng.sample(_first(members, max(difficulty, 0.25)), 3)]
    name, other = _pick(rng, tables.NAMES)[lang], _pick(rng, tables.NAMES)[lang]
    if lang:
        prompt, answer = f"{name}和{other}想听三种{group[1]}。", "、".join(ideas)
    else:
        prompt, answer = f"List three {group[0]} for {name} and {other}.", ", ".join(ideas)
    accept: list[Json] = [m[lang] for m in members]
    return Task(prompt, answer, checker("items", accept=accept, need=3), group[0])


def _generation(rng: random.Random, lang: int, difficulty: float) -> Task:
    animal = _pick(rng, _first(tables.ANIMALS, difficulty))
    place = _pick(rng, _first(tables.PLACES, difficulty))
    name = _pick(rng, tables.NAMES)[lang]
    if lang:
        prompt, answer = f"给{name}写一句话：{animal[1]}、{place[1]}", f"{animal[1]}去了{place[1]}。"
    else:
        prompt = f"Write a sentence for {name}: {animal[0]}, {place[0]}"
        answer = f"The {animal[0]} went to the {place[0]}."
    return Task(prompt, answer, checker("text", needs=[animal[lang], place[lang]], longest=60), animal[0])


def _rewrite(rng: random.Random, lang: int, difficulty: float) -> Task:
    index = _number(rng, 0, _count(len(tables.OPPOSITES), difficulty) - 1)
    word, opposite = tables.OPPOSITES[index]
    if rng.random() < 0.5:
        word, opposite = opposite, word
    name, thing = _pick(rng, tables.NAMES)[lang], _pick(rng, tables.THINGS)
    if lang:
        prompt, answer = f"改成反义：{name}的{thing[1]}很{word[1]}。", f"很{opposite[1]}。"
    else:
        prompt, answer = f"Say the opposite: {name}'s {thing[0]} is {word[0]}.", f"It is {opposite[0]}."
    return Task(prompt, answer, checker("label", accept=[answer, opposite[lang]]), word[0])


def _translation(rng: random.Random, lang: int, difficulty: float) -> Task:
    """Return a translation out of ``lang`` into the other language."""
    colour = _pick(rng, _first(tables.COLOURS, difficulty))
    noun = _pick(rng, _first(tables.ANIMALS + tables.FOODS, difficulty))
    name = _pick(rng, tables.NAMES)[lang]
    if lang:
        prompt, answer = f"替{name}译成英文：{colour[1]}的{noun[1]}", f"{colour[0]} {noun[0]}"
    else:
        prompt, answer = f"Translate for {name}: {colour[0]} {noun[0]}", f"{colour[1]}的{noun[1]}"
    return Task(prompt, answer, checker("words", reference=answer), noun[0])


def _math(rng: random.Random, lang: int, difficulty: float) -> Task:
    a, b = _number(rng, 1, _side(difficulty)), _number(rng, 1, _side(difficulty))
    name, thing = _pick(rng, tables.NAMES)[lang], _pick(rng, tables.FOODS)
    if lang:
        prompt = f"{name}有{a}个{thing[1]}，又来了{b}个。共几个？"
    else:
        prompt = f"{name} has {a} {thing[0]} and gets {b} more. How many?"
    return Task(prompt, str(a + b), checker("number", value=a + b), f"{a}+{b}")


def _cot(rng: random.Random, lang: int, difficulty: float) -> Task:
    a, b = _number(rng, 1, _side(difficulty)), _number(rng, 1, _side(difficulty))
    c = _number(rng, 1, a + b - 1)
    name, thing = _pick(rng, tables.NAMES)[lang], _pick(rng, tables.FOODS)
    lines: list[Json] = [f"{a}+{b}={a + b}", f"{a + b}-{c}={a + b - c}"]
    if lang:
        prompt = f"{name}有{a}个{thing[1]}，来了{b}个，吃掉{c}个。逐步想。"
        answer = f"{lines[0]}，{lines[1]}。答案：{a + b - c}"
    else:
        prompt = f"{name} has {a} {thing[0]}, gets {b}, eats {c}. Think in steps."
        answer = f"{lines[0]}, {lines[1]}. Answer: {a + b - c}"
    return Task(prompt, answer, checker("steps", lines=lines, value=a + b - c), f"{a}+{b}-{c}")


def _code(rng: random.Random, lang: int, difficulty: float) -> Task:
    words, sign = tables.OPERATIONS[_number(rng, 0, len(tables.OPERATIONS) - 1)]
    number, name = _number(rng, 1, _count(20, difficulty)), _pick(rng, tables.NAMES)[lang]
    answer = f"x {sign} {number}"
    if lang:
        prompt = f"替{name}写Python：x{words[1]}{number}"
    else:
        prompt = f"Write Python for {name}: x {words[0]} {number}"
    return Task(prompt, answer, checker("expression", reference=answer), answer)


MAKERS: Mapping[str, Maker] = {
    "math": _math,
    "code": _code,
    "cot": _cot,
    "classification": _classification,
    "extraction": _extraction,
    "open_qa": _open_qa,
    "closed_qa": _closed_qa,
    "generation": _generation,
    "brainstorming": _brainstorming,
    "rewrite": _rewrite,
    "translation": _translation,
    "summarization": _summarization,
}


def learning_size(type: str, difficulty: float = 0.5) -> int:
    """Return how many associations a type rests on, per language, at a difficulty in (0, 1]."""
    sums = _side(difficulty) ** 2
    sizes = {
        "math": sums,
        "code": len(tables.OPERATIONS) + _count(20, difficulty),
        "cot": 2 * sums,
        "classification": 2 * _count(len(tables.GOOD), difficulty),
        "extraction": _count(len(tables.COLOURS), difficulty),
        "open_qa": _count(len(tables.CREATURES), difficulty),
        "closed_qa": _count(len(tables.THINGS), difficulty) ** 2,
        "generation": _count(len(tables.ANIMALS), difficulty) + _count(len(tables.PLACES), difficulty),
        "brainstorming": len(tables.GROUPS) * _count(16, max(difficulty, 0.25)),
        "rewrite": 2 * _count(len(tables.OPPOSITES), difficulty),
        "translation": _count(len(tables.COLOURS), difficulty) + _count(32, difficulty),
        "summarization": len(tables.GROUPS) * _count(12, difficulty),
    }
    return sizes[type]
