"""The memory estimate beside torch's own count of a training step, at real sizes, without weights or a GPU.

    python benchmarks/memory_estimate.py [--quick]

Real model classes take a real step on fake tensors (shapes and types, no numbers: no memory is needed)
under torch's MemTracker, through Assay's own loss, with gradients and AdamW moments in place as in every
micro-batch but the first.  Nothing of the estimate is used by the count.  With fake tensors autograd sums the
two gradients of a tied table out of place, one table more than with real ones; it shows with checkpointing.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from assay.model import Recipe, read_shape, training_memory

LLAMA_1B = {
    "model_type": "llama", "vocab_size": 128256, "hidden_size": 2048, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 8192,
    "tie_word_embeddings": True,
}  # fmt: skip
BLOOM_1B = {"model_type": "bloom", "vocab_size": 250880, "hidden_size": 1536, "n_layer": 24, "n_head": 16}
CONFIGS: dict[str, dict[str, Any]] = {
    "Llama-3.2-1B": LLAMA_1B,
    "BLOOM-1b1": BLOOM_1B,
    "Pythia-1B": {
        "model_type": "gpt_neox", "vocab_size": 50304, "hidden_size": 2048, "num_hidden_layers": 16,
        "num_attention_heads": 8, "intermediate_size": 8192, "tie_word_embeddings": False,
    },
    "Qwen3-1.7B": {
        "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 6144,
        "tie_word_embeddings": True,
    },
    "Gemma-2B": {
        "model_type": "gemma", "vocab_size": 256000, "hidden_size": 2048, "num_hidden_layers": 18,
        "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256, "intermediate_size": 16384,
    },
    "Gemma-2-2B": {
        "model_type": "gemma2", "vocab_size": 256000, "hidden_size": 2304, "num_hidden_layers": 26,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "intermediate_size": 9216,
        "attn_implementation": "eager",
    },
    "Gemma-3-1B": {
        "model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 1152, "num_hidden_layers": 26,
        "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "intermediate_size": 6912,
    },
    "GPT-2-XL": {"model_type": "gpt2", "vocab_size": 50257, "n_embd": 1600, "n_layer": 48, "n_head": 25},
    "Phi-2": {
        "model_type": "phi", "vocab_size": 51200, "hidden_size": 2560, "num_hidden_layers": 32,
        "num_attention_heads": 32, "intermediate_size": 10240,
    },
    "Phi-3-mini": {
        "model_type": "phi3", "vocab_size": 32064, "hidden_size": 3072, "num_hidden_layers": 32,
        "num_attention_heads": 32, "intermediate_size": 8192, "pad_token_id": 0,
    },
    "OLMo-2-7B": {
        "model_type": "olmo2", "vocab_size": 100352, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "intermediate_size": 11008,
    },
    # Experts run on fake tensors in bf16 alone, so under adapters only.
    "Mixtral-8x7B": {
        "model_type": "mixtral", "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
        "num_local_experts": 8, "num_experts_per_tok": 2,
    },
    "Qwen3-30B-A3B": {
        "model_type": "qwen3_moe", "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 48,
        "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144,
        "moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8,
    },
    "gpt-oss-20b": {
        "model_type": "gpt_oss", "vocab_size": 201088, "hidden_size": 2880, "num_hidden_layers": 24,
        "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 2880,
        "num_local_experts": 32, "num_experts_per_tok": 4,
    },
    "Llama-2-7B": {
        "model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "intermediate_size": 11008,
    },
    "BLOOM-7b1": {
        "model_type": "bloom", "vocab_size": 250880, "hidden_size": 4096, "n_layer": 30, "n_head": 32,
    },
    "Mistral-7B": {
        "model_type": "mistral", "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
    },
    "Qwen2-7B": {
        "model_type": "qwen2", "vocab_size": 152064, "hidden_size": 3584, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18944,
    },
}  # fmt: skip
PLAIN = Recipe(dtype="bf16")
RECIPES = {
    "full bf16": PLAIN,
    "full fp32": Recipe(),
    "full bf16, checkpointing": Recipe(dtype="bf16", gradient_checkpointing=True),
    "LoRA bf16": Recipe(dtype="bf16", adapter="lora"),
    "DoRA bf16": Recipe(dtype="bf16", adapter="dora"),
    "LoRA bf16, checkpointing": Recipe(dtype="bf16", adapter="lora", gradient_checkpointing=True),
}


def measured(config: dict[str, Any], recipe: Recipe) -> dict[str, float]:
    """Return bytes that torch counts at the peak of a micro-batch: all, and what it adds to what is held."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker
    from transformers import AutoConfig, AutoModelForCausalLM, masking_utils

    made = AutoConfig.for_model(**{"use_cache": False, "tie_word_embeddings": False} | _defaults(config))
    held = torch.bfloat16 if recipe.adapter != "none" and recipe.dtype == "bf16" else torch.float32
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(made, dtype=held)
        if recipe.adapter != "none":
            _adapt(model, recipe)
    with (
        # With fake tensors transformers cannot see that rows are not packed, and would build masks.
        patch.object(masking_utils, "find_packed_sequence_indices", lambda position_ids: None),
        patch.object(torch, "logsumexp", _logsumexp),
        FakeTensorMode(allow_non_fake_inputs=True),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        _materialise(model)
        if recipe.gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        model.train()
        learning = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(learning, foreach=False)
        for p in learning:
            p.grad = torch.zeros_like(p)
            optimizer.state[p] = {k: torch.zeros_like(p) for k in ("exp_avg", "exp_avg_sq")}
        ids = torch.zeros(
            max(1, recipe.micro_tokens // recipe.max_tokens), recipe.max_tokens, dtype=torch.long
        )
        tracker = MemTracker()
        tracker.track_external(model, optimizer, ids, *(p.grad for p in learning))
        cpu = torch.device("cpu")
        with tracker:
            before = tracker.get_tracker_snapshot("current")[cpu]["Total"]
            _step(model, ids, recipe)
            peak = tracker.get_tracker_snapshot("peak")[cpu]["Total"]
    gc.collect()
    return {"peak": peak, "added": peak - before, "held": before}


def _logsumexp(x: torch.Tensor, dim: int, keepdim: bool) -> torch.Tensor:
    """Take the steps of torch's own kernel; with fake tensors torch would take others, and one copy more."""
    largest = x.amax(dim, keepdim)
    return (x - largest).exp_().sum(dim, keepdim).log_().add_(largest)


def _defaults(config: dict[str, Any]) -> dict[str, Any]:
    tied = config["model_type"] in ("bloom", "gemma", "gemma2", "gemma3_text", "gpt2")
    return {"tie_word_embeddings": tied, **config}


def _adapt(model: Any, recipe: Recipe) -> None:
    from peft import LoraConfig, get_peft_model

    get_peft_model(model, LoraConfig(
        task_type="CAUSAL_LM", r=recipe.rank, lora_alpha=recipe.alpha, target_modules="all-linear",
        use_dora=recipe.adapter == "dora",
    ))  # fmt: skip


def _materialise(model: torch.nn.Module) -> None:
    """Put fake tensors in the place of meta tensors; what was shared stays shared.

    Frozen weights become buffers: the tracker cannot watch for their gradients, and there are none.
    """
    made: dict[int, Any] = {}
    for module in model.modules():
        for name, old in [*module._parameters.items(), *module._buffers.items()]:
            if old is None:
                continue
            new = torch.zeros(old.shape, dtype=old.dtype)
            if old.requires_grad:
                module._parameters[name] = made.setdefault(id(old), torch.nn.Parameter(new))
            else:
                module._parameters.pop(name, None)
                module._buffers[name] = made.setdefault(id(old), new)


def _step(model: Any, ids: torch.Tensor, recipe: Recipe) -> None:
    """Take a forward and a backward pass as `Loss` of the trainer does; every token is learned."""
    from assay.model.train import linear_cross_entropy

    bf16 = torch.bfloat16 if recipe.dtype == "bf16" else None
    targets = ids[:, 1:].flatten()
    head = model.get_output_embeddings()
    whole = bool(getattr(model.config, "final_logit_softcapping", None)) or head.bias is not None
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16 is not None):
        if whole:
            found = model(input_ids=ids).logits[:, :-1].flatten(0, 1)
        else:
            body = getattr(model, model.base_model_prefix)
            found = body(input_ids=ids).last_hidden_state[:, :-1].flatten(0, 1)
    if whole:
        loss = torch.nn.functional.cross_entropy(found.float(), targets, reduction="sum")
    else:
        loss = linear_cross_entropy(found, head.weight, targets, bf16)
    del found
    loss.backward()


def estimated(config: dict[str, Any], recipe: Recipe) -> Any:
    """Return the estimate for a config written as a model folder would hold it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        return training_memory(read_shape(Path(folder)), recipe)


def main() -> None:
    """Print estimate and count, in GB, with the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two models, two recipes")
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--recipes", nargs="*")
    arguments = parser.parse_args()
    models = arguments.models or ([*CONFIGS][:2] if arguments.quick else [*CONFIGS])
    recipes = arguments.recipes or ([*RECIPES][:2] if arguments.quick else [*RECIPES])
    print(f"| model | recipe | held | added: count | estimate | | peak: count | estimate | |\n|{'---|' * 9}")
    for name in models:
        for kind in recipes:
            if "per_tok" in str(CONFIGS[name]) and "LoRA bf16" not in kind:
                continue  # experts on fake tensors
            recipe = dataclasses.replace(RECIPES[kind], max_tokens=1024, micro_tokens=2048)
            count, guess = measured(CONFIGS[name], recipe), estimated(CONFIGS[name], recipe)
            cells = [name, kind, f"{count['held'] / 1e9:.2f}"]
            for own, other in ((guess.activations, count["added"]), (guess.peak, count["peak"])):
                cells += [f"{other / 1e9:.2f}", f"{own / 1e9:.2f}", f"{own / other - 1:+.1%}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
