"""Dialogues in files: a model answers them turn by turn, a chat model rates each turn (MT-bench)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from assay import data, judging
from assay import plan as planning
from assay.core import File, Shown, Without, digest, usable_cores
from assay.jobs._answer import model_runtime
from assay.jobs._judging import JudgedType, JudgeReport, by_type, judged
from assay.jobs._pool import held
from assay.jobs._train import run_here
from assay.plan import Store, open_store
from assay.study import HarnessConfig, MeasureConfig, find_model
from assay.study.steps import DIALOGUES, Base, talk_step


@dataclass(frozen=True, slots=True)
class AnsweredDialogues(Shown):
    """Answers to dialogues, written to ``path``: how many questions, and how many turns of them."""

    path: str
    questions: int
    turns: int
    by_type: Mapping[str, int]


def answer_turns(
    model: str,
    questions: File,
    out: File,
    *,
    max_new_tokens: int = 1024,
    limit: int | None = None,
    seed: int = 0,
    vllm: str | None = None,
    store: Path = Path(".assay"),
    force: bool = False,
    cap: str | None = None,
) -> AnsweredDialogues:
    """Answer questions of several turns, each after the model's own answers to those before.

    Example: `assay answer turns tuned/model question.jsonl answers.jsonl`

        >>> assay.answer_turns("pocket", "question.jsonl", "answers.jsonl")  # doctest: +SKIP

    Parameters
    ----------
    model
        `pocket`, a folder, a Hugging Face id, or a model of a study (study:arm/rung).
    questions
        Questions in MT-bench's layout: `question_id`, `category`, `turns`.
    out
        File for the answers (JSONL), in the layout of FastChat's.
    max_new_tokens
        Maximum length of an answer, in tokens.
    limit
        Only the first so many questions of each category.
    seed
        Random seed for the categories that are sampled: writing and roleplay at 0.7, stem and humanities at
        0.1; the others are greedy, as published.
    vllm
        Python interpreter of an environment with vLLM, to generate with it (or ASSAY_VLLM_PYTHON).
    store
        Folder of the store; finished answers there are reused.
    force
        Overwrite a file that Assay did not write, or that was changed since.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; what is finished is kept, and the same command goes on.
    """
    with planning.metered(cap) as meter:
        found = _answered(
            model, Path(questions), Path(out), max_new_tokens, limit, seed, vllm, open_store(store),
            force=force,
        )  # fmt: skip
        meter.per |= {"item": found.questions, "run": 1}
    return found


def _answered(
    model: str, questions: Path, out: Path, max_new_tokens: int, limit: int | None, seed: int,
    vllm: str | None, kept: Store, *, force: bool,
) -> AnsweredDialogues:  # fmt: skip
    target = data.output(out, inputs=[str(questions)], force=force)
    found = find_model(model)
    asked = HarnessConfig(dialogues=(str(questions),), limit=limit, max_new_tokens=max_new_tokens)
    step = talk_step(
        asked, Base.at(found.folder), model_runtime(found, MeasureConfig(), vllm),
        base=None if found.base is None else Base.at(found.base), folder=Path(), seed=seed,
        threads=usable_cores(), template="auto", label=found.label,
    )  # fmt: skip
    kept.register(f"answer {target.path.name} {digest(str(target.path.resolve()))[:8]}", [step])
    run_here([step], kept)
    rows = judging.read_dialogues([questions], limit=limit)
    said = judging.read_turns([kept.path(step.key) / DIALOGUES])
    data.write_rows(
        (
            {"question_id": one.id, "model_id": found.label,
             "choices": [{"index": 0, "turns": list(said[one.id])}]}
            for one in rows
        ),
        target,
    )  # fmt: skip
    counts: dict[str, int] = {}
    for one in rows:
        counts[one.category] = counts.get(one.category, 0) + 1
    return AnsweredDialogues(str(target.path), len(rows), sum(len(one.questions) for one in rows), counts)


def judge_turns(
    questions: File,
    *,
    answers: File,
    references: File | None = None,
    out: File | None = None,
    by: Annotated[judging.JudgeConfig, Without("rubrics", "grading", "exact")],
    limit: int | None = None,
    log: File | None = None,
    cap: str | None = None,
) -> JudgeReport:
    """Rate every turn of dialogues from 1 to 10 with a chat model, against references where there are any.

    Example: `assay judge turns question.jsonl --answers answers.jsonl --model openai/gpt-4o`

        >>> by = assay.JudgeConfig("openai/gpt-4o", temperature=0, repeats=1)
        >>> assay.judge_turns("question.jsonl", answers="answers.jsonl", by=by)  # doctest: +SKIP

    The judge sees the conversation up to a turn, with the model's own earlier answers. Scores are in [0, 1]:
    a rating is 1 + 9 × score. Both turns of a question count as one cluster.

    Parameters
    ----------
    questions
        Questions in MT-bench's layout: `question_id`, `category`, `turns`, and `reference` if known.
    answers
        Answers of one model, in the layout of FastChat's, as `assay answer turns` writes them.
    references
        Reference answers in the same layout; they count for math, reasoning and coding, as published.
    out
        File for the judgements (JSONL), one per turn.
    by
        The chat model that judges, and how.
    limit
        Only the first so many questions of each category.
    log
        Folder for a log that `inspect view` can open.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; replies are kept, and the same command goes on.
    """
    with planning.metered(cap):
        given = [] if references is None else [Path(references)]
        said = judging.read_turns([Path(answers)])
        judging.check_answers(judging.read_dialogues([Path(questions)]), said, str(answers))
        found = judging.read_dialogues([Path(questions)], given, limit=limit)
        names, items, texts = judging.turn_items(found, said)
        report = judged(
            items, texts, replace(by, grading="single", rubrics=None), out,
            answered_by=Path(answers).stem, log=log, names=names,
        )  # fmt: skip
    rows = report.judgements
    return held(replace(report, turns=tuple(_by_turn(rows))), judgements=rows)


def _by_turn(rows: Sequence[judging.Judgement]) -> list[JudgedType]:
    """Return the mean of the first turns, of the second ones, over all categories."""
    turned = [replace(row, type=row.item.rpartition("/")[2]) for row in rows]
    kinds = {row.type for row in turned}
    return [row for row in by_type(turned) if row.type in kinds]
