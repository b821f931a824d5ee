"""Perplexity and IFD against a plain reference, on small models of several families."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, BloomConfig, GPTNeoXConfig, LlamaConfig, PreTrainedConfig

from assay.core import Sample
from assay.model import encode, load_model, load_tokenizer, resolve_base
from assay.score import Undefined, pick

SAMPLES = [
    Sample.single("What is the capital of France?", "The capital of France is Paris, a city on the Seine."),
    Sample.single("写一句关于春天的话", "春天来了，花开满园，鸟儿在枝头歌唱。"),
    Sample.single("Say yes", "Yes"),
    Sample.single("Nothing to learn", None),
    Sample.single("word " * 3000, "too long a prompt"),
]
SIZES: dict[str, Any] = {"vocab_size": 4096, "pad_token_id": 0}
CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(
        **SIZES, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    ),
    "bloom": BloomConfig(**SIZES, hidden_size=32, n_layer=2, n_head=4),
    "neox": GPTNeoXConfig(
        **SIZES, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    ),
}


@pytest.fixture(scope="module", params=["pocket", *CONFIGS])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "pocket":
        return resolve_base("pocket")
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(CONFIGS[request.param]).save_pretrained(folder)
    load_tokenizer(resolve_base("pocket")).save_pretrained(folder)
    return folder


def nats(network: Any, ids: list[int], learned: list[bool]) -> float:
    """Mean negative log probability of the learned tokens, one sample, no padding, nothing shared."""
    with torch.no_grad():
        logits = network(input_ids=torch.tensor([ids])).logits[0].double()
    log = torch.log_softmax(logits, dim=-1)
    found = [-float(log[i - 1, ids[i]]) for i in range(1, len(ids)) if learned[i]]
    return sum(found) / len(found)


def test_ppl_and_ifd_equal_a_plain_reference(base: Path) -> None:
    network, tokenizer = load_model(base, "cpu"), load_tokenizer(base)
    network.eval()
    ppl, ifd = pick(["ppl", "ifd"], str(base))
    perplexities, ratios = ppl.measure(SAMPLES), ifd.measure(SAMPLES)
    for sample, perplexity, ratio in zip(SAMPLES[:3], perplexities, ratios, strict=False):
        (row,) = encode(tokenizer, [sample], 1024)
        after = nats(network, list(row.ids), list(row.learned))
        start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        alone_ids = [start, *tokenizer(sample.answer, add_special_tokens=False)["input_ids"]]
        alone = nats(network, alone_ids, [True] * len(alone_ids))
        assert perplexity == pytest.approx(math.exp(after), rel=1e-4)
        assert ratio == pytest.approx(after / alone, rel=1e-4)
    assert all(isinstance(v, Undefined) for v in (*perplexities[3:], *ratios[3:]))


def test_values_do_not_depend_on_the_batch(base: Path) -> None:
    (ifd,) = pick(["ifd"], str(base))
    whole = ifd.measure(SAMPLES)
    alone = [ifd.measure([sample])[0] for sample in SAMPLES]
    for a, b in zip(whole, alone, strict=True):
        assert (a == b) if isinstance(a, Undefined) else a == pytest.approx(b, rel=1e-4)
