from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from assay.core import Message, Sample
from assay.model import TokenTable, encode, load_tokenizer, render, resolve_base, write_tokens

POCKET = load_tokenizer(resolve_base("pocket"))
PLAIN = load_tokenizer(resolve_base("pocket"))
PLAIN.chat_template = None

content = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


def learned_text(tokenizer: Any, sample: Sample) -> str:
    row = encode(tokenizer, [sample], 10_000)[0]
    return str(tokenizer.decode([i for i, keep in zip(row.ids, row.learned, strict=True) if keep]))


@pytest.mark.parametrize("tokenizer", [POCKET, PLAIN], ids=["own template", "plain default"])
@pytest.mark.parametrize("answer", ["Yes, it is.", "是的，没错。", "a\n\nb", "🙂 ok"])
def test_loss_is_on_answer_and_end_mark_only(tokenizer: Any, answer: str) -> None:
    sample = Sample.single("Is this an instruction?", answer)
    assert learned_text(tokenizer, sample) == answer + "<|end|>"


def test_every_assistant_turn_is_learned() -> None:
    turns = [("system", "Be brief."), ("user", "一加一？"), ("assistant", "二"), ("user", "And 2+2?")]
    sample = Sample((*(Message(r, c) for r, c in turns), Message("assistant", "4")))  # type: ignore[arg-type]
    assert learned_text(POCKET, sample) == "二<|end|>4<|end|>"
    assert learned_text(PLAIN, sample) == "二<|end|>4<|end|>"


@given(content, content)
@settings(max_examples=60, deadline=None)
def test_tokens_hold_the_whole_text(prompt: str, answer: str) -> None:
    sample = Sample.single(prompt, answer)
    row = encode(POCKET, [sample], 10_000)[0]
    assert POCKET.decode(row.ids) == render(POCKET, sample.messages)
    assert not row.cut


def test_template_that_writes_an_empty_thought(shared: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(shared / "models" / "minimind-tokenizer")
    text = learned_text(tokenizer, Sample.single("Say hello", "Hello there"))
    assert "Hello there" in text
    assert "Say hello" not in text


def test_long_samples_are_cut_and_counted(tmp_path: Path) -> None:
    samples = [
        Sample.single("short", "answer"),
        Sample.single("long " * 50, "lost"),
        Sample.single("s", "x " * 90),
    ]
    counts = write_tokens(POCKET, samples, tmp_path, max_tokens=30)
    table = TokenTable(tmp_path)
    assert counts["rows"] == len(table) == 3
    assert (counts["cut"], counts["unlearnable"]) == (2, 1)
    assert table.lengths.max() == 30
    assert counts["tokens"] == table.lengths.sum()


def test_table_gives_back_what_was_encoded(tmp_path: Path, samples: list[Sample]) -> None:
    write_tokens(POCKET, samples, tmp_path, max_tokens=64)
    table = TokenTable(tmp_path)
    for index, row in enumerate(encode(POCKET, samples, 64)):
        ids, learned = table.row(index)
        assert np.array_equal(ids, row.ids)
        assert np.array_equal(learned, row.learned)
