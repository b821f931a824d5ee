from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

from assay.core import AssayError
from assay.model import Recipe, Segment, TokenTable, load_tokenizer, preset, train_full
from assay.model.tokens import bucketed
from assay.model.train import Loss
from assay.model.train import _train as implementation

ORDER = np.random.default_rng(3).permutation(90)


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()


def train(base: Path, table: TokenTable, out: Path, segment: Segment, state: Path | None = None) -> Path:
    out.mkdir(exist_ok=True)
    train_full(segment, base=base, state=state, table=table, order=ORDER, out=out, device="cpu")
    return out


def small(**changes: object) -> Recipe:
    return preset("pocket", **{"batch_size": 8, "warmup_steps": 2, "max_tokens": 96, **changes})


@pytest.mark.parametrize(
    ("schedule", "epochs"), [("wsd", 1), ("constant", 1), ("constant", 2), ("wsd", 2), ("cosine", 1)]
)
def test_shared_ladder_gives_the_weights_of_independent_runs(
    base: Path, table: TokenTable, tmp_path: Path, schedule: str, epochs: int
) -> None:
    recipe = small(schedule=schedule, epochs=epochs)
    trunk, reached = None, 0
    for n_train in (19, 45):  # neither is a multiple of the batch
        alone = train(
            base, table, tmp_path / f"alone{n_train}", Segment(recipe, 1, n_train, 0, recipe.steps(n_train))
        )
        shared = recipe.shared_steps(n_train)
        if shared > reached:
            part = train(
                base, table, tmp_path / f"trunk{n_train}", Segment(recipe, 1, 90, reached, shared), trunk
            )
            trunk, reached = part / "state", shared
        start = trunk if shared else None
        branch = Segment(recipe, 1, n_train, shared, recipe.steps(n_train))
        together = train(base, table, tmp_path / f"branch{n_train}", branch, start)
        assert weights(together) == weights(alone)


def test_seed_and_size_change_the_weights(base: Path, table: TokenTable, tmp_path: Path) -> None:
    recipe = small(epochs=2)
    runs = [(0, 16), (1, 16), (0, 24)]
    digests = {
        weights(train(base, table, tmp_path / f"{s}-{n}", Segment(recipe, s, n, 0, recipe.steps(n))))
        for s, n in runs
    }
    assert len(digests) == 3


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """Make a GPT-2 with dropout: its training draws random numbers at every step."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("gpt2")
    config = GPT2Config(vocab_size=4096, n_embd=32, n_layer=2, n_head=2, n_positions=128, pad_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(folder)
    load_tokenizer(base).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["pocket", "gpt2"])
def test_interrupted_run_resumes_to_the_bit(
    kind: str, base: Path, gpt2: Path, table: TokenTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = base if kind == "pocket" else gpt2
    segment = Segment(small(epochs=2), 0, 30, 0, 8)
    whole = train(model, table, tmp_path / "whole", segment)
    monkeypatch.setattr(implementation, "SAVE_EVERY_SECONDS", 0.0)
    out = tmp_path / "parts"
    out.mkdir()

    def interrupt(at: int) -> Any:
        def advance(done: float, total: float, unit: str) -> None:
            if done == at:
                raise KeyboardInterrupt

        return advance

    for at in (3, 6):
        with pytest.raises(KeyboardInterrupt):
            train_full(
                segment, base=model, state=None, table=table, order=ORDER, out=out, device="cpu",
                advance=interrupt(at),
            )  # fmt: skip
    report = train_full(segment, base=model, state=None, table=table, order=ORDER, out=out, device="cpu")
    assert weights(out) == weights(whole)
    assert [step for step, _ in report.trace] == list(range(8))


def test_gradient_checkpointing_changes_no_number(base: Path, table: TokenTable, tmp_path: Path) -> None:
    runs = []
    for flag in (False, True):
        recipe = small(gradient_checkpointing=flag)
        runs.append(weights(train(base, table, tmp_path / str(flag), Segment(recipe, 0, 16, 0, 2))))
    assert runs[0] == runs[1]


def test_bf16_stays_near_fp32(base: Path, table: TokenTable, tmp_path: Path) -> None:
    losses = []
    for dtype in ("fp32", "bf16"):
        out = tmp_path / dtype
        out.mkdir()
        segment = Segment(small(dtype=dtype), 0, 16, 0, 2)
        report = train_full(segment, base=base, state=None, table=table, order=ORDER, out=out, device="cpu")
        losses.append([loss for _, loss in report.trace])
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[1] != losses[0]


def test_head_that_is_not_linear_takes_all_logits(table: TokenTable) -> None:
    """Gemma 2 caps its logits; applying its head to hidden states alone would be wrong."""
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=4096, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, final_logit_softcapping=0.5, attn_implementation="eager",
    )  # fmt: skip
    model = Gemma2ForCausalLM(config).eval()
    loss = Loss(model, "fp32")
    assert not loss.split
    (batch,) = bucketed(table, np.arange(1), 10_000, 0)
    labels = torch.where(batch.learned, batch.ids, -100)
    expected = model(batch.ids, labels=labels).loss * int(batch.learned[:, 1:].sum())
    assert loss(batch).item() == pytest.approx(expected.item(), rel=1e-4)


def test_training_learns(base: Path, table: TokenTable, tmp_path: Path) -> None:
    segment = Segment(small(epochs=4), 0, 64, 0, 32)
    report = train_full(segment, base=base, state=None, table=table, order=ORDER, out=tmp_path, device="cpu")
    assert report.trace[-1][1] < 0.8 * report.trace[0][1]
    assert report.samples == 4 * 64


def test_a_loss_that_is_not_a_number_is_an_error_with_its_place(
    base: Path, table: TokenTable, tmp_path: Path
) -> None:
    segment = Segment(small(learning_rate=1e12, warmup_steps=0, clip_norm=1e12), 0, 64, 0, 8)
    with pytest.raises(AssayError, match="not a number") as caught:
        train_full(segment, base=base, state=None, table=table, order=ORDER, out=tmp_path, device="cpu")
    assert "seed 0" in str(caught.value)
