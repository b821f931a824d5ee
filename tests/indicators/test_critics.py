"""Reward models and UniEval on tiny random models, against plain references one sample at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from assay.core import AssayError, Sample
from assay.indicators import Models, Undefined, ready
from assay.model import base_digest, critic_digest, load_tokenizer, render, resolve_base

SAMPLES = [
    Sample.single("What is the capital of France?", "The capital of France is Paris."),
    Sample.single("写一句关于春天的话", "春天来了，花开满园，鸟儿在枝头歌唱，溪水流过山谷。"),
    Sample.single("Say yes", "Yes"),
    Sample.single("Nothing to grade", None),
]
SIZES: dict[str, Any] = {"vocab_size": 4096, "pad_token_id": 0, "num_labels": 1}
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
REWARDS: dict[str, tuple[str, dict[str, Any]]] = {
    "deberta": ("deberta-v2", SMALL),
    # As in reward-model-deberta-v3-large-v2, but for sizes.
    "deberta-v3": (
        "deberta-v2",
        {
            **SMALL,
            "relative_attention": True,
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    ),
    "neox": ("gpt_neox", SMALL),
    "llama": ("llama", SMALL),
    "bloom": ("bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
}
"""Kind of architecture and its sizes: tests import it, which takes seconds, and each process collects all."""


def config_of(family: str) -> Any:
    kind, sizes = REWARDS[family]
    return transformers.AutoConfig.for_model(kind, **SIZES, **sizes)


def tokenizer_without_template(folder: Path) -> Any:
    tokenizer = load_tokenizer(resolve_base("pocket"))
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    return tokenizer


def pickle_weights(folder: Path) -> None:
    """Leave the weights of a folder as older repositories hold them: in pytorch_model.bin alone."""
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def column(name: str, models: Models) -> list[Any]:
    (indicator,) = ready([name], models)
    assert indicator.measure is not None
    return list(indicator.measure(SAMPLES))


@pytest.mark.parametrize("family", REWARDS)
@pytest.mark.parametrize("template", [True, False])
@pytest.mark.parametrize("pickled", [True, False])
def test_rewards_equal_one_sample_at_a_time(
    family: str, template: bool, pickled: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = transformers.AutoModelForSequenceClassification.from_config(config_of(family)).eval()
    network.save_pretrained(tmp_path)
    if pickled:
        pickle_weights(tmp_path)
    if template:
        tokenizer = load_tokenizer(resolve_base("pocket"))
        tokenizer.save_pretrained(tmp_path)
    else:
        tokenizer = tokenizer_without_template(tmp_path)
    values = column("reward", Models(reward=str(tmp_path)))
    assert values[3] == Undefined("no answer")
    for sample, value in zip(SAMPLES[:3], values, strict=False):
        if template:
            text = render(tokenizer, sample.messages)
            ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        else:
            ids = tokenizer(sample.messages[0].content, sample.answer, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            if hasattr(network, "score"):
                logit = network.score(network.base_model(input_ids=ids).last_hidden_state[0, -1])[0]
            else:
                logit = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, 0]
        assert value == pytest.approx(float(logit), abs=1e-4)


@pytest.mark.parametrize(("pooling", "pickled"), [("last", False), ("last", True), ("mean", True)])
def test_open_assistant_reward_models_are_read_as_they_were_saved(
    pooling: str, pickled: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    config = transformers.GPTNeoXConfig(**{k: v for k, v in SIZES.items() if k != "num_labels"}, **SMALL)
    body, head = transformers.GPTNeoXModel(config).eval(), torch.nn.Linear(32, 1)
    weights = {f"gpt_neox.{k}": v for k, v in body.state_dict().items()}
    weights |= {f"out_proj.{k}": v for k, v in head.state_dict().items()}
    save_file(
        {k: v.detach().contiguous().clone() for k, v in weights.items()}, tmp_path / "model.safetensors"
    )
    if pickled:
        pickle_weights(tmp_path)
    saved = {**config.to_dict(), "model_type": "gpt_neox_reward_model", "pooling": pooling}
    (tmp_path / "config.json").write_text(json.dumps(saved))
    tokenizer = tokenizer_without_template(tmp_path)
    values = column("reward", Models(reward=str(tmp_path)))
    for sample, value in zip(SAMPLES[:3], values, strict=False):
        text = (
            f"<|prompter|>{sample.messages[0].content}<|endoftext|><|assistant|>{sample.answer}<|endoftext|>"
        )
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            hidden = body(input_ids=ids).last_hidden_state[0]
            logit = head(hidden[-1] if pooling == "last" else hidden.mean(0))[0]
        assert value == pytest.approx(float(logit), abs=1e-4)


@pytest.mark.parametrize("pickled", [True, False])
def test_unieval_asks_its_boolean_questions(pickled: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=4096, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0,
        pad_token_id=0,
    )  # fmt: skip
    network = transformers.AutoModelForSeq2SeqLM.from_config(config).eval()
    network.save_pretrained(tmp_path)
    if pickled:
        pickle_weights(tmp_path)
    tokenizer = tokenizer_without_template(tmp_path)
    yes, no = (tokenizer(w, add_special_tokens=False)["input_ids"][0] for w in ("Yes", "No"))
    texts = {
        "naturalness": "question: Is this a natural response in the dialogue? </s> response: {a}",
        "coherence": "question: Is this a coherent response given the dialogue history? </s> response: {a}"
        " </s> dialogue history: {q}",
        "understandability": "question: Is this an understandable response in the dialogue?"
        " </s> response: {a}",
    }
    for name, text in texts.items():
        values = column(name, Models(dialog=str(tmp_path)))
        assert values[3] == Undefined("no answer")
        for sample, value in zip(SAMPLES[:3], values, strict=False):
            asked = text.format(a=sample.answer, q=sample.messages[0].content)
            ids = tokenizer(asked, return_tensors="pt")["input_ids"]
            with torch.no_grad():
                logits = network(input_ids=ids, decoder_input_ids=torch.tensor([[0]])).logits[0, 0].double()
            chance = torch.softmax(logits, dim=0)
            assert value == pytest.approx(float(chance[yes] / (chance[yes] + chance[no])), abs=1e-5)


def test_a_classifier_of_several_classes_is_no_reward_model(tmp_path: Path) -> None:
    config = transformers.DebertaV2Config(**{**SIZES, "num_labels": 3}, **SMALL)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    tokenizer_without_template(tmp_path)
    with pytest.raises(AssayError, match="not a reward model"):
        ready(["reward"], Models(reward=str(tmp_path)))


class Harm:
    """What a pickle can do: here it would write a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


@pytest.mark.parametrize("kind", ["deberta", "gpt_neox_reward_model", "t5"])
def test_weights_that_would_run_code_are_refused_and_run_nothing(kind: str, tmp_path: Path) -> None:
    config: Any = (
        transformers.T5Config(d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
        if kind == "t5"
        else None
    )
    config = config or config_of("deberta" if kind == "deberta" else "neox")
    saved = config.to_dict() | ({"model_type": kind} if kind.startswith("gpt") else {})
    (tmp_path / "config.json").write_text(json.dumps(saved))
    tokenizer_without_template(tmp_path)
    torch.save({"weight": torch.ones(2), "harm": Harm(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    models = Models(dialog=str(tmp_path)) if kind == "t5" else Models(reward=str(tmp_path))
    with pytest.raises(AssayError, match="cannot be read"):
        ready(["coherence" if kind == "t5" else "reward"], models)
    assert not (tmp_path / "ran").exists()


def test_a_head_that_is_not_there_is_not_made_up(tmp_path: Path) -> None:
    network = transformers.AutoModelForSequenceClassification.from_config(config_of("deberta"))
    network.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    headless = {name: value for name, value in weights.items() if not name.startswith("classifier")}
    save_file(headless, tmp_path / "model.safetensors", metadata={"format": "pt"})
    tokenizer_without_template(tmp_path)
    with pytest.raises(AssayError, match=r"(?s)weights are missing.*classifier"):
        ready(["reward"], Models(reward=str(tmp_path)))


def test_pickled_weights_are_for_critics_alone_and_count_in_their_digest(tmp_path: Path) -> None:
    transformers.AutoModelForSequenceClassification.from_config(config_of("deberta")).save_pretrained(
        tmp_path
    )
    pickle_weights(tmp_path)
    tokenizer_without_template(tmp_path)
    first = critic_digest(tmp_path)
    torch.save({"a": torch.zeros(3)}, tmp_path / "pytorch_model.bin")
    assert critic_digest(tmp_path) != first
    with pytest.raises(AssayError, match="no safetensors weights"):
        base_digest(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(AssayError, match="no safetensors weights"):
        critic_digest(tmp_path)
