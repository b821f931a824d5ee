"""Tool calls, results, lists of tools and weights of a conversation reach the chat template and the loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core import AssayError, Message, Sample
from assay.data import read
from assay.model import encode, encode_prompts, end_mark, load_tokenizer, refusals, render, resolve_base

ROWS = Path(__file__).parents[1] / "data" / "cases" / "rows"
TOOLS = (
    "{% if tools %}{{ '<tools>' }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}"
    "{{ '</tools>' }}{% endif %}"
    "{% for message in messages %}"
    "{{ '[' + message['role'] + ']' + (message['content'] or '') }}"
    "{% for call in message.get('tool_calls') or [] %}"
    "{{ '<call>' + call.function.name + ' ' + (call.function.arguments | tojson) + '</call>' }}{% endfor %}"
    "{{ eos_token + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)


def with_template(tokenizer: Any, template: str | None) -> Any:
    tokenizer.chat_template = template
    return tokenizer


@pytest.fixture(scope="module")
def tools_tokenizer() -> Any:
    return with_template(load_tokenizer(resolve_base("pocket")), TOOLS)


def cases(name: str) -> list[Sample]:
    return [row for row in read(ROWS / name) if isinstance(row, Sample)]


def learned_text(tokenizer: Any, sample: Sample) -> str:
    row = encode(tokenizer, [sample], 10_000)[0]
    return str(tokenizer.decode([i for i, keep in zip(row.ids, row.learned, strict=True) if keep]))


def test_tools_reach_the_template(tools_tokenizer: Any) -> None:
    promise, chain, oslo, rome, *_ = cases("02_tools.jsonl")
    mark = end_mark(tools_tokenizer)
    text = render(tools_tokenizer, promise.messages)
    assert 'I will look that up.<call>weather {"city": "Lima"}</call>' in text
    assert (
        learned_text(tools_tokenizer, promise)
        == f'I will look that up.<call>weather {{"city": "Lima"}}</call>{mark}'
    )
    assert f"[tool]19{mark}" in render(tools_tokenizer, chain.messages)
    learned = learned_text(tools_tokenizer, chain)
    assert "<call>" in learned and "It is 19 degrees" in learned and "[tool]" not in learned
    offered = render(tools_tokenizer, oslo.messages)
    assert offered.startswith('<tools>{"type": "function", "function": {"name": "weather"}}</tools>')
    assert "<tools>" in render(tools_tokenizer, rome.prompt, generation_prompt=True)
    row = encode(tools_tokenizer, [oslo], 10_000)[0]
    assert tools_tokenizer.decode(row.ids) == offered


def test_turns_of_weight_zero_are_read_and_not_learned(tools_tokenizer: Any) -> None:
    told = cases("02_tools.jsonl")[5]
    mark = end_mark(tools_tokenizer)
    assert learned_text(tools_tokenizer, told) == f"A{mark}"
    plain = Sample(tuple(Message(m.role, m.content) for m in told.messages))
    one, other = encode(tools_tokenizer, [told, plain], 10_000)
    assert one.ids == other.ids and sum(one.learned) < sum(other.learned)
    assert encode_prompts(tools_tokenizer, [told.prompt]) == encode_prompts(tools_tokenizer, [plain.prompt])


@pytest.mark.parametrize("name", ["plain", "belle", "alpaca"])
def test_templates_without_tools_refuse_them_with_the_reason(name: str, tiny: Callable[..., Path]) -> None:
    tokenizer = load_tokenizer(tiny("llama"), name)
    found = dict(refusals(tokenizer, cases("02_tools.jsonl")))
    assert set(found) == {0, 1, 2, 3}
    assert all("knows no tools" in reason for reason in found.values())
    with pytest.raises(AssayError, match="knows no tools"):
        encode(tokenizer, cases("02_tools.jsonl"), 1000)


def test_a_template_that_leaves_tools_out_refuses_the_row() -> None:
    silent = TOOLS.replace("message.get('tool_calls') or []", "[]")
    tokenizer = with_template(load_tokenizer(resolve_base("pocket")), silent)
    found = dict(refusals(tokenizer, cases("02_tools.jsonl")))
    assert set(found) == {0, 1, 2}
    assert "leaves out a tool call" in found[0]


def test_rows_that_a_strict_template_refuses_are_named(tiny: Callable[..., Path]) -> None:
    pool = cases("18_pool.jsonl")
    refused = dict(refusals(load_tokenizer(tiny("mistral")), pool))
    assert [len(pool[index].messages) for index in refused] == [3]
    assert "alternate" in next(iter(refused.values()))
    assert not list(refusals(load_tokenizer(resolve_base("pocket")), pool))


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@given(turns=st.lists(st.tuples(texts, texts, st.booleans()), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_what_is_learned_never_changes_what_is_read(turns: list[tuple[str, str, bool]]) -> None:
    tokenizer = load_tokenizer(resolve_base("pocket"))
    messages: list[Message] = []
    for asked, answered, learned in turns:
        messages += [Message("user", asked), Message("assistant", answered, learned=learned)]
    plain = Sample(tuple(Message(m.role, m.content) for m in messages))
    one, other = encode(tokenizer, [Sample(tuple(messages)), plain], 10_000)
    assert one.ids == other.ids
    assert all(not a or b for a, b in zip(one.learned, other.learned, strict=True))
    if all(learned for *_, learned in turns):
        assert one.learned == other.learned
    if not any(learned for *_, learned in turns):
        assert not any(one.learned)
