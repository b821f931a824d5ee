"""The seed tasks and the prompt templates: complete, right, varied, and of our own making."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import sqlite3
import string
import unicodedata
from collections import Counter
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from assay.core import TASK_TYPES
from assay.data import hashed, language_of
from assay.selection import novel

LANGUAGES = ("en", "zh")
FIELDS = {"id", "type", "instruction", "input", "output", "language"}
GIVEN = {"closed_qa", "extraction", "summarization", "rewrite", "translation"}
PROMPTS = {
    "self_instruct": {"count", "language", "types", "examples", "first"},
    "localise": {"language", "task"},
    "answer": {"language", "instruction", "input"},
    "classify": {"instruction", "input"},
    **{
        f"evolve_{kind}": {"language", "type", "instruction", "input"}
        for kind in ("deepen", "constrain", "concretise", "reason", "breadth")
    },
}
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?")


def text_of(*parts: str) -> str:
    return resources.files("assay.generation").joinpath(*parts).read_text("utf-8")


def seeds(language: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text_of("seeds", f"{language}.jsonl").splitlines()]


def blocks(seed: dict[str, Any], syntax: str) -> list[str]:
    return re.findall(rf"```{syntax}\n(.*?)```", seed["output"], re.DOTALL)


def last_number(text: str) -> Fraction:
    plain = unicodedata.normalize("NFKC", text).replace("\u2212", "-")
    return Fraction(_NUMBER.findall(plain)[-1].replace(",", ""))


@pytest.mark.parametrize("language", LANGUAGES)
def test_fields_are_there_and_counts_suffice(language: str) -> None:
    tasks = seeds(language)
    for seed in tasks:
        assert set(seed) - {"check"} == FIELDS, seed["id"]
        assert all(isinstance(value, str) and value == value.strip("\n") for value in seed.values())
        assert seed["instruction"] and seed["output"] and seed["language"] == language
        assert re.fullmatch(rf"{language}-{seed['type']}-\d\d", seed["id"])
        assert ("check" in seed) == (seed["type"] == "math")
    assert len({seed["id"] for seed in tasks}) == len(tasks) >= 72
    counts = Counter(seed["type"] for seed in tasks)
    assert set(counts) == set(TASK_TYPES)
    assert min(counts.values()) >= 6


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_in_their_language(language: str) -> None:
    for seed in seeds(language):
        told = [seed["instruction"]]
        if seed["type"] not in ("translation", "code"):
            told += [seed["input"], seed["output"]]
        assert language_of("\n".join(told)) == language, seed["id"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_tasks_on_a_text_have_one_and_others_vary(language: str) -> None:
    tasks = seeds(language)
    assert all(seed["input"] for seed in tasks if seed["type"] in GIVEN)
    without = sum(not seed["input"] for seed in tasks)
    assert len(tasks) / 4 < without < len(tasks) * 3 / 4
    lengths = sorted(len(seed["instruction"]) for seed in tasks)
    assert lengths[0] * 10 < lengths[-1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_instructions_are_alike(language: str) -> None:
    partner, score = novel(hashed([seed["instruction"] for seed in seeds(language)]), limit=0.6)
    assert not [
        (row, int(partner[row]), float(score[row])) for row in range(len(partner)) if partner[row] >= 0
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_results_of_calculations_are_right(language: str) -> None:
    for seed in seeds(language):
        if seed["type"] == "math":
            value = eval(seed["check"], {"Fraction": Fraction})
            assert last_number(seed["output"]) == Fraction(str(value)), seed["id"]


CALLS = {
    "en-code-01": "merge_bookings([(5, 7), (3, 4), (1, 3), (2, 2)]) == [(1, 4), (5, 7)]",
    "en-code-04": "add_guest('Ida') == ['Ida'] and add_guest('Omar') == ['Omar']",
    "zh-code-01": "check_digit('11010519491231002') == 'X'",
    "zh-code-04": "scores == [85, 91]",
    "zh-code-06": "[read_number(n) for n in (0, 10, 110, 305, 1001, 2010)] == "
    "['零', '十', '一百一十', '三百零五', '一千零一', '二千零一十']",
}


def test_python_answers_run() -> None:
    answers = {
        seed["id"]: blocks(seed, "python")
        for language in LANGUAGES
        for seed in seeds(language)
        if blocks(seed, "python")
    }
    assert set(answers) == set(CALLS)
    for name, codes in answers.items():
        names: dict[str, Any] = {}
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(codes[-1], name, "exec"), names)
        assert eval(CALLS[name], names), name


def test_queries_give_the_rows_asked_for() -> None:
    tasks = {seed["id"]: seed for language in LANGUAGES for seed in seeds(language)}
    database = sqlite3.connect(":memory:")
    for name in ("en-code-02", "zh-code-02"):
        for table in re.findall(r"^\w+\(.*\)", tasks[name]["input"], re.MULTILINE):
            database.execute(f"CREATE TABLE {table}")
    database.executemany("INSERT INTO customers VALUES (?, ?)", [(1, "Zoe"), (2, "Bo"), (3, "Al"), (4, "Di")])
    orders = [(1, "2023-12-31"), (2, "2023-05-05"), (2, "2024-02-02"), (3, "2024-01-01"), (4, "2023-03-03")]
    database.executemany("INSERT INTO orders (customer_id, ordered_on) VALUES (?, ?)", orders)
    assert database.execute(*blocks(tasks["en-code-02"], "sql")).fetchall() == [("Di",), ("Zoe",)]
    database.executemany("INSERT INTO student VALUES (?, ?)", [(1, "甲"), (2, "乙"), (3, "丙")])
    chosen = [(student, course) for student, n in ((1, 3), (2, 2), (3, 4)) for course in range(n)]
    database.executemany("INSERT INTO enrolment VALUES (?, ?)", chosen)
    assert database.execute(*blocks(tasks["zh-code-02"], "sql")).fetchall() == [("丙", 4), ("甲", 3)]
    database.close()


def published(shared: Path, place: str) -> list[str]:
    held = (shared / place).read_bytes()
    text = (gzip.decompress(held) if place.endswith(".gz") else held).decode()
    return [json.loads(line)["instruction"] for line in text.strip().split("\n")]


@pytest.mark.parametrize(
    "place", ["data/self_instruct/seed_tasks.jsonl.gz", "data/belle/zh_seed_tasks.jsonl"]
)
def test_none_is_like_a_published_seed_task(shared: Path, place: str) -> None:
    others = published(shared, place)
    ours = [seed["instruction"] for language in LANGUAGES for seed in seeds(language)]
    for text in ours:
        partner, score = novel(hashed([text, *others]), limit=0.6)
        assert not (partner == 0).any(), (text, float(score.max()))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_a_prompt_states_and_holds_its_placeholders(language: str, name: str) -> None:
    lines = text_of("prompts", language, f"{name}.txt").splitlines()
    head = [line for line in lines if line.startswith("#:")]
    body = "\n".join(line for line in lines if not line.startswith("#:"))
    held = {field for _, field, _, _ in string.Formatter().parse(body) if field is not None}
    assert held == PROMPTS[name]
    assert set(re.findall(r"\{(\w+)\}", "\n".join(head))) == held
    assert lines[: len(head)] == head
    assert language_of(body) == language
    if name.startswith(("self", "local", "evolve")):
        assert ("### 任务" if language == "zh" else "### Task") in body


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["self_instruct", "classify"])
def test_a_prompt_names_every_type(language: str, name: str) -> None:
    body = text_of("prompts", language, f"{name}.txt")
    assert all(re.search(rf"(?<![a-z_]){kind}(?![a-z_])", body) for kind in TASK_TYPES)
