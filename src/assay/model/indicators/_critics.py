"""Models that grade text: reward models (sequence classification) and UniEval (boolean questions to a T5)."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assay.core import AssayError, Sample, read_json
from assay.model.base import base_digest, load_tokenizer, model_folder, pick_device, quiet
from assay.model.tokens import partition, render

_POOLED = "gpt_neox_reward_model"

Grade = Callable[[Sequence[Sample]], list[float | None]]


def critic_folder(name: str, place: str) -> Path:
    """Return the folder of a critic, which may hold weights saved by pickle (``pytorch_model*.bin``)."""
    return model_folder(name, place, pickled=True)


def critic_digest(folder: Path) -> str:
    """Return the digest of a critic's weights, configuration and tokenizer."""
    return base_digest(folder, pickled=True)


def rewarder(folder: Path, *, max_tokens: int = 1024) -> Grade:
    """Return a function from samples to rewards (higher is better, the model's own scale; None: no answer).

    Any sequence-classification model with one output; decoders (GPT-NeoX, Llama, BLOOM ...) are read at the
    last token, encoders (DeBERTa ...) by their own pooling.  A conversation is written by the tokenizer's
    chat template, in OpenAssistant's marks for its GPT-NeoX reward models, else as a pair of texts.  Too
    long ones are cut at the left, so that the answer stays.
    """
    config = read_json(folder / "config.json")
    tokenizer = _tokenizer(folder)
    tokenizer.truncation_side = "left"
    device = pick_device()
    network, head = _reward_network(folder, config)
    network = network.to(device).eval()
    texts = _open_assistant if config["model_type"] == _POOLED else _pairs(tokenizer)

    @torch.no_grad()
    def grade(samples: Sequence[Sample]) -> list[float | None]:
        results: list[float | None] = [None] * len(samples)
        usable = [i for i, s in enumerate(samples) if s.answer is not None and s.answer.strip()]
        special = config["model_type"] != _POOLED and not getattr(tokenizer, "chat_template", None)
        rows = [
            tokenizer(*texts(samples[i]), truncation=True, max_length=max_tokens, add_special_tokens=special)
            for i in usable
        ]
        for group in partition([len(r["input_ids"]) for r in rows], 8192):
            inputs = _padded(tokenizer, [rows[g] for g in group], device)
            for g, value in zip(group, head(network, inputs).float().tolist(), strict=True):
                results[usable[g]] = value
        return results

    return grade


def _open_assistant(sample: Sample) -> tuple[str]:
    asks = "<|prompter|>"
    marks = {"user": asks, "tool": asks, "assistant": "<|assistant|>", "system": "<|system|>"}
    return ("".join(f"{marks[m.role]}{m.said}<|endoftext|>" for m in sample.messages),)


def _pairs(tokenizer: Any) -> Callable[[Sample], tuple[str, ...]]:
    if getattr(tokenizer, "chat_template", None):
        return lambda sample: (render(tokenizer, sample.messages),)
    return lambda sample: ("\n".join(m.content for m in sample.prompt), sample.answer or "")


def _padded(tokenizer: Any, rows: Sequence[Any], device: str) -> dict[str, Tensor]:
    """Right-pad token ids (and token types where the tokenizer gives them) with their mask."""
    width = max(len(r["input_ids"]) for r in rows)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    fill = {"input_ids": pad, "attention_mask": 0, "token_type_ids": 0}
    return {
        name: torch.tensor([[*r[name], *[fill[name]] * (width - len(r[name]))] for r in rows], device=device)
        for name in fill
        if name in rows[0]
    }


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(dim=1) - 1]


def _reward_network(folder: Path, config: dict[str, Any]) -> tuple[Any, Callable[[Any, Any], Tensor]]:
    """Return the network and how to read one number a row from it."""
    if config["model_type"] == _POOLED:
        return _open_assistant_network(folder, config)
    from transformers import AutoModelForSequenceClassification

    network = _whole(AutoModelForSequenceClassification, folder)
    if network.config.num_labels != 1:
        raise AssayError(
            "not a reward model", place=str(folder), value=network.config.num_labels, expected="one output"
        )
    if not hasattr(network, "score"):
        return network, lambda n, x: n(**x).logits[:, 0]

    def decoder(model: Any, inputs: dict[str, Tensor]) -> Tensor:
        mask = inputs["attention_mask"]
        hidden = model.base_model(input_ids=inputs["input_ids"], attention_mask=mask).last_hidden_state
        read: Tensor = model.score(_last(hidden, mask))[:, 0]
        return read

    return network, decoder


def _tokenizer(folder: Path) -> Any:
    try:
        return load_tokenizer(folder)
    except ImportError as error:
        raise AssayError(
            f"the tokenizer cannot be read ({error.name or 'a package'} is missing)",
            place=str(folder),
            expected="tokenizer.json, or the package sentencepiece to read spm.model or spiece.model",
            hint="pip install sentencepiece",
        ) from None


def _whole(kind: Any, folder: Path) -> Any:
    """Load a network all of whose weights are there; weights saved by pickle may hold tensors only."""
    with _safely(folder), quiet():
        network, found = kind.from_pretrained(
            folder, dtype=torch.float32, weights_only=True, output_loading_info=True
        )
    if found["missing_keys"]:
        missing = sorted(found["missing_keys"])
        raise AssayError(
            "weights are missing",
            place=str(folder),
            value=", ".join(missing[:3]),
            expected=f"all weights of {type(network).__name__}",
            hint="the folder may hold a model of another kind, whose head would be random here",
        )
    return network


def _weights(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder by name: those of safetensors files, else those saved by pickle."""
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    pickled = [] if files else sorted(folder.glob("pytorch_model*.bin"))
    if not files and not pickled:
        raise AssayError(
            "no weights",
            place=str(folder),
            expected="model.safetensors or pytorch_model.bin, whole or in parts",
        )
    found: dict[str, Tensor] = {}
    for path in files:
        found |= load_file(path)
    with _safely(folder):
        for path in pickled:
            found |= torch.load(path, map_location="cpu", weights_only=True)
    return found


@contextmanager
def _safely(folder: Path) -> Iterator[None]:
    """Say what is wrong with weights that cannot be read, or that would run code when they are."""
    try:
        yield
    except (pickle.UnpicklingError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise AssayError(
            f"the weights cannot be read ({type(error).__name__})",
            place=str(folder),
            expected="safetensors, or a pytorch_model.bin that holds tensors and nothing else",
            hint="weights that need code to be read are refused; convert them where you trust them",
        ) from None


def _open_assistant_network(folder: Path, config: dict[str, Any]) -> tuple[Any, Callable[[Any, Any], Tensor]]:
    """GPT-NeoX with a linear head on the last token or the mean, as OpenAssistant's repository saved it."""
    from transformers import GPTNeoXConfig, GPTNeoXModel

    weights = _weights(folder)
    body = GPTNeoXModel(GPTNeoXConfig(**{k: v for k, v in config.items() if k != "model_type"}))
    prefix = "gpt_neox."
    found = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    missing = body.load_state_dict({k: v.float() for k, v in found.items()}, strict=False).missing_keys
    if missing:
        raise AssayError("weights are missing", place=str(folder), value=missing[:3])
    linear = torch.nn.Linear(config["hidden_size"], 1)
    linear.load_state_dict({name: weights[f"out_proj.{name}"].float() for name in ("weight", "bias")})
    body.head = linear

    def read(model: Any, inputs: dict[str, Tensor]) -> Tensor:
        mask = inputs["attention_mask"]
        hidden = model(input_ids=inputs["input_ids"], attention_mask=mask).last_hidden_state
        if config.get("pooling", "last") == "mean":
            pooled = (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        else:
            pooled = _last(hidden, mask)
        value: Tensor = model.head(pooled)[:, 0]
        return value

    return body, read


DIMENSIONS: dict[str, str] = {
    "naturalness": "question: Is this a natural response in the dialogue? </s> response: {answer}",
    "coherence": (
        "question: Is this a coherent response given the dialogue history? </s> response: {answer}"
        " </s> dialogue history: {prompt}"
    ),
    "understandability": (
        "question: Is this an understandable response in the dialogue? </s> response: {answer}"
    ),
}
"""UniEval's boolean questions for dialogue (Zhong et al. 2022, 2210.07197, table 7)."""


def boolean_questions(folder: Path, *, max_tokens: int = 1024) -> Callable[[str], Grade]:
    """Return, for a dimension of UniEval, a function from samples to scores in [0, 1] (None: no answer).

    The score is P("Yes") / (P("Yes") + P("No")) at the first decoded token (Zhong et al. 2022, equation 1).
    """
    from transformers import AutoModelForSeq2SeqLM

    tokenizer = _tokenizer(folder)
    device = pick_device()
    network = _whole(AutoModelForSeq2SeqLM, folder).to(device).eval()
    yes, no = (tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in ("Yes", "No"))
    start = network.config.decoder_start_token_id

    def dimension(name: str) -> Grade:
        question = DIMENSIONS[name]

        @torch.no_grad()
        def grade(samples: Sequence[Sample]) -> list[float | None]:
            results: list[float | None] = [None] * len(samples)
            usable = [i for i, s in enumerate(samples) if s.answer is not None and s.answer.strip()]
            rows = []
            for i in usable:
                prompt = "\n".join(m.content for m in samples[i].prompt)
                text = question.format(answer=samples[i].answer, prompt=prompt)
                rows.append(tokenizer(text, truncation=True, max_length=max_tokens))
            for group in partition([len(r["input_ids"]) for r in rows], 8192):
                inputs = _padded(tokenizer, [rows[g] for g in group], device)
                inputs.pop("token_type_ids", None)
                first = torch.full((len(group), 1), start, device=device)
                logits = network(**inputs, decoder_input_ids=first).logits[:, 0].float()
                scores = torch.softmax(logits[:, [yes, no]], dim=-1)[:, 0]
                for g, value in zip(group, scores.tolist(), strict=True):
                    results[usable[g]] = value
            return results

        return grade

    return dimension
