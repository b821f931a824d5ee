from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from assay.core import AssayError, Message, Sample
from assay.model import (
    TEMPLATES,
    Recipe,
    chat_template,
    encode,
    encode_prompts,
    end_mark,
    load_tokenizer,
    render,
    resolve_base,
    stop_ids,
)
from tiny_models import FAMILIES

OWN = ("llama3", "qwen", "mistral", "gemma")
ASKED = [(family, "auto") for family in FAMILIES] + [
    (family, name) for family in FAMILIES for name in ("plain", "belle", "alpaca")
]
ANSWERS = ("Hello there.", "你好，世界！", "\n\n  indented", "- one\n- two\n", "42", "🙂")


def talk(*contents: str, system: str | None = None) -> Sample:
    """A conversation whose turns alternate, the user first."""
    turns = [Message("user" if n % 2 == 0 else "assistant", c) for n, c in enumerate(contents)]
    return Sample((*([Message("system", system)] if system else []), *turns))


def learned(tokenizer: Any, sample: Sample) -> list[str]:
    """Return the texts of the runs of learned tokens."""
    row = encode(tokenizer, [sample], 10_000)[0]
    runs: list[list[int]] = []
    last = False
    for token, keep in zip(row.ids, row.learned, strict=True):
        if keep and not last:
            runs.append([])
        if keep:
            runs[-1].append(token)
        last = keep
    return [tokenizer.decode(run) for run in runs]


@pytest.mark.parametrize(("family", "name"), ASKED)
def test_loss_is_on_answers_and_end_marks_only(tiny: Callable[..., Path], family: str, name: str) -> None:
    tokenizer = load_tokenizer(tiny(family), name)
    mark = end_mark(tokenizer)
    for answer in ANSWERS:
        sample = talk("What is this?", "第一，好。", "Then why, 为什么？", answer, system="Be brief.")
        runs = learned(tokenizer, sample)
        assert [run.removesuffix(mark).strip() for run in runs] == ["第一，好。", answer.strip()]
        assert all(run.endswith(mark) for run in runs)


@pytest.mark.parametrize(("family", "name"), ASKED)
def test_training_reads_what_generation_sees(tiny: Callable[..., Path], family: str, name: str) -> None:
    """The ids before an answer, in training, are the ids of its prompt in generation: in every turn."""
    tokenizer = load_tokenizer(tiny(family), name)
    for answer in ANSWERS:
        sample = talk("一加一？", answer, "And 2+2 =", answer)
        row = encode(tokenizer, [sample], 10_000)[0]
        firsts = [i for i, keep in enumerate(row.learned) if keep and not row.learned[i - 1]]
        prompts = encode_prompts(tokenizer, [sample.messages[:1], sample.messages[:3]])
        assert [list(row.ids[:first]) for first in firsts] == prompts


@pytest.mark.parametrize(("family", "name"), ASKED)
def test_one_start_mark_where_the_family_has_one(tiny: Callable[..., Path], family: str, name: str) -> None:
    """Once where the tokenizer itself begins texts with it (Llama, Mistral, Gemma); else not at all."""
    tokenizer = load_tokenizer(tiny(family), name)
    ids = encode(tokenizer, [talk("Hello", "你好")], 10_000)[0].ids
    wanted = 1 if family in ("llama", "llama3", "mistral", "gemma") else 0
    others = [i for i in ids if i == tokenizer.bos_token_id and i != tokenizer.eos_token_id]
    assert len(others) == wanted
    assert (ids[0] == tokenizer.bos_token_id) == bool(wanted)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["auto", "plain", "belle"])
def test_saved_template_is_the_models_own(
    tiny: Callable[..., Path], tmp_path: Path, family: str, name: str
) -> None:
    asked = load_tokenizer(tiny(family), name)
    asked.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    sample = talk("Hello", "你好")
    assert encode(loaded, [sample], 100) == encode(asked, [sample], 100)


def test_belle_is_written_as_published(tiny: Callable[..., Path]) -> None:
    tokenizer = load_tokenizer(tiny("bloom"), "belle")
    sample = talk("写一首诗", "春天", "再写", "夏天")
    assert render(tokenizer, sample.messages) == (
        "Human: 写一首诗\n\nAssistant: 春天</s>Human: 再写\n\nAssistant: 夏天</s>"
    )
    assert render(tokenizer, sample.messages[:1], generation_prompt=True) == "Human: 写一首诗\n\nAssistant:"


def test_alpaca_is_written_as_published(tiny: Callable[..., Path]) -> None:
    tokenizer = load_tokenizer(tiny("neox"), "alpaca")
    head = (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
    )
    text = "### Instruction:\nAdd 1 and 1.\n\n### Response:2<|endoftext|>"
    sample = talk("Add 1 and 1.", "2")
    assert render(tokenizer, sample.messages) == head + text
    told = talk("Add 1 and 1.", "2", system="Be brief.")
    assert render(tokenizer, told.messages) == "Be brief.\n\n" + text


def test_chatml_needs_its_end_mark(tiny: Callable[..., Path]) -> None:
    tokenizer = load_tokenizer(tiny("qwen"), "chatml")
    assert learned(tokenizer, talk("Hello", "你好")) == ["你好<|im_end|>"]
    with pytest.raises(AssayError, match="no end token"):
        encode(load_tokenizer(tiny("llama"), "chatml"), [talk("Hello", "你好")], 100)


def test_a_tokenizer_without_an_end_mark_is_refused(tiny: Callable[..., Path]) -> None:
    tokenizer = load_tokenizer(tiny("bloom"), "plain")
    tokenizer.eos_token = None
    with pytest.raises(AssayError, match="no end token"):
        encode(tokenizer, [talk("Hello", "你好")], 100)


@pytest.mark.parametrize(
    ("family", "marks"), [("gemma", ["<end_of_turn>", "<eos>"]), ("qwen", ["<|im_end|>"])]
)
def test_answers_stop_at_the_templates_mark_and_at_the_tokenizers(
    tiny: Callable[..., Path], family: str, marks: Sequence[str]
) -> None:
    tokenizer = load_tokenizer(tiny(family))
    assert tokenizer.convert_ids_to_tokens(stop_ids(tokenizer)) == marks


@pytest.mark.parametrize("family", ["mistral", "gemma"])
def test_refused_system_turns_go_before_the_users(tiny: Callable[..., Path], family: str) -> None:
    tokenizer = load_tokenizer(tiny(family))
    told = talk("Hello", "你好", system="Be brief.")
    assert render(tokenizer, told.messages) == render(tokenizer, talk("Be brief.\n\nHello", "你好").messages)


def test_refused_orders_of_turns_say_so(tiny: Callable[..., Path]) -> None:
    twice = (Message("user", "Hello"), Message("user", "你好"), Message("assistant", "Hi"))
    with pytest.raises(AssayError, match=r"rejects a conversation: .*alternate"):
        render(load_tokenizer(tiny("mistral")), twice)


def test_own_templates_come_first(tiny: Callable[..., Path]) -> None:
    for family in FAMILIES:
        tokenizer = load_tokenizer(tiny(family))
        own = tokenizer.chat_template
        assert (own is not None) == (family in OWN)
        assert chat_template(tokenizer).endswith(own or TEMPLATES["plain"])


def test_recipes_name_templates_that_there_are() -> None:
    assert Recipe(template="belle").template == "belle"
    with pytest.raises(AssayError, match="template"):
        Recipe(template="vicuna")


@pytest.mark.parametrize("answer", ["\n\nindented", "\n好"])
def test_no_token_lies_across_the_beginning_of_an_answer(answer: str) -> None:
    """Of the plain template's last line end and the answer's first the tokenizer would make one token."""
    tokenizer = load_tokenizer(resolve_base("pocket"), "plain")
    sample = talk("Say it.", answer, "再说。", answer)
    whole = tokenizer(render(tokenizer, sample.messages), add_special_tokens=False)["input_ids"]
    row = encode(tokenizer, [sample], 1000)[0]
    assert list(row.ids) != whole
    assert tokenizer.decode(row.ids) == tokenizer.decode(whole)
    firsts = [i for i, keep in enumerate(row.learned) if keep and not row.learned[i - 1]]
    prompts = encode_prompts(tokenizer, [sample.messages[:1], sample.messages[:3]])
    assert [list(row.ids[:first]) for first in firsts] == prompts
    assert learned(tokenizer, sample) == [answer + "<|end|>"] * 2
