"""Modelfiles for Ollama: the Go template, run by a small reading of Go's rules, gives what was rendered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from assay.core import Message
from assay.model import TEMPLATES, load_tokenizer, render, resolve_base, write_modelfile
from assay.model.export._modelfile import turn_texts

FAMILIES = ("llama", "llama3", "bloom", "qwen", "mistral", "neox", "gemma")
LLAMA2 = (
    "{% set rest = messages[1:] if messages[0]['role'] == 'system' else messages %}"
    "{% for m in rest %}{% if m['role'] == 'user' %}{{ '[INST] ' }}"
    "{% if loop.first and messages[0]['role'] == 'system' %}"
    "{{ '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' }}{% endif %}{{ m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
TALKS = (
    [Message("user", "What is 2 + 3?")],
    [Message("system", "Be brief."), Message("user", "你好，世界")],
    [Message("user", "a{b}"), Message("assistant", "{{ c }}"), Message("user", "d")],
    [Message("system", "s"), Message("user", "u"), Message("assistant", "a"), Message("user", "v"),
     Message("assistant", "b"), Message("user", "w")],
)  # fmt: skip


def go(template: str, messages: Sequence[Message]) -> str:
    """Run the part of Go's templates that Modelfiles use: range, if, else, eq, and, not, fields, strings."""
    parts = iter(re.split(r"(\{\{ .*? \}\})", template))
    system = "\n\n".join(m.content for m in messages if m.role == "system")
    return "".join(_run(_tree(parts), {"$.System": system, ".System": system}, messages))


def _tree(parts: Iterator[str]) -> list[Any]:
    """Nest actions: text, or (condition, then, else)."""
    branches: list[list[Any]] = [[]]
    for part in parts:
        action = part[3:-3] if part.startswith("{{ ") else None
        if action is None:
            branches[-1].append(part)
        elif action == "end":
            break
        elif action == "else":
            branches.append([])
        elif action.startswith(("if ", "range ")):
            branches[-1].append((action, *_tree(parts)))
        else:
            branches[-1].append((action,))
    return [*branches, []][:2] if len(branches) > 1 else [branches[0], []]


def _run(tree: list[Any], values: dict[str, Any], messages: Sequence[Message]) -> Iterator[str]:
    for node in tree[0]:
        if isinstance(node, str):
            yield node
        elif len(node) == 1:
            yield node[0][1:-1] if node[0].startswith('"') else values[node[0]]
        elif node[0].startswith("range "):
            assert node[0] == "range $i, $_ := .Messages"
            for index, message in enumerate(messages):
                inner = {"$i": index, ".Role": message.role, ".Content": message.content, **values}
                inner.pop(".System")
                yield from _run([node[1], []], inner, messages)
        else:
            yield from _run([node[1] if _true(node[0][3:], values) else node[2], []], values, messages)


def _true(condition: str, values: dict[str, Any]) -> bool:
    if condition.startswith("and "):
        first, second = condition[4:].split(" ", 1)
        return _true(first, values) and _true(second.strip("()"), values)
    if condition.startswith("not "):
        return not _true(condition[4:], values)
    if condition.startswith("eq "):
        name, wanted = condition[3:].split(" ")
        return bool(values[name] == (wanted[1:-1] if wanted.startswith('"') else int(wanted)))
    return bool(values[condition])


def check(tokenizer: Any) -> None:
    texts = turn_texts(tokenizer)
    assert texts is not None
    for talk in TALKS:
        expected = render(tokenizer, talk, generation_prompt=True).removeprefix(tokenizer.bos_token or "")
        assert texts.render(talk) == expected
        assert go(texts.go_template(), talk) == expected


@pytest.mark.parametrize("family", [*FAMILIES, "pocket"])
def test_go_templates_of_families(tiny: Callable[..., Path], family: str) -> None:
    check(load_tokenizer(resolve_base("pocket") if family == "pocket" else tiny(family)))


@pytest.mark.parametrize("template", [*TEMPLATES, "llama2", "braces"])
def test_go_templates_by_name(template: str) -> None:
    tokenizer = load_tokenizer(resolve_base("pocket"))
    braces = TEMPLATES["chatml"].replace("<|im_start|>", "{{'{{'}}a}} ").replace("'{{'{{'}}", "'{{")
    tokenizer.chat_template = {"llama2": LLAMA2, "braces": braces, **TEMPLATES}[template]
    check(tokenizer)


def test_a_template_of_another_form_is_left_to_ollama(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(resolve_base("pocket"))
    tokenizer.chat_template = "{{ messages[-1]['content'] }}{{ eos_token }}"
    assert turn_texts(tokenizer) is None


def test_modelfile(tiny: Callable[..., Path], tmp_path: Path) -> None:
    path = write_modelfile(tiny("gemma"), tmp_path / "model-q4_k.gguf")
    lines = path.read_text("utf-8").splitlines()
    assert path == tmp_path / "Modelfile"
    assert lines[0] == "FROM ./model-q4_k.gguf"
    assert lines[1].startswith('TEMPLATE """')
    assert lines[-4:] == [
        'PARAMETER stop "<end_of_turn>"',
        'PARAMETER stop "<eos>"',
        "PARAMETER temperature 0",
        "PARAMETER num_ctx 512",
    ]
    assert "<bos>" not in path.read_text("utf-8")
