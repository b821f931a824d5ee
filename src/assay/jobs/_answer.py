"""Answer the items of an evaluation set with one model, through the steps of a study."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay import data, judging
from assay import plan as planning
from assay.core import AssayError, File, Shown, digest, read_json, usable_cores
from assay.jobs._data import rejected_rows
from assay.jobs._train import run_here
from assay.plan import Step, Store, open_store
from assay.study import MeasureConfig, ModelPlace, answering_cost, find_model, read_summary
from assay.study.steps import (
    COUNTS,
    ITEMS,
    Base,
    Runtime,
    answer_step,
    check_step,
    judgements_of,
    read_step,
    runtime,
    runtime_of,
)


@dataclass(frozen=True, slots=True)
class Answered(Shown):
    """Answers written to ``path`` with the mean score (None where nothing could be scored) and loss.

    ``counts`` says what was left out or cut: rows ``rejected`` and ``duplicates`` of other items; items
    ``without_reference``, or ``too_long`` for a loss; references ``cut``, and answers ``unended``.
    """

    path: str
    items: int
    by_type: dict[str, dict[str, float | int | None]]
    loss: float | None
    bits_per_byte: float | None
    counts: Mapping[str, int]


def answer(
    model: str,
    place: str,
    out: File,
    *,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    seed: int = 0,
    vllm: str | None = None,
    store: File = Path(".assay"),
    force: bool = False,
    cap: str | None = None,
) -> Answered:
    """Generate a model's answers to an evaluation set, with losses and scores where there are references.

    Example: `assay answer tuned/model eval.jsonl answers.jsonl`

        >>> assay.answer("pocket", "pool.jsonl", "answers.jsonl", max_new_tokens=2).items
        40

    Parameters
    ----------
    model
        `pocket`, a folder, a Hugging Face id, or a model of a study (study:arm/rung).
    place
        Evaluation set: a file, a folder, or hf:owner/name.
    out
        File for answers, losses and scores: .jsonl, .json, .csv or .parquet.
    max_new_tokens
        Maximum length of an answer, in tokens.
    temperature
        Sampling temperature; 0 is greedy decoding.
    seed
        Random seed for sampling.
    vllm
        Python interpreter of an environment with vLLM, to generate with it (or ASSAY_VLLM_PYTHON).
    store
        Folder of the store, or `s3://bucket/prefix`; finished answers there are reused.
    force
        Overwrite a file that Assay did not write, or that was changed since.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; what is finished is kept, and the same command goes on.
    """
    measure = MeasureConfig(max_new_tokens=max_new_tokens, temperature=temperature)
    with planning.metered(cap) as meter:
        found = _answered(model, place, Path(out), measure, seed, vllm, Path(store), force=force)
        meter.per |= {"item": found.items, "run": 1}
    return found


def _answered(
    model: str, place: str, out: Path, measure: MeasureConfig, seed: int, vllm: str | None, store: Path, *,
    force: bool,
) -> Answered:  # fmt: skip
    target = data.output(out, inputs=[place], force=force)
    rejected = data.output(out.with_name(f"{out.name}.rejected.jsonl"), inputs=[place], force=force)
    found, kept = find_model(model), open_store(store)
    speaks = found.folder if found.folder.is_dir() else None
    evaluation = read_step("evaluation", (place,), key="evaluation", base=speaks)
    below, runs = None if found.base is None else Base.at(found.base), model_runtime(found, measure, vllm)
    run_here([evaluation], kept)
    cost = answering_cost(kept, evaluation, found.base or found.folder, measure, runs)
    answers = answer_step(
        evaluation, Base.at(found.folder), measure, runs, base=below, seed=seed, threads=usable_cores(),
        label=found.label, estimate=cost,
    )  # fmt: skip
    judged = check_step(evaluation, answers, measure.method, found.label)
    kept.register(f"answer {out.name} {digest(str(out.resolve()))[:8]}", [judged])
    run_here([judged], kept)
    return _written(kept, evaluation, answers, judged, target, rejected)


def model_runtime(found: ModelPlace, measure: MeasureConfig, vllm: str | None) -> Runtime:
    """Return what runs a model: a quantized one as it is stored, a GGUF file by llama.cpp."""
    folder = found.folder
    if folder.is_dir():
        config = read_json((found.base or folder) / "config.json")
        return (
            runtime_of("auto", gguf=False)
            if "quantization_config" in config
            else runtime(measure, "auto", vllm)
        )
    if not folder.with_name("tokenizer.json").is_file():
        raise AssayError(
            "a GGUF file without its tokenizer answers in chat only", place=str(folder),
            expected="tokenizer.json beside it, as `assay export` writes it",
            hint="`assay chat`, or name the folder that it was made from",
        )  # fmt: skip
    return runtime_of("auto", gguf=True)


def _written(
    store: Store, evaluation: Step, answers: Step, judged: Step, out: data.Output, rejected: data.Output
) -> Answered:
    """Write what the steps left, a row for each item, and return the means."""
    import polars

    read, measured = store.path(evaluation.key), store.path(answers.key)
    items = list(data.Dataset(read / "dataset"))
    table = polars.read_parquet(measured / ITEMS)
    verdicts = judgements_of(store.path(judged.key))

    def rows() -> Iterator[dict[str, Any]]:
        for item, given, verdict in zip(items, table.iter_rows(named=True), verdicts, strict=True):
            yield {
                "item": item.id,
                "type": item.type,
                "prompt": "\n\n".join(m.content for m in item.prompt),
                "reference": item.answer,
                **{name: given[name] for name in ("answer", "ended")},
                **{name: getattr(verdict, name) for name in ("score", "method", "reason")},
                **{name: given[name] for name in ("nats", "tokens")},
            }

    data.write_rows(rows(), out)
    summary, counts = read_summary(store, evaluation), read_json(measured / COUNTS)
    counts |= {"rejected": sum(rejected_rows(read, rejected).values())}
    counts |= {"duplicates": sum(r.duplicates for r in summary.sources)}
    means = {s.type: {"score": s.mean, "se": s.se, "n": s.n} for s in judging.summarise(verdicts)}
    known = table.drop_nulls("nats")
    nats, tokens, n_bytes = (float(known[name].sum()) for name in ("nats", "tokens", "n_bytes"))
    bits = nats / math.log(2) / n_bytes if n_bytes else None
    return Answered(str(out.path), len(items), means, nats / tokens if tokens else None, bits, counts)
