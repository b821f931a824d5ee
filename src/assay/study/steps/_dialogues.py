"""Questions of several turns: a model answers them one after the other, a chat model rates each turn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay import data, judging, model
from assay.core import Sample
from assay.plan import Estimate, Step, StepContext
from assay.study._config import HarnessConfig, StudyConfig
from assay.study.steps._abilities import SCORES
from assay.study.steps._base import Base, subject_of
from assay.study.steps._judge import chat_judge, judging_step, write_judged
from assay.study.steps._open import OPENERS, Opened, Runtime
from assay.study.steps._read import expand, place_digest

DIALOGUES = "dialogues.jsonl"
_PROMPT_TOKENS = 300


def dialogue_places(asked: HarnessConfig, folder: Path) -> tuple[list[str], list[str]]:
    """Return the files of questions and those of references."""
    return (
        expand(asked.dialogues, folder, "evaluation.dialogues"),
        expand(asked.references, folder, "evaluation.references"),
    )


def talk_step(
    asked: HarnessConfig,
    subject: Step | Base,
    runtime: Runtime,
    *,
    base: Base | None,
    folder: Path,
    seed: int,
    threads: int,
    template: str,
    label: str,
) -> Step:
    """Return the step in which a model answers every question, its own answers before the next."""
    places, _ = dialogue_places(asked, folder)
    turns = sum(len(one.questions) for one in judging.read_dialogues(map(Path, places), limit=asked.limit))
    measured = subject_of(subject, base)
    settings: dict[str, Any] = {"questions": sorted(map(place_digest, places)), "limit": asked.limit}
    settings |= {"max_new_tokens": asked.max_new_tokens, "seed": seed, "threads": threads}
    settings |= {"template": template, **runtime.settings(), **measured.settings}
    where = {"vllm": runtime.vllm, "questions": places, **measured.where}
    return Step(
        "answer-dialogues", judging.DIALOGUES, f"{__name__}:talk", settings, measured.inputs, where=where,
        label=label, estimate=Estimate(seconds=2 + turns / 10, kind=runtime.device),
    )  # fmt: skip


def talk(context: StepContext) -> None:
    """Answer every question: ``dialogues.jsonl``, in the layout of FastChat's answers."""
    config, made = context.config, context.inputs.get("model")
    folder = Path(context.where["model"]) if made is None else made / "model"
    model.set_threads(config["threads"])
    asked = judging.read_dialogues(map(Path, context.where["questions"]), limit=config["limit"])
    with OPENERS[config["backend"]](folder, context) as opened:
        said = _said(opened, asked, context)
    rows = (
        {"question_id": one.id, "choices": [{"index": 0, "turns": list(answers)}]}
        for one, answers in zip(asked, said, strict=True)
    )
    data.write_lines(rows, context.out / DIALOGUES)


def _said(opened: Opened, asked: Sequence[judging.Dialogue], context: StepContext) -> list[tuple[str, ...]]:
    """Return the answers to each dialogue, all first turns before all second ones."""
    said: list[tuple[str, ...]] = [() for _ in asked]
    for turn in range(max(len(one.questions) for one in asked)):
        for warmth in sorted({_warmth(one) for one in asked}):
            rows = [i for i, one in enumerate(asked) if len(one.questions) > turn and _warmth(one) == warmth]
            decoding = model.Decoding(context.config["max_new_tokens"], warmth, seed=context.config["seed"])
            items = [asked[i].asked(said[i]) for i in rows]
            given = opened.answer(items, decoding, advance=context.progress) if items else []
            for i, answer in zip(rows, given, strict=True):
                said[i] = (*said[i], answer.text)
    return said


def _warmth(one: judging.Dialogue) -> float:
    return judging.TEMPERATURES.get(one.category, 0.0)


def rating_step(config: StudyConfig, asked: HarnessConfig, answers: Step, label: str) -> Step:
    """Return the step in which the chat model rates every turn of one model from 1 to 10."""
    places, references = dialogue_places(asked, Path(config.folder))
    turns = _items(places, references, asked.limit, {})[1]
    by = dataclasses.replace(chat_judge(config), grading="single", rubrics=None)
    own = {"questions": sorted(map(place_digest, places)), "limit": asked.limit}
    own |= {"references": sorted(map(place_digest, references))}
    return judging_step(
        by, f"{__name__}:rate", {"answers": answers}, label, study=config.name, items=len(turns),
        tokens=_PROMPT_TOKENS + 2 * asked.max_new_tokens, settings=own,
        where={"questions": places, "references": references},
    )  # fmt: skip


def _items(
    places: Sequence[str], references: Sequence[str], limit: int | None,
    answers: Mapping[str, Sequence[str]],
) -> tuple[list[str], list[Sample], list[str | None]]:  # fmt: skip
    found = judging.read_dialogues(map(Path, places), map(Path, references), limit=limit)
    return judging.turn_items(found, answers)


def rate(context: StepContext) -> None:
    """Rate every turn: ``judgements.parquet``, and ``scores.parquet`` by category."""
    import polars

    where = context.where
    answers = judging.read_turns([context.inputs["answers"] / DIALOGUES])
    names, items, texts = _items(where["questions"], where["references"], context.config["limit"], answers)
    rows = write_judged(context, items, texts, names)
    schema = dict.fromkeys(("task", "item", "group"), polars.String) | {"score": polars.Float64}
    table = [(row.type, row.item, row.group, row.score) for row in rows if row.score is not None]
    polars.DataFrame(table, schema=schema, orient="row").write_parquet(context.out / SCORES)


def dialogue_steps(
    config: StudyConfig,
    asked: HarnessConfig,
    subject: Step | Base,
    runtime: Runtime,
    *,
    base: Base | None,
    seed: int,
    label: str,
) -> Iterator[tuple[str, Step]]:
    """Yield the step that rates a model's turns, where dialogues are asked for."""
    if not asked.dialogues:
        return
    recipe = config.recipe
    said = talk_step(
        asked, subject, runtime, base=base, folder=Path(config.folder), seed=seed, threads=recipe.threads,
        template=recipe.template, label=label,
    )  # fmt: skip
    yield "dialogues", rating_step(config, asked, said, label)
