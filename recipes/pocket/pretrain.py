"""Pre-train the pocket model: a small Llama on openly licensed English and Chinese text.

    python recipes/pocket/tokenizer.py --corpus CORPUS_DIR --out runs/pocket
    python recipes/pocket/pretrain.py  --corpus CORPUS_DIR --out runs/pocket --steps 3000

`--size half` is a smaller sibling, for studies of several bases; it takes the pocket model's own tokenizer
(copy tokenizer.json and tokenizer_config.json of src/assay/model/pocket to OUT/model).
A warm-up, a constant learning rate, then a cooldown over the last fifth of ``--steps`` on longer rows.
The run is resumable: kill it at any moment and start the same command again.  While it is still in the
constant phase ``--steps`` may be changed, which is how a run is cut to the hours that are there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from assay.model.train import has_state, linear_cross_entropy, load_state, save_state

LANGUAGES = ("en", "zh")
HELD_OUT_ONE_IN = 100


@dataclass(frozen=True)
class PocketRecipe:
    """Everything that fixes the pre-training, apart from its length."""

    hidden_size: int = 128
    layers: int = 4
    heads: int = 4
    intermediate_size: int = 352
    context: int = 1024
    tokens_per_step: int = 8192
    row_tokens: int = 256
    cooldown_row_tokens: int = 1024
    learning_rate: float = 4e-3
    warmup_steps: int = 100
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    cooldown: float = 0.2
    seed: int = 0


SIZES = {
    "pocket": PocketRecipe(),
    "half": PocketRecipe(hidden_size=64, layers=2, heads=2, intermediate_size=176),
}


def held_out(document: dict[str, str]) -> bool:
    """Say whether a document is kept for evaluation, by a digest of its source and id."""
    digest = hashlib.sha256(f"{document['source']}:{document['id']}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_ONE_IN == 0


def documents(corpus: Path, language: str) -> Iterator[dict[str, str]]:
    """Yield the documents of one language."""
    with lzma.open(corpus / f"{language}.jsonl.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def tokenize(corpus: Path, out: Path) -> dict[str, npt.NDArray[np.uint16]]:
    """Return the training tokens of each language, each document closed by the end token."""
    tokenizer = AutoTokenizer.from_pretrained(out / "model")
    streams = {}
    for language in LANGUAGES:
        path = out / f"{language}.tokens.npy"
        if not path.exists():
            kept = [d["text"] for d in documents(corpus, language) if not held_out(d)]
            parts = []
            for start in range(0, len(kept), 256):
                for ids in tokenizer(kept[start : start + 256])["input_ids"]:
                    parts.append(np.array([*ids, tokenizer.eos_token_id], dtype=np.uint16))
            partial = path.with_suffix(".partial.npy")
            np.save(partial, np.concatenate(parts))
            partial.replace(path)
        streams[language] = np.load(path, mmap_mode="r")
    return streams


def batch(
    streams: dict[str, npt.NDArray[np.uint16]], recipe: PocketRecipe, step: int, row: int
) -> torch.Tensor:
    """Return the rows [n, row + 1] of one step: half of each language, drawn by (seed, step)."""
    each = recipe.tokens_per_step // row // len(LANGUAGES)
    rows = []
    for index, language in enumerate(LANGUAGES):
        tokens = streams[language]
        # Sampling without replacement over passes: a fixed permutation of row starts per pass.
        slots = (len(tokens) - 1) // row
        position = step * each
        order = np.random.default_rng([recipe.seed, index, position // slots]).permutation(slots)
        for slot in range(position, position + each):
            start = int(order[slot % slots]) * row
            rows.append(tokens[start : start + row + 1].astype(np.int64))
    return torch.from_numpy(np.stack(rows))


def learning_rate(recipe: PocketRecipe, step: int, steps: int) -> float:
    """Warm-up, constant, then 1 - sqrt cooldown (Hägele et al. 2024)."""
    start = math.ceil(steps * (1 - recipe.cooldown))
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    if step < start:
        return recipe.learning_rate
    return recipe.learning_rate * (1 - math.sqrt((step - start) / (steps - start)))


def build(recipe: PocketRecipe, vocabulary: int, eos: int, pad: int) -> LlamaForCausalLM:
    """Return the freshly initialised model."""
    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=recipe.hidden_size,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            intermediate_size=recipe.intermediate_size,
            max_position_embeddings=recipe.context,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=eos,
            pad_token_id=pad,
        )
    )


def pretrain(corpus: Path, out: Path, steps: int, recipe: PocketRecipe) -> None:
    """Train to ``steps``, saving every 100 steps, and write the model in bf16."""
    streams = tokenize(corpus, out)
    tokenizer = AutoTokenizer.from_pretrained(out / "model")
    model = build(recipe, len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=True)
    state = out / "state"
    first = load_state(state, model, optimizer)[0] if has_state(state) else 0
    cooldown_start = math.ceil(steps * (1 - recipe.cooldown))
    began, smooth = time.monotonic(), 0.0
    for step in range(first, steps):
        row = recipe.row_tokens if step < cooldown_start else recipe.cooldown_row_tokens
        rows = batch(streams, recipe, step, row)
        hidden = model.model(rows[:, :-1]).last_hidden_state.flatten(0, 1)
        targets = rows[:, 1:].flatten()
        loss = linear_cross_entropy(hidden, model.lm_head.weight, targets) / targets.numel()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, steps)
        optimizer.step()
        optimizer.zero_grad()
        smooth = loss.item() if step == first else 0.98 * smooth + 0.02 * loss.item()
        if (step + 1) % 50 == 0:
            speed = (step + 1 - first) * recipe.tokens_per_step / (time.monotonic() - began)
            left = (steps - step - 1) * recipe.tokens_per_step / speed / 60
            print(
                f"step {step + 1}/{steps} loss {smooth:.3f} {speed:.0f} tok/s {left:.0f} min left", flush=True
            )
        if (step + 1) % 100 == 0 or step + 1 == steps:
            save_state(state, model, optimizer, step + 1)
    model.to(torch.bfloat16).save_pretrained(out / "model")


def main() -> None:
    """Parse the command line and pre-train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--size", choices=sorted(SIZES), default="pocket")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pretrain(arguments.corpus, arguments.out, arguments.steps, SIZES[arguments.size])


if __name__ == "__main__":
    main()
