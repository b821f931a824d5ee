"""What every family must do alike: losses by any batching, answers in any batch, heads told apart rightly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay.core import AssayError, Sample
from assay.data import synthetic
from assay.model import (
    Decoding,
    Recipe,
    Segment,
    TokenTable,
    answer,
    encode,
    encode_prompts,
    load_model,
    load_tokenizer,
    reference_loss,
    stop_ids,
    train_full,
    write_tokens,
)
from assay.model.tokens import bucketed, packed
from assay.model.train import Loss
from tiny_models import FAMILIES

PACKED = [family for family in FAMILIES if family != "bloom"]
# transformers has no scaled-dot-product attention for distance biases and soft caps.
ATTENTIONS = [(f, "eager") for f in FAMILIES] + [(f, "sdpa") for f in FAMILIES if f not in ("bloom", "gemma")]


@pytest.fixture(scope="module")
def items() -> list[Sample]:
    """Prompts and answers of very different lengths, Chinese and English, longer than the tiny windows."""
    short = [planted.sample for planted in synthetic.generate(16, seed=11)]
    long = [
        Sample.single("重复这句话：" + "数据质量决定模型质量。" * 5, "数据质量决定模型质量。" * 4),
        Sample.single("Repeat: " + "the cat sat on the mat " * 6, "the cat sat on the mat " * 5),
    ]
    return short + long


def table_of(tokenizer: Any, items: list[Sample], folder: Path) -> TokenTable:
    write_tokens(tokenizer, items, folder, max_tokens=400)
    return TokenTable(folder)


def one_by_one(model: Any, tokenizer: Any, items: list[Sample]) -> list[float]:
    """Return the loss of each item's learned tokens, from the logits of the item alone."""
    losses = []
    for row in encode(tokenizer, items, 400):
        ids = torch.tensor([row.ids])
        targets = torch.where(torch.tensor(row.learned), ids[0], -100)[1:]
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item())
    return losses


@pytest.mark.parametrize(("family", "attention"), ATTENTIONS)
def test_every_batching_gives_the_same_loss(
    tiny: Callable[..., Path], items: list[Sample], tmp_path: Path, family: str, attention: str
) -> None:
    tokenizer = load_tokenizer(tiny(family))
    model = load_model(tiny(family), attention=attention).eval()
    exact = one_by_one(load_model(tiny(family), attention="eager").eval(), tokenizer, items)
    table, rows, loss = table_of(tokenizer, items, tmp_path), np.arange(len(items)), Loss(model, "fp32")
    assert table.lengths.max() > 3 * 32
    with torch.no_grad():
        in_buckets = sum(loss(b).item() for b in bucketed(table, rows, 600, 0))
        all_padded = sum(loss(b).item() for b in bucketed(table, rows, 10**6, 0))
        assert in_buckets == pytest.approx(sum(exact), rel=1e-5)
        assert all_padded == pytest.approx(sum(exact), rel=1e-5)
        if family in PACKED:
            end_to_end = sum(loss(b).item() for b in packed(table, rows, 600))
            assert end_to_end == pytest.approx(sum(exact), rel=1e-5)
    found = reference_loss(model, tokenizer, items, max_tokens=400, micro_tokens=900)
    assert [f.nats for f in found if f is not None] == pytest.approx(exact, rel=1e-4)


def test_distance_biases_cannot_be_packed(tiny: Callable[..., Path], tmp_path: Path) -> None:
    items = [Sample.single("Hello", "你好")] * 2
    table = table_of(load_tokenizer(tiny("bloom")), items, tmp_path)
    segment = Segment(Recipe(batch_size=2, epochs=1, batching="packed"), 0, 2, 0, 1)
    with pytest.raises(AssayError, match="packed sequences"):
        train_full(segment, base=tiny("bloom"), state=None, table=table, order=np.arange(2), out=tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_head_is_told_apart_where_it_is_the_whole_of_the_logits(
    tiny: Callable[..., Path], family: str
) -> None:
    """Gemma caps its logits, so its head alone would be wrong."""
    assert Loss(load_model(tiny(family)), "fp32").split == (family != "gemma")


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_in_a_batch_are_those_alone(
    tiny: Callable[..., Path], items: list[Sample], family: str
) -> None:
    """Padding at the left changes no greedy answer; the answer is what plain greedy decoding says."""
    model, tokenizer = load_model(tiny(family)), load_tokenizer(tiny(family))
    together = answer(model, tokenizer, items, Decoding(12, batch_size=len(items)))
    alone = answer(model, tokenizer, items, Decoding(12, batch_size=1))
    assert together == alone
    assert len({a.text for a in alone}) > 5
    eager = load_model(tiny(family), attention="eager").eval()
    for item, said in list(zip(items, alone, strict=True))[-4:]:
        ids = greedy(eager, encode_prompts(tokenizer, [item.prompt])[0], stop_ids(tokenizer), 12)
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == said.text


@torch.no_grad()
def greedy(model: Any, prompt: list[int], stops: list[int], n: int) -> list[int]:
    """The likeliest token again and again, the whole text read each time, without any cache."""
    made: list[int] = []
    for _ in range(n):
        token = int(model(torch.tensor([prompt + made]), use_cache=False).logits[0, -1].argmax())
        if token in stops:
            break
        made.append(token)
    return made


def test_a_models_own_generation_settings_are_not_the_decoding(
    tiny: Callable[..., Path], items: list[Sample]
) -> None:
    """Qwen ships a repetition penalty and a top-k: neither is part of greedy, nor of sampling."""
    tokenizer, model, plain = (
        load_tokenizer(tiny("qwen")), load_model(tiny("qwen")), load_model(tiny("qwen")),
    )  # fmt: skip
    model.generation_config.update(repetition_penalty=1.8, top_k=2, do_sample=True, temperature=0.7)
    for decoding in (Decoding(8), Decoding(8, temperature=1.0, seed=3)):
        assert answer(model, tokenizer, items, decoding) == answer(plain, tokenizer, items, decoding)
    assert model.generation_config.repetition_penalty == 1.8


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_of_training_lowers_the_loss_and_reloads(
    tiny: Callable[..., Path], items: list[Sample], tmp_path: Path, family: str
) -> None:
    recipe = Recipe(batch_size=9, epochs=4, learning_rate=3e-3, template="auto", max_tokens=400)
    table = table_of(load_tokenizer(tiny(family)), items, tmp_path)
    run = Segment(recipe, 0, len(table), 0, recipe.steps(len(table)))
    report = train_full(
        run, base=tiny(family), state=None, table=table, order=np.arange(len(table)), out=tmp_path
    )
    assert report.trace[-1][1] < 0.9 * report.trace[0][1]
    trained, tokenizer = load_model(tmp_path / "model"), load_tokenizer(tmp_path / "model")
    before = sum(one_by_one(load_model(tiny(family)), load_tokenizer(tiny(family)), items))
    assert sum(one_by_one(trained.eval(), tokenizer, items)) < 0.9 * before
    # Whoever loads the folder stops where training did.
    assert set(stop_ids(tokenizer)) <= set(np.atleast_1d(trained.generation_config.eos_token_id))
