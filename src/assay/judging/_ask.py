"""Items and answers to requests, replies to judgements: the chat model as judge."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from assay.core import AssayError, Sample, digest
from assay.judging._expected import TOP, Expected, expected_score
from assay.judging._judge import CHECKER, Judgement, judge
from assay.judging._parse import parse_score
from assay.judging._rubric import (
    GENERAL,
    SINGLE,
    SINGLE_REFERENCE,
    Rubric,
    Rubrics,
    language_for,
    rubrics,
    single,
    stamp,
)
from assay.judging._scale import Unparsed
from assay.llm import Advance, ChatConfig, Estimate, Failure, Reply, Request, Sampling

if TYPE_CHECKING:
    from assay.llm import Chat

Mode: TypeAlias = Literal["json", "text", "logprobs"]
Outcome: TypeAlias = Reply | Failure

PROMPT_VERSION = 1
ALARM = 0.01
"""Share of unparsed replies above which the judge is not to be trusted."""

_RETRY = 1000
REPLIES = 2
"""A reply that does not fit the schema is asked for once more, like one that cannot be read."""
_NUMBER_TOKENS = 4
_LANGUAGES: tuple[Literal["en", "zh"], ...] = ("en", "zh")


@dataclass(frozen=True, slots=True)
class JudgeConfig(ChatConfig):
    """The chat model that judges, and how; what is not of :class:`ChatConfig` but ``exact`` is part of a key.

    Parameters
    ----------
    temperature
        Sampling temperature of the judge.
    top_p
        Nucleus sampling: cumulative probability of the tokens to sample from.
    max_tokens
        Maximum length of a reply, in tokens.
    repeats
        Replies per answer; their mean is the score (BELLE: 3).
    mode
        json: structured output; text: for servers without it; logprobs: the expected score from the token
        probabilities of the scale, in one reply.
    language
        Language of the rubrics; auto follows the item.
    rubrics
        TOML file with your own rubrics, by type.
    grading
        type: by the rubric of the item's type; single: a rating from 1 to 10 whatever the type, as MT-bench
        grades single answers (scores are (rating - 1) / 9).
    exact
        Score items that have an exact checker with it instead of the judge.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    repeats: int = 3
    mode: Mode = "json"
    language: Literal["auto", "en", "zh"] = "auto"
    rubrics: str | None = None
    grading: Literal["type", "single"] = "type"
    exact: bool = True

    def __post_init__(self) -> None:
        """Raise :class:`AssayError` for values that cannot be."""
        if self.repeats < 1:
            raise AssayError(
                "the number of replies must be at least 1",
                place="judge.repeats", value=self.repeats, expected="≥ 1",
            )  # fmt: skip
        if self.grading not in ("type", "single"):
            raise AssayError(
                "no such grading", place="judge.grading", value=self.grading, expected="type or single"
            )
        if self.grading == "single" and self.rubrics is not None:
            raise AssayError(
                "own rubrics are by type", place="judge.rubrics", value=self.rubrics,
                expected="none beside grading: single", hint="leave one of the two out",
            )  # fmt: skip
        if self.mode not in ("json", "text", "logprobs"):
            raise AssayError(
                "no such mode", place="judge.mode", value=self.mode, expected="json, text or logprobs"
            )
        if self.language not in ("auto", *_LANGUAGES):
            raise AssayError(
                "no rubrics in this language",
                place="judge.language",
                value=self.language,
                expected="auto, en or zh",
            )

    @property
    def asked(self) -> int:
        """Return how many replies an answer gets."""
        return 1 if self.mode == "logprobs" else self.repeats

    @property
    def drawn(self) -> Sampling:
        """How replies are drawn."""
        if self.mode == "logprobs":
            return Sampling(0.0, 1.0, _NUMBER_TOKENS, self.seed, TOP)
        return Sampling(self.temperature, self.top_p, self.max_tokens, self.seed)

    def rubrics_in(self, language: str) -> Rubrics:
        """Return the rubrics of a language, with the user's own."""
        if self.grading == "single":
            return single(language)
        return rubrics(language, None if self.rubrics is None else Path(self.rubrics))


@dataclass(frozen=True, slots=True)
class Judged:
    """Judgements in the order of the items, and what the judge's replies were worth.

    ``replies`` counts the replies wanted, those to equal answers once; ``retried`` those that were asked for
    again because they did not fit the schema or could not be read; ``unparsed`` those that stayed so;
    ``failed`` the requests that got no reply at all, of which ``lost`` may get one when asked again: the
    budget had ended, or the server could not be reached.
    """

    judgements: tuple[Judgement, ...]
    version: str
    replies: int
    retried: int
    unparsed: int
    failed: int
    lost: int

    @property
    def alarm(self) -> bool:
        """Tell whether more than 1 % of the replies could not be read."""
        return self.unparsed > ALARM * (self.replies - self.failed)


def version(config: JudgeConfig) -> str:
    """Return what makes scores comparable: model, mode, repeats, digest of prompts, rubrics and sampling."""
    return _version(config, stamp(None if config.rubrics is None else Path(config.rubrics)))


@cache
def _version(config: JudgeConfig, state: tuple[int, int] | None) -> str:
    texts = [config.rubrics_in(name).digest for name in _LANGUAGES if config.language in ("auto", name)]
    parts = [
        PROMPT_VERSION, config.identity, config.mode, config.asked, config.language, config.drawn, texts
    ]  # fmt: skip
    single = "single " if config.grading == "single" else ""
    return f"{config.identity} {single}{config.mode}×{config.asked} v{PROMPT_VERSION} {digest(parts)[:12]}"


def rubric_for(item: Sample, config: JudgeConfig) -> tuple[Rubrics, Rubric]:
    """Return the texts and the rubric by which answers to an item are judged."""
    texts = config.rubrics_in(language_for(item, config.language))
    if config.grading == "single":
        return texts, texts.by_type[SINGLE_REFERENCE if item.answer else SINGLE]
    return texts, texts.of(item.type)


def requests(item: Sample, answer: str, config: JudgeConfig) -> list[Request]:
    """Return the requests that judge one answer, one a repeat.

    They hold the item's and the answer's texts alone, so that equal answers to an item cost once.
    """
    texts, rubric = rubric_for(item, config)
    number = config.mode == "logprobs"
    messages = texts.pointwise(item, answer, rubric, "number" if number else "json")
    schema = _schema(rubric) if config.mode == "json" else None
    return [Request(messages, config.drawn, schema, repeat) for repeat in range(config.asked)]


def _schema(rubric: Rubric) -> str:
    properties = {
        "reason": {"type": "string"},
        "score": {"type": "number", "enum": [_shortest(anchor.score) for anchor in rubric.anchors]},
    }
    return json.dumps(
        {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    )


def _shortest(score: float) -> float | int:
    """Return 1.0 as 1, as the prompt writes it: a server may hold the reply to the very letters."""
    return int(score) if score == int(score) else score


def read(item: Sample, outcomes: Sequence[Outcome], config: JudgeConfig) -> Judgement:
    """Return the judgement that replies to :func:`requests` make: the mean of those that could be read."""
    _, rubric = rubric_for(item, config)
    found = [_value(outcome, rubric, config) for outcome in outcomes]
    scores = tuple(None if isinstance(v, Unparsed) else v.score for v in found)
    had = [score for score in scores if score is not None]
    outside = [v.outside for v in found if isinstance(v, Expected)]
    problems = [v.reason for v in found if isinstance(v, Unparsed)]
    return Judgement(
        item=item.id,
        type=item.type or "untyped",
        group=item.group,
        method=version(config),
        score=math.fsum(had) / len(had) if had else None,
        reason=None if had else (problems[0] if problems else "not asked"),
        scores=scores,
        replies=tuple(o.text if isinstance(o, Reply) else o.problem for o in outcomes),
        rubric=rubric.type,
        unparsed=sum(_is_unparsed(o, v) for o, v in zip(outcomes, found, strict=True)),
        outside=math.fsum(outside) / len(outside) if outside and config.mode == "logprobs" else None,
        note=_note(item, rubric),
    )


def _note(item: Sample, rubric: Rubric) -> str | None:
    notes = []
    if rubric.type == GENERAL and item.type != GENERAL:
        notes.append("no rubric for this type: the general one")
    if rubric.needs_reference and not item.answer:
        notes.append("judged without the reference that its rubric asks for")
    return "; ".join(notes) or None


def _is_unparsed(outcome: Outcome, value: Expected | Unparsed) -> bool:
    if isinstance(outcome, Failure):
        return outcome.kind == "malformed"
    return isinstance(value, Unparsed)


def _value(outcome: Outcome, rubric: Rubric, config: JudgeConfig) -> Expected | Unparsed:
    if isinstance(outcome, Failure):
        return Unparsed(f"{outcome.kind}: {outcome.problem}")
    if config.mode == "logprobs":
        return expected_score(outcome.logprobs, rubric.units)
    score = parse_score(outcome.text, rubric.scale, cut=outcome.ended == "length")
    return score if isinstance(score, Unparsed) else Expected(rubric.scale.unit(score), 0.0)


def ask_all(
    chat: Chat,
    items: Sequence[Sample],
    answers: Sequence[str | None],
    config: JudgeConfig,
    advance: Advance | None = None,
) -> Judged:
    """Judge one answer an item; equal answers to one item, and all that was asked before, cost once.

    A reply that cannot be read is asked for once more and is then *unparsed*: never a number.  An answer of
    white space scores 0 unasked; a missing answer (None) has no score.  Raises :class:`AssayError` where the
    server gives no log-probabilities though they are the mode.
    """
    check_model(chat, config)
    known, wanted = _planned(items, answers, config)
    asked = {
        request.digest(chat.identity): (request, rubric_for(item, config)[1])
        for item, own in zip(items, wanted, strict=True)
        for request in own
    }
    outcomes = dict(_ask(chat, {key: request for key, (request, _) in asked.items()}, advance))
    _check_logprobs(outcomes.values(), config)
    again = {
        key: replace(request, repeat=request.repeat + _RETRY)
        for key, (request, rubric) in asked.items()
        if isinstance(outcomes[key], Reply) and isinstance(_value(outcomes[key], rubric, config), Unparsed)
    }
    second = dict(_ask(chat, again, advance))
    retried = {key for key, o in outcomes.items() if _tries(o) > 1} | {
        k for k, o in second.items() if _tries(o)
    }
    # A second failure leaves the first reply to be shown.
    outcomes |= {key: o for key, o in second.items() if isinstance(o, Reply)}
    judgements = tuple(
        read(item, [outcomes[r.digest(chat.identity)] for r in own], config) if found is None else found
        for item, own, found in zip(items, wanted, known, strict=True)
    )
    failures = [o.kind for o in outcomes.values() if isinstance(o, Failure)]
    return Judged(
        judgements=judgements,
        version=version(config),
        replies=len(outcomes),
        retried=len(retried),
        unparsed=sum(_is_unparsed(o, _value(o, asked[key][1], config)) for key, o in outcomes.items()),
        failed=sum(kind != "malformed" for kind in failures),
        lost=sum(kind in ("budget", "exhausted") for kind in failures),
    )


def _tries(outcome: Outcome) -> int:
    """Return how many replies a request got, usable or not: none where budget or server was at fault."""
    if isinstance(outcome, Reply):
        return outcome.tries
    return outcome.attempts if outcome.kind == "malformed" else 0


def estimate(
    chat: Chat, items: Sequence[Sample], answers: Sequence[str | None], config: JudgeConfig
) -> Estimate:
    """Return what :func:`ask_all` can cost at most, without retries; no question was given."""
    check_model(chat, config)
    _, wanted = _planned(items, answers, config)
    unique = {request.digest(chat.identity): request for own in wanted for request in own}
    return chat.estimate(list(unique.values()))


def _planned(
    items: Sequence[Sample], answers: Sequence[str | None], config: JudgeConfig
) -> tuple[list[Judgement | None], list[list[Request]]]:
    """Return for each item the judgement that needs no asking, or else the requests."""
    if len(items) != len(answers):
        raise AssayError(
            "the number of answers and items differs", value=f"{len(items)} items, {len(answers)} answers"
        )
    known = [_unasked(item, answer, config) for item, answer in zip(items, answers, strict=True)]
    wanted = [
        [] if found is not None else requests(item, answer or "", config)
        for item, answer, found in zip(items, answers, known, strict=True)
    ]
    return known, wanted


def _unasked(item: Sample, answer: str | None, config: JudgeConfig) -> Judgement | None:
    """Return the judgement of what need not be asked."""
    if answer is None:
        kind = item.type or "untyped"
        return Judgement(item.id, kind, item.group, version(config), None, "no answer")
    if config.exact and item.checker is not None:
        return judge(item, answer, CHECKER)
    if not answer.strip():
        kind = item.type or "untyped"
        return Judgement(item.id, kind, item.group, version(config), 0.0, note="empty answer: not asked")
    return None


def _ask(chat: Chat, wanted: dict[str, Request], advance: Advance | None) -> Iterator[tuple[str, Outcome]]:
    keys = list(wanted)
    if keys:
        for index, outcome in chat.ask(wanted.values(), most=REPLIES, advance=advance):
            yield keys[index], outcome


def check_model(chat: Chat, config: JudgeConfig) -> None:
    """Raise :class:`AssayError` where judgements would bear the name of another model than the one asked."""
    if chat.identity != config.identity:
        raise AssayError(
            "another model than the judge", place="judge.model", value=chat.identity, expected=config.identity
        )


def _check_logprobs(outcomes: Iterable[Outcome], config: JudgeConfig) -> None:
    replies = [o for o in outcomes if isinstance(o, Reply)]
    if config.mode == "logprobs" and replies and not any(reply.logprobs for reply in replies):
        raise AssayError(
            "the server gives no log-probabilities",
            place="judge.mode",
            value=config.mode,
            hint="use json, or text for a server without structured output",
        )
