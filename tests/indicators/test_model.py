"""Perplexity and IFD against a plain reference, on small models of several families."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, BloomConfig, GPTNeoXConfig, LlamaConfig, PreTrainedConfig

from assay.core import Sample
from assay.indicators import Models, Undefined, ready
from assay.model import Influence, InfluenceSettings, encode, load_model, load_tokenizer, resolve_base

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


def measured(names: list[str], models: Models, samples: list[Sample]) -> list[list[Any]]:
    """Return one column for each name."""
    return [list(i.measure(samples)) for i in ready(names, models, samples) if i.measure is not None]


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
    perplexities, ratios, powers = measured(["ppl", "ifd", "ifd_ppl"], Models(str(base)), SAMPLES)
    mark = tokenizer.convert_tokens_to_ids("<|end|>")
    header = tokenizer.convert_tokens_to_ids("<|assistant|>")
    for sample, perplexity, ratio, power in zip(SAMPLES[:3], perplexities, ratios, powers, strict=False):
        (row,) = encode(tokenizer, [sample], 1024)
        assert row.ids[-1] == mark
        after = nats(network, list(row.ids[:-1]), list(row.learned[:-1]))
        own = tokenizer(sample.answer, add_special_tokens=False)["input_ids"]
        after_header, alone = (
            nats(network, [start, *own], [True] * (len(own) + 1)) for start in (header, mark)
        )
        assert perplexity == pytest.approx(math.exp(after), rel=1e-4)
        for value, before, wanted in (
            (ratio, after_header, after / after_header),
            (power, alone, math.exp(after - alone)),
        ):
            if after > before * 1.0001:
                assert isinstance(value, Undefined)
            elif after < before * 0.9999:
                assert value == pytest.approx(wanted, rel=1e-3)
    assert all(isinstance(v, Undefined) for v in (*perplexities[3:], *ratios[3:]))


def test_values_do_not_depend_on_the_batch(base: Path) -> None:
    (ppl,) = ready(["ppl"], Models(str(base)))
    assert ppl.measure is not None
    whole = ppl.measure(SAMPLES)
    alone = [ppl.measure([sample])[0] for sample in SAMPLES]
    for a, b in zip(whole, alone, strict=True):
        assert (a == b) if isinstance(a, Undefined) else a == pytest.approx(b, rel=1e-4)


def test_loss_gap_and_tokens_out_follow_their_definitions(base: Path) -> None:
    models = Models(str(base), second=str(resolve_base("pocket")))
    gaps, tokens, asked = measured(["loss_gap", "tokens_out", "tokens_in"], models, SAMPLES)
    ours, theirs = (measured(["ppl"], Models(str(f)), SAMPLES)[0] for f in (base, resolve_base("pocket")))
    for gap, a, b in zip(gaps[:3], ours, theirs, strict=False):
        assert gap == pytest.approx(math.log(a) - math.log(b), abs=1e-4)
    tokenizer = load_tokenizer(base)
    assert tokens[0] == len(tokenizer(SAMPLES[0].answer, add_special_tokens=False)["input_ids"])
    assert asked[0] == len(tokenizer("What is the capital of France?", add_special_tokens=False)["input_ids"])
    assert isinstance(gaps[3], Undefined) and isinstance(tokens[3], Undefined)


def test_miwv_is_the_loss_with_the_nearest_example_minus_the_loss_without(base: Path) -> None:
    pool = [
        Sample.single("Name the capital of France", "It is Paris, on the Seine."),
        Sample.single("Name the capital of Spain", "It is Madrid, on the Manzanares."),
        Sample.single("写一首诗", "春眠不觉晓，处处闻啼鸟。"),
    ]
    (values,) = measured(["miwv"], Models(str(base), embedder="lexical"), pool)
    network, tokenizer = load_model(base, "cpu"), load_tokenizer(base)
    network.eval()
    shown = Sample.single(
        "Name the capital of Spain\n\nIt is Madrid, on the Manzanares.\n\nName the capital of France",
        pool[0].answer,
    )
    with_example, without = (encode(tokenizer, [s], 1024)[0] for s in (shown, pool[0]))
    expected = nats(network, list(with_example.ids[:-1]), list(with_example.learned[:-1])) - nats(
        network, list(without.ids[:-1]), list(without.learned[:-1])
    )
    assert values[0] == pytest.approx(expected, abs=1e-4)


def test_rds_is_the_cosine_of_position_weighted_hidden_states(base: Path) -> None:
    target = (SAMPLES[1], Sample.single("Where is Rome?", "In Italy."))
    (values,) = measured(["rds"], Models(str(base), target=target), SAMPLES[:4])
    network, tokenizer = load_model(base, "cpu"), load_tokenizer(base)
    network.eval()

    def mean(sample: Sample) -> torch.Tensor:
        (row,) = encode(tokenizer, [sample], 1024)
        with torch.no_grad():
            states = network(input_ids=torch.tensor([row.ids]), output_hidden_states=True).hidden_states[-1][
                0
            ]
        weight = torch.arange(1.0, len(row.ids) + 1)
        return (weight[:, None] * states.double()).sum(0) / weight.sum()

    for sample, value in zip(SAMPLES[:4], values, strict=True):
        wanted = max(float(torch.cosine_similarity(mean(sample), mean(t), dim=0)) for t in target)
        assert value == pytest.approx(wanted, abs=1e-4)
    assert values[1] == pytest.approx(1, abs=1e-5)


def test_less_equals_plain_adam_steps_and_gradients(base: Path) -> None:
    """One checkpoint, and a sketch as wide as the gradient: cosines of the true vectors, up to collisions."""
    target = [Sample.single("Where is Rome?", "In Italy."), SAMPLES[1]]
    settings = InfluenceSettings(
        rank=2, alpha=4, epochs=1, learning_rate=1e-3, dimension=1 << 20, micro_tokens=4096
    )
    influence = Influence(base, SAMPLES[:3], target, settings)
    scores = influence.score(SAMPLES[:4])
    assert scores[3] is None
    checkpoint = influence.checkpoints[0]
    influence._load(checkpoint)
    network = influence.model
    assert not any(p.requires_grad for p in network.parameters())
    for parameter in influence.parameters:
        parameter.requires_grad_(True)
    names = [n for n, p in network.named_parameters() if p.requires_grad]
    assert all("lora_" in name and "att" in name for name in names), "LoRA on the matrices of attention"

    def gradient(sample: Sample) -> torch.Tensor:
        (row,) = encode(influence.tokenizer, [sample], 1024)
        logits = network(input_ids=torch.tensor([row.ids])).logits[0]
        learned = torch.tensor(row.learned)[1:]
        targets = torch.tensor(row.ids)[1:]
        loss = torch.nn.functional.cross_entropy(logits[:-1][learned], targets[learned])
        found = torch.autograd.grad(loss, influence.parameters, allow_unused=True)
        pairs = zip(found, influence.parameters, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in pairs]).double()

    for sample, score in zip(SAMPLES[:3], scores, strict=False):
        g = gradient(sample)
        first = 0.9 * checkpoint.first + 0.1 * g
        second = 0.999 * checkpoint.second + 0.001 * g**2
        step = first / (second + 1e-8).sqrt()
        wanted = sum(float(torch.cosine_similarity(step, gradient(t), dim=0)) for t in target) / len(target)
        assert score == pytest.approx(wanted, abs=0.02)


def test_less_does_not_depend_on_the_batch(base: Path) -> None:
    """Padding and the samples beside change the last digits alone; warm-up and score are repeatable."""
    settings = InfluenceSettings(rank=4, alpha=8, epochs=2, learning_rate=1e-3)
    told: list[str] = []
    influence = Influence(base, SAMPLES[:3], SAMPLES[:2], settings, lambda d, t, unit: told.append(unit))
    whole = influence.score(SAMPLES[:3])
    alone = [influence.score([sample])[0] for sample in SAMPLES[:3]]
    assert whole == pytest.approx(alone, abs=1e-5)
    assert told == ["warm-up"] * 2 + ["checkpoint"] * 2
    assert Influence(base, SAMPLES[:3], SAMPLES[:2], settings).score(SAMPLES[:3]) == pytest.approx(whole)


def test_the_sketch_keeps_cosines(base: Path) -> None:
    """A narrow sketch agrees with one that has nearly a place for each number."""
    settings = InfluenceSettings(rank=8, alpha=16, epochs=1, learning_rate=1e-3)
    narrow, wide = (
        Influence(base, SAMPLES[:3], SAMPLES[:2], replace(settings, dimension=size)).score(SAMPLES[:3])
        for size in (8192, 1 << 22)
    )
    assert narrow == pytest.approx(wide, abs=0.05)
