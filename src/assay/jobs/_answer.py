"""Answer the items of an evaluation set with one model, through the steps of a study."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay import data, judging
from assay import plan as planning
from assay.core import AssayError, digest
from assay.jobs._data import rejected_rows
from assay.plan import Estimate, Step, Store
from assay.study._config import MeasureConfig
from assay.study._find import ModelPlace, find_model
from assay.study._run import read_summary
from assay.study.steps import (
    COUNTS,
    ITEMS,
    JUDGEMENTS,
    Base,
    Runtime,
    answer_step,
    check_step,
    read_step,
    runtime,
    runtime_of,
)


@dataclass(frozen=True, slots=True)
class Answered:
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


def answer_once(
    name: str,
    place: str,
    out: Path,
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    quiet: bool,
    vllm: str | None = None,
    store: Path = Path(".assay"),
) -> Answered:
    """Answer, measure and score the items of ``place`` with one model, and write them as JSONL.

    ``vllm`` names the python of vLLM's environment, which answers where there is one.  The same weights,
    items and settings are measured once per store.
    """
    found, kept = find_model(name), Store(store)
    measure = MeasureConfig(max_new_tokens=max_new_tokens, temperature=temperature)
    evaluation = read_step("evaluation", (place,), key="evaluation")
    below = None if found.base is None else Base.at(found.base)
    answers = answer_step(
        evaluation, Base.at(found.folder), measure, _runtime(found, measure, vllm), base=below, seed=seed,
        threads=os.cpu_count() or 1, label=found.label, estimate=Estimate(seconds=60),
    )  # fmt: skip
    judged = check_step(evaluation, answers, measure.method, found.label)
    kept.register(f"answer {out.name} {digest(str(out.resolve()))[:8]}", [judged])
    with planning.Inline() as here:
        planning.run([judged], kept, here, quiet=quiet)
    return _written(kept, evaluation, answers, judged, out)


def _runtime(found: ModelPlace, measure: MeasureConfig, vllm: str | None) -> Runtime:
    """Return what runs a model: a quantized one as it is stored, a GGUF file by llama.cpp."""
    folder = found.folder
    if folder.is_dir():
        config = json.loads((found.base or folder).joinpath("config.json").read_text(encoding="utf-8"))
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


def _written(store: Store, evaluation: Step, answers: Step, judged: Step, out: Path) -> Answered:
    """Write what the steps left as JSON lines and return the means."""
    import polars

    read, measured = store.path(evaluation.key), store.path(answers.key)
    items = list(data.Dataset(read / "dataset"))
    table = polars.read_parquet(measured / ITEMS)
    scored = polars.read_parquet(store.path(judged.key) / JUDGEMENTS)
    verdicts = [judging.Judgement(**row) for row in scored.iter_rows(named=True)]

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

    data.write_lines(rows(), out)
    summary, counts = read_summary(store, evaluation), json.loads((measured / COUNTS).read_text("utf-8"))
    rejected = rejected_rows(read, out.with_name(f"{out.name}.rejected.jsonl"))
    counts |= {"rejected": sum(rejected.values()), "duplicates": sum(r.duplicates for r in summary.sources)}
    means = {s.type: {"score": s.mean, "se": s.se, "n": s.n} for s in judging.summarise(verdicts)}
    known = table.drop_nulls("nats")
    nats, tokens, n_bytes = (float(known[name].sum()) for name in ("nats", "tokens", "n_bytes"))
    bits = nats / math.log(2) / n_bytes if n_bytes else None
    return Answered(str(out), len(items), means, nats / tokens if tokens else None, bits, counts)
