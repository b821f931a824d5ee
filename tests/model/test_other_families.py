"""Families of which only the network is their own: losses, training and answers, and what is estimated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
    load_model,
    load_tokenizer,
    read_shape,
    reference_loss,
    train_full,
    write_tokens,
)
from tiny_models import OTHERS, build_other

WITH_EXPERTS = ("Qwen3Moe", "Mixtral", "GptOss")


@pytest.fixture(scope="module")
def other(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``other(architecture)``: folder of its tiny checkpoint, built once."""
    made: dict[str, Path] = {}

    def build(architecture: str) -> Path:
        if architecture not in made:
            folder = tmp_path_factory.mktemp(architecture)
            made[architecture] = build_other(architecture, tiny("qwen"), folder)
        return made[architecture]

    return build


@pytest.fixture(scope="module")
def items() -> list[Sample]:
    return [planted.sample for planted in synthetic.generate(8, seed=11)]


def trained(base: Path, items: list[Sample], recipe: Recipe, out: Path) -> float:
    """Train on the items for some passes; return how much lower their loss is than the base's."""
    tokenizer = load_tokenizer(base)
    write_tokens(tokenizer, items, out, max_tokens=400)
    table, segment = TokenTable(out), Segment(recipe, 0, len(items), 0, 12)
    (out / "model").mkdir()
    report = train_full(
        segment, base=base, state=None, table=table, order=np.arange(len(items)), out=out / "model"
    )
    return report.trace[0][1] - report.trace[-1][1]


@pytest.mark.parametrize("architecture", OTHERS)
def test_losses_training_and_answers(
    other: Callable[[str], Path], items: list[Sample], tmp_path: Path, architecture: str
) -> None:
    base = other(architecture)
    model, tokenizer = load_model(base).eval(), load_tokenizer(base)
    exact = []
    for row in encode(tokenizer, items, 400):
        ids = torch.tensor([row.ids])
        targets = torch.where(torch.tensor(row.learned), ids[0], -100)[1:]
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, :-1].float()
        exact.append(torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item())
    found = reference_loss(model, tokenizer, items, max_tokens=400, micro_tokens=900)
    assert [loss.nats for loss in found if loss is not None] == pytest.approx(exact, rel=1e-4)
    together = answer(model, tokenizer, items, Decoding(8, batch_size=len(items)))
    assert together == answer(model, tokenizer, items, Decoding(8, batch_size=1))
    recipe = Recipe(batch_size=8, epochs=12, learning_rate=3e-3, warmup_steps=0)
    assert trained(base, items, recipe, tmp_path) > 0.5


@pytest.mark.parametrize("architecture", OTHERS)
def test_weights_and_adapters_are_counted_exactly(
    other: Callable[[str], Path], tmp_path: Path, architecture: str
) -> None:
    from peft import LoraConfig, get_peft_model

    from assay.model import training_memory

    base = other(architecture)
    model = load_model(base)
    assert read_shape(base).parameters == sum(p.numel() for p in model.parameters())
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"))
    learning = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert training_memory(read_shape(base), Recipe(adapter="lora", rank=4)).trained == learning


@pytest.mark.parametrize("architecture", ["Mixtral", "GptOss"])
def test_adapters_learn_beside_experts(
    other: Callable[[str], Path], items: list[Sample], tmp_path: Path, architecture: str
) -> None:
    recipe = Recipe(batch_size=8, epochs=12, learning_rate=1e-2, warmup_steps=0, adapter="lora", rank=4)
    assert trained(other(architecture), items, recipe, tmp_path) > 0.1


def test_dora_beside_experts_is_refused_with_a_way_out(
    other: Callable[[str], Path], items: list[Sample], tmp_path: Path
) -> None:
    recipe = Recipe(batch_size=8, adapter="dora", rank=4)
    with pytest.raises(AssayError, match="DoRA has no form for experts") as caught:
        trained(other("Mixtral"), items, recipe, tmp_path)
    assert "q_proj" in str(caught.value.hint)
