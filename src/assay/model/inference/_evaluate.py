"""Evaluate a model: loss on reference answers, and answers of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from assay.core import Sample
from assay.model.tokens import (
    Given,
    MicroBatch,
    encode,
    encode_answers,
    encode_prompts,
    pad_right,
    partition,
    stop_ids,
)

Advance = Callable[[float, float, str], None]


@dataclass(frozen=True, slots=True)
class ItemLoss:
    """Loss of one reference answer: summed nats, tokens counted, UTF-8 bytes of the answer.

    The end mark is predicted and counted among the tokens; it has no bytes.  ``cut``: the text was longer
    than was allowed, so that the end of the answer is missing from nats and tokens.
    """

    item: str
    nats: float
    tokens: int
    n_bytes: int
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Decoding:
    """How answers are generated; greedy at temperature 0."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    batch_size: int = 64


@torch.no_grad()
def reference_loss(
    model: Any,
    tokenizer: Any,
    items: Sequence[Sample],
    *,
    max_tokens: int = 1024,
    micro_tokens: int = 4096,
    advance: Advance = lambda done, total, unit: None,
) -> list[ItemLoss | None]:
    """Return the loss of each item's last answer, in item order; None where there is no reference.

    Also None where the prompt alone fills ``max_tokens``: a missing value, never zero.
    """
    model.eval()
    rows = encode(tokenizer, items, max_tokens)
    usable = [i for i, s in enumerate(items) if s.answer is not None and any(rows[i].learned[1:])]
    results: list[ItemLoss | None] = [None] * len(items)
    done = 0
    for group in partition([len(rows[i].ids) for i in usable], micro_tokens):
        picked = [usable[g] for g in group]
        batch = pad_right([rows[i] for i in picked], model.config.pad_token_id or 0)
        for i, (nats, tokens) in zip(picked, _losses(model, batch), strict=True):
            answer = items[i].answer or ""
            n_bytes = len(answer.encode("utf-8", "replace"))
            results[i] = ItemLoss(items[i].id, nats, tokens, n_bytes, rows[i].cut)
        done += len(picked)
        advance(done, len(usable), "item")
    return results


@torch.no_grad()
def answer_loss(
    model: Any,
    tokenizer: Any,
    samples: Sequence[Sample],
    *,
    given: Given = "prompt",
    max_tokens: int = 1024,
    micro_tokens: int = 4096,
) -> list[ItemLoss | None]:
    """Return the loss of each sample's last answer after what is ``given``, its end mark not counted.

    The same tokens of an answer count whatever is given (:func:`assay.model.encode_answers`).  None where
    there is no answer, or where the prompt alone fills ``max_tokens``.
    """
    model.eval()
    rows = encode_answers(tokenizer, samples, max_tokens, given=given)
    usable = [i for i, row in enumerate(rows) if any(row.learned)]
    results: list[ItemLoss | None] = [None] * len(rows)
    for group in partition([len(rows[i].ids) for i in usable], micro_tokens):
        picked = [usable[g] for g in group]
        batch = pad_right([rows[i] for i in picked], model.config.pad_token_id or 0)
        for i, (nats, tokens) in zip(picked, _losses(model, batch), strict=True):
            n_bytes = len((samples[i].answer or "").encode("utf-8", "replace"))
            results[i] = ItemLoss(samples[i].id, nats, tokens, n_bytes)
    return results


def _losses(model: Any, batch: MicroBatch) -> list[tuple[float, int]]:
    device = next(model.parameters()).device
    logits = model(input_ids=batch.ids.to(device), use_cache=False).logits
    results = []
    for row in range(len(batch.ids)):
        places = batch.learned[row, 1:].nonzero()[:, 0].to(device)
        targets = batch.ids[row, 1:].to(device)[places]
        nats = torch.nn.functional.cross_entropy(logits[row, places].float(), targets, reduction="sum")
        results.append((float(nats), len(places)))
    return results


@dataclass(frozen=True, slots=True)
class Answer:
    """A generated answer; ``tokens`` generated, and whether the model ended it by itself."""

    item: str
    text: str
    tokens: int
    ended: bool


@torch.no_grad()
def answer(
    model: Any,
    tokenizer: Any,
    items: Sequence[Sample],
    decoding: Decoding,
    advance: Advance = lambda done, total, unit: None,
) -> list[Answer]:
    """Generate one answer for each item's prompt, in item order, batched by prompt length."""
    model.eval()
    encoded = encode_prompts(tokenizer, [item.prompt for item in items])
    stops = stop_ids(tokenizer)
    by_length = sorted(range(len(items)), key=lambda i: (len(encoded[i]), i))
    results: list[Answer | None] = [None] * len(items)
    for start in range(0, len(items), decoding.batch_size):
        picked = by_length[start : start + decoding.batch_size]
        generated = _generate(model, stops, [encoded[i] for i in picked], decoding, start)
        for i, ids in zip(picked, generated, strict=True):
            results[i] = finish(tokenizer, stops, items[i], ids)
        advance(start + len(picked), len(items), "answer")
    return [r for r in results if r is not None]


@torch.no_grad()
def answer_confidence(
    model: Any,
    tokenizer: Any,
    items: Sequence[Sample],
    decoding: Decoding,
    advance: Advance = lambda done, total, unit: None,
) -> list[float]:
    """Return the mean probability [n] in (0, 1] that a model gives the tokens of its own answers.

    In item order; the end mark counts, where the model writes one.
    """
    model.eval()
    encoded = encode_prompts(tokenizer, [item.prompt for item in items])
    stops = stop_ids(tokenizer)
    by_length = sorted(range(len(items)), key=lambda i: (len(encoded[i]), i))
    found = [0.0] * len(items)
    for start in range(0, len(items), decoding.batch_size):
        picked = by_length[start : start + decoding.batch_size]
        prompts = [encoded[i] for i in picked]
        out = _decoded(model, stops, prompts, decoding, start, output_logits=True)
        ids = out.sequences[:, max(map(len, prompts)) :]
        logits = torch.stack(out.logits, dim=1).float()
        chances = logits.softmax(dim=-1).gather(2, ids[:, :, None])[:, :, 0]
        for line, i in enumerate(picked):
            row = ids[line].tolist()
            length = next((place + 1 for place, token in enumerate(row) if token in stops), len(row))
            found[i] = float(chances[line, :length].mean())
        advance(start + len(picked), len(items), "answer")
    return found


def _generate(
    model: Any, stops: list[int], prompts: Sequence[Sequence[int]], decoding: Decoding, offset: int
) -> list[list[int]]:
    width = max(len(p) for p in prompts)
    out = _decoded(model, stops, prompts, decoding, offset)
    return [row[width:].tolist() for row in out.sequences]


def _decoded(
    model: Any,
    stops: list[int],
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    offset: int,
    **wanted: bool,
) -> Any:
    """Return what transformers generates after prompts of one batch, padded at the left."""
    from transformers import GenerationConfig

    device = next(model.parameters()).device
    width = max(len(p) for p in prompts)
    room = getattr(model.config, "max_position_embeddings", None) or width + decoding.max_new_tokens
    # Padding is masked, so any id will do; an end mark also fills up rows that have ended.
    pad = stops[0]
    ids = torch.tensor([[*[pad] * (width - len(p)), *p] for p in prompts], device=device)
    mask = torch.tensor([[*[0] * (width - len(p)), *[1] * len(p)] for p in prompts], device=device)
    sampled = decoding.temperature > 0
    extra = {"temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0} if sampled else {}
    settings = GenerationConfig(
        do_sample=sampled,
        max_new_tokens=max(1, min(decoding.max_new_tokens, room - width)),
        pad_token_id=pad,
        eos_token_id=stops,
        return_dict_in_generate=True,
        **wanted,
        **extra,
    )
    torch.manual_seed(decoding.seed * 1_000_003 + offset)
    # What a model's generation_config.json asks for (penalties, top_k ...) is not part of the decoding.
    own, model.generation_config = model.generation_config, settings
    try:
        return model.generate(input_ids=ids, attention_mask=mask)
    finally:
        model.generation_config = own


def finish(tokenizer: Any, stops: list[int], item: Sample, ids: list[int]) -> Answer:
    """Return generated ids as an answer: what comes before the first of ``stops``, without spaces around."""
    end = next((place for place, token in enumerate(ids) if token in stops), None)
    kept = ids[:end]
    text = tokenizer.decode(kept, skip_special_tokens=True)
    return Answer(item.id, text.strip(), len(kept) + (end is not None), end is not None)
