"""Judgements as inspect-ai logs and tasks: ``inspect view`` opens every one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import AssayError, Sample, digest
from assay.data import replacing
from assay.judging._ask import JudgeConfig, ask_all, version
from assay.judging._judge import Judgement, clustered

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.scorer import Score

    from assay.llm import Chat

_SCORER = "assay_judge"


def write_log(
    items: Sequence[Sample],
    answers: Sequence[str | None],
    judgements: Sequence[Judgement],
    folder: Path,
    *,
    config: JudgeConfig,
    answered_by: str = "recorded answers",
) -> Path:
    """Write judgements as an inspect-ai log (``.eval``), a sample an item, and return its file.

    The log holds the prompt as input, the reference as target, the answer as output, and the score with the
    judge's replies as its explanation.  Its name is a digest of its content, so that it is written once.
    """
    from inspect_ai.log import write_eval_log

    if not len(items) == len(answers) == len(judgements):
        raise AssayError(
            "not one judgement an item",
            value=f"{len(items)} items, {len(answers)} answers, {len(judgements)} judgements",
        )
    name = digest([[i.id, a, j] for i, a, j in zip(items, answers, judgements, strict=True)])[:16]
    path = folder / f"judge-{name}.eval"
    samples = [
        _sample(item, answer, judgement, answered_by)
        for item, answer, judgement in zip(items, answers, judgements, strict=True)
    ]
    with replacing(path, private=True) as partial:
        write_eval_log(_log(samples, judgements, config, answered_by, name), str(partial), format="eval")
    return path


def _sample(item: Sample, answer: str | None, judgement: Judgement, answered_by: str) -> EvalSample:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelOutput

    messages = _messages(item)
    output = ModelOutput.from_content(answered_by, answer or "")
    return EvalSample(
        id=item.id,
        epoch=1,
        input=messages,
        target=item.answer or "",
        messages=[*messages, output.message],
        output=output,
        scores={_SCORER: score_of(judgement, answer)},
        metadata={
            "type": judgement.type,
            "language": item.language,
            "source": item.source,
            "origin": item.origin,
        },
    )


def _messages(item: Sample) -> list[Any]:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    # A tool's result is what the user's side says: inspect-ai's own tool turns need calls of its own.
    return [kinds.get(turn.role, ChatMessageUser)(content=turn.said) for turn in item.prompt]


def score_of(judgement: Judgement, answer: str | None) -> Score:
    """Return a judgement as inspect-ai's score; none is NaN there, which it leaves out of means."""
    from inspect_ai.scorer import Score

    return Score(
        value=float("nan") if judgement.score is None else judgement.score,
        answer=answer,
        explanation="\n\n".join(judgement.replies) or judgement.note or judgement.reason,
        metadata={
            "method": judgement.method,
            "rubric": judgement.rubric,
            "scores": list(judgement.scores),
            "unparsed": judgement.unparsed,
            "outside": judgement.outside,
            "reason": judgement.reason,
            "note": judgement.note,
        },
    )


def _log(
    samples: list[EvalSample],
    judgements: Sequence[Judgement],
    config: JudgeConfig,
    answered_by: str,
    name: str,
) -> EvalLog:
    from inspect_ai.log import (
        EvalConfig,
        EvalDataset,
        EvalLog,
        EvalMetric,
        EvalResults,
        EvalScore,
        EvalSpec,
        EvalStats,
    )

    scored = [(j.group or j.item, j.score) for j in judgements if j.score is not None]
    mean, se = clustered(scored) if scored else (None, None)
    metrics = {
        key: EvalMetric(name=key, value=value)
        for key, value in (("mean", mean), ("stderr", se))
        if value is not None
    }
    score = EvalScore(
        name=_SCORER,
        scorer=_SCORER,
        params={"version": version(config)},
        metrics=metrics,
        scored_samples=len(scored),
        unscored_samples=len(judgements) - len(scored),
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return EvalLog(
        status="success",
        stats=EvalStats(started_at=now, completed_at=now),
        eval=EvalSpec(
            created=now,
            task="assay_judge",
            task_id=name,
            run_id=name,
            eval_id=name,
            dataset=EvalDataset(
                name="items", samples=len(samples), sample_ids=[str(s.id) for s in samples], shuffled=False
            ),
            model=answered_by,
            config=EvalConfig(),
            metadata={"judge": version(config)},
        ),
        results=EvalResults(total_samples=len(samples), completed_samples=len(samples), scores=[score]),
        samples=samples,
    )


def judge_task(
    chat: Chat, items: Sequence[Sample], answers: Sequence[str | None], config: JudgeConfig
) -> Task:
    """Return an inspect-ai task that judges recorded answers through ``chat``: run it with any ``eval()``.

    Replies, caps and prices are those of ``chat``; the model that inspect-ai is given is never called.
    """
    from anyio import to_thread
    from inspect_ai import Task
    from inspect_ai.dataset import Sample as Row
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Target, mean, scorer, stderr
    from inspect_ai.solver import Generate, TaskState, solver

    known = {str(i): pair for i, pair in enumerate(zip(items, answers, strict=True))}

    @solver
    def recorded() -> Any:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            state.output = ModelOutput.from_content("recorded", known[str(state.sample_id)][1] or "")
            state.messages.append(state.output.message)
            return state

        return solve

    @scorer(metrics=[mean(), stderr()], name=_SCORER)
    def by_rubric() -> Any:
        async def score(state: TaskState, target: Target) -> Score:
            item, answer = known[str(state.sample_id)]
            judged = await to_thread.run_sync(lambda: ask_all(chat, [item], [answer], config))
            return score_of(judged.judgements[0], answer)

        return score

    rows = [Row(id=key, input=_messages(item), target=item.answer or "") for key, (item, _) in known.items()]
    return Task(dataset=rows, solver=recorded(), scorer=by_rubric(), name=_SCORER, version=version(config))
