"""Answer the items of an evaluation set with one model."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from assay import judging
from assay import model as models
from assay.core import AssayError, File
from assay.jobs._data import samples
from assay.plan import progress_bar
from assay.study._find import find_model


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers written to ``path`` with the mean score (None where nothing could be scored) and loss."""

    path: str
    items: int
    by_type: dict[str, dict[str, float | int | None]]
    loss: float | None
    bits_per_byte: float | None


def answer_once(
    name: str,
    place: str,
    out: Path,
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    vllm: str | None = None,
) -> Answered:
    """Answer, measure and score the items of ``place`` with one model, and write them as JSONL.

    ``vllm`` names the python of vLLM's environment, which answers where there is one.
    """
    python = models.vllm_python(vllm)
    found_at = find_model(name)
    folder, base = found_at.folder, found_at.base
    if folder.suffix == ".gguf":
        raise AssayError(
            "a GGUF file answers in chat only", place=name, expected="a model's folder",
            hint="`assay chat`, or name the folder that it was made from",
        )  # fmt: skip
    items = list(samples(place))
    network = models.load_model(folder, models.pick_device(), base=base)
    tokenizer = models.load_tokenizer(folder)
    decoding = models.Decoding(max_new_tokens, temperature, seed=seed)
    with progress_bar("loss") as advance:
        losses = models.reference_loss(network, tokenizer, items, advance=advance)
    with progress_bar("answers") as advance:
        if python is None:
            answers = models.answer(network, tokenizer, items, decoding, advance=advance)
        else:
            del network  # vLLM wants the GPU for itself
            with TemporaryDirectory() as scratch:
                answers = models.vllm_answer(
                    python, folder, items, decoding, Path(scratch), base=base, advance=advance
                )
    judged = [judging.judge(item, a.text, None) for item, a in zip(items, answers, strict=True)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8") as lines:
        for item, loss, given, verdict in zip(items, losses, answers, judged, strict=True):
            row = {
                "item": item.id,
                "type": item.type,
                "prompt": "\n\n".join(m.content for m in item.prompt),
                "reference": item.answer,
                "answer": given.text,
                "ended": given.ended,
                "score": verdict.score,
                "method": verdict.method,
                "reason": verdict.reason,
                "nats": loss and loss.nats,
                "tokens": loss and loss.tokens,
            }
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    found = [loss for loss in losses if loss is not None]
    nats = sum(loss.nats for loss in found)
    by_type: dict[str, dict[str, float | int | None]] = {
        s.type: {"score": s.mean, "se": s.se, "n": s.n} for s in judging.summarise(judged)
    }
    tokens, n_bytes = sum(loss.tokens for loss in found), sum(loss.n_bytes for loss in found)
    return Answered(
        str(out),
        len(items),
        by_type,
        nats / tokens if tokens else None,
        nats / math.log(2) / n_bytes if n_bytes else None,
    )


def answer(
    model: str,
    place: str,
    out: File,
    *,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    seed: int = 0,
    vllm: str | None = None,
) -> Answered:
    """Let a model answer the prompts of an evaluation set; losses and scores where references allow.

    Example: `assay answer tuned/model eval.jsonl answers.jsonl`

        >>> assay.answer("pocket", "pool.jsonl", "answers.jsonl", max_new_tokens=2).items
        40

    Parameters
    ----------
    model
        `pocket`, a folder, a Hugging Face id, or a model of a study (study:arm/rung).
    place
        The evaluation set.
    out
        JSONL file of answers, losses and scores.
    max_new_tokens
        Answers are cut here.
    temperature
        0 is greedy.
    seed
        Fixes sampling.
    vllm
        The python of an environment with vLLM, which then answers (or in ASSAY_VLLM_PYTHON).
    """
    return answer_once(
        model, place, Path(out), max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, vllm=vllm
    )
