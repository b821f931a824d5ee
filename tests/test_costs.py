"""Commands that cost: one cap, refused where it says nothing; each counted by what it is for."""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import plan
from assay._catalogue import CATALOGUE
from assay.core import AssayError, say
from assay.view import said

COSTING = {name: entry for name, entry in CATALOGUE.items() if entry.costs}
CHAT = assay.ChatConfig("openai-api/none/none", base_url="http://127.0.0.1:9/v1")
JUDGE = assay.JudgeConfig("openai-api/none/none", base_url="http://127.0.0.1:9/v1")
STUDY: Mapping[str, Any] = {
    "name": "costs", "pool": "pool.jsonl", "evaluation": "pool.jsonl", "ladder": {"rungs": [8], "seeds": 1},
}  # fmt: skip
MIX = {**STUDY, "mix": {"n": 8}}
RULE = {**STUDY, "rule": {"indicators": ["len_out"], "evaluation": "pool.jsonl"}}

ARGUMENTS: Mapping[str, tuple[tuple[Any, ...], Mapping[str, Any]]] = {
    "generate": ((), {"out": "new.jsonl", "writer": CHAT, "n": 5}),
    "evalset classify": ((["pool.jsonl"],), {"out": "typed.jsonl", "chat": CHAT, "again": True}),
    "annotate": ((["pool.jsonl"],), {"out": "labels.jsonl"}),
    "score": ((["pool.jsonl"],), {"indicators": ["len_out"]}),
    "clean": ((["pool.jsonl"],), {}),
    "select": ((["pool.jsonl"],), {"n": 2, "rule": "random"}),
    "explain": (("pool.jsonl:1", ["pool.jsonl"]), {}),
    "rule design": ((RULE,), {}),
    "rule run": ((RULE,), {}),
    "rule check": ((RULE,), {}),
    "rule transfer": (("instructmining-v1",), {"study": STUDY}),
    "mix run": ((MIX,), {}),
    "mix confirm": ((MIX,), {}),
    "mix allocate": ((MIX, 16), {}),
    "search": ((STUDY,), {}),
    "recipe check": ((STUDY,), {}),
    "demo": (("demo",), {}),
    "study run": ((STUDY,), {}),
    "study whole": ((STUDY,), {}),
    "study collect": ((STUDY, "handed"), {}),
    "forecast": ((["pool.jsonl"],), {}),
    "forecast fit": ((STUDY,), {"out": "fit.json"}),
    "train": (("pool.jsonl", "tuned"), {}),
    "answer": (("pocket", "pool.jsonl", "answers.jsonl"), {}),
    "answer turns": (("pocket", "pool.jsonl", "answers.jsonl"), {}),
    "judge turns": (("pool.jsonl",), {"answers": "answers.jsonl", "by": JUDGE}),
    "judge": ((["pool.jsonl"],), {"answers": ["a"] * 8, "by": JUDGE}),
    "judge pairs": ((["pool.jsonl"],), {"a": ["a"] * 8, "b": ["b"] * 8, "out": "p.jsonl", "by": JUDGE}),
    "export": (("pocket", "out"), {}),
}
"""The least that each command needs to begin."""

QUICK = ("score", "clean", "select", "explain")
"""What is run here to its end; the others are where they are tested."""

SPENDS = {
    "run_here", "finished", "Tuner", "Tinker", "spending", "metered", "timed", "asking", "measuring",
    "subset_losses", "trial", "losses",
}  # fmt: skip
"""What a function calls that trains, runs models or asks them."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"instruction": f"Name {n} colours.", "output": f"Colour {n}.", "type": "open_qa"} for n in range(8)
    ]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.parametrize("command", COSTING)
def test_a_cap_that_says_nothing_is_refused_before_anything_is_done(command: str, here: Path) -> None:
    places, names = ARGUMENTS[command]
    function = COSTING[command].load()
    assert inspect.signature(function).parameters["cap"].default is None
    assert "\n    cap\n" in (function.__doc__ or ""), "the cap is documented"
    with pytest.raises(AssayError, match="cannot parse the cap"):
        function(*places, **names, cap="plenty")
    left = {path.name for path in here.iterdir()} - {"pool.jsonl", ".assay", "demo"}
    assert not left, "nothing was begun"


@pytest.mark.parametrize("command", QUICK)
def test_what_a_command_took_is_counted_by_what_it_is_for(command: str, here: Path) -> None:
    places, names = ARGUMENTS[command]
    with plan.metered() as meter:
        COSTING[command].load()(*places, **names)
    assert meter.counted and set(meter.per) == set(COSTING[command].costs)


def test_there_are_words_for_one_of_each() -> None:
    for unit in {unit for entry in COSTING.values() for unit in entry.costs}:
        text = say(f"cost.per.{unit}", count=2, seconds=3.0, money="")
        assert {said(text, language)[:3] for language in ("en", "zh")} == {"Per", "平均每"}


@pytest.mark.parametrize("command", [name for name, entry in CATALOGUE.items() if not entry.costs])
def test_a_command_that_costs_says_so_in_the_catalogue(command: str) -> None:
    function = CATALOGUE[command].load()
    assert not SPENDS & set(_called(function)), f"{command} spends, and its entry says that it is free"


def test_the_guide_names_every_command_that_costs() -> None:
    text = (Path(__file__).parent.parent / "docs" / "budget.md").read_text(encoding="utf-8")
    assert [command for command in COSTING if f"`{command}`" not in text] == []


def _called(function: Callable[..., Any], seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield names of what a function calls, through functions of its own module."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    module = sys.modules[function.__module__]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name
            inner = getattr(module, name, None) if isinstance(node.func, ast.Name) else None
            if inspect.isfunction(inner) and inner.__module__ == module.__name__ and name not in seen:
                yield from _called(inner, seen | {name})
