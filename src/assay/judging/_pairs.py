"""Two answers beside each other, asked for in both orders: for finalists, not for ladders."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from scipy.special import stdtrit

from assay.core import AssayError, Sample
from assay.judging._agree import PositionBias, position_bias
from assay.judging._ask import REPLIES, JudgeConfig, Outcome, check_model, rubric_for, version
from assay.judging._better import Better, parse_better
from assay.judging._judge import clustered
from assay.judging._scale import Unparsed
from assay.llm import Advance, Estimate, Failure, Reply, Request, Sampling

if TYPE_CHECKING:
    from assay.llm import Chat

Winner: TypeAlias = Literal["a", "b", "tie"]

_RETRY = 1000
_SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "better": {"type": "string", "enum": ["A", "B", "tie"]}},
        "required": ["reason", "better"],
        "additionalProperties": False,
    }
)


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two answers to an item is better, after both orders.

    ``shown`` are the verdicts by place (``A`` first) with answer a first, then with answer b first.  Both for
    one answer: it wins; otherwise a tie.  None, with the reason, where a verdict is missing.
    """

    item: str
    type: str
    group: str | None
    method: str
    better: Winner | None
    shown: tuple[Better | None, Better | None]
    replies: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PairSummary:
    """How often a is better: ties count half; the interval is clustered by group.

    ``position`` is None where no pair was asked about in both orders.
    """

    type: str
    n: int
    wins: int
    ties: int
    losses: int
    missing: int
    rate: float
    low: float | None
    high: float | None
    position: PositionBias | None


def pair_requests(item: Sample, a: str, b: str, config: JudgeConfig) -> tuple[Request, Request]:
    """Return the requests that compare two answers, a shown first and b shown first."""
    texts, rubric = rubric_for(item, config)
    sampling = Sampling(config.temperature, config.top_p, config.max_tokens, config.seed)
    schema = None if config.mode == "text" else _SCHEMA
    first, second = (
        Request(texts.pairwise(item, x, y, rubric), sampling, schema) for x, y in ((a, b), (b, a))
    )
    return first, second


def read_pair(item: Sample, outcomes: Sequence[Outcome], config: JudgeConfig) -> Preference:
    """Return what the replies in both orders make together."""
    read = [_verdict(outcome) for outcome in outcomes]
    shown = tuple(None if isinstance(v, Unparsed) else v for v in read)
    problem = next((v.reason for v in read if isinstance(v, Unparsed)), None)
    return Preference(
        item=item.id,
        type=item.type or "untyped",
        group=item.group,
        method=f"pairwise {version(config)}",
        better=None if problem else _both(*shown),
        shown=(shown[0], shown[1]),
        replies=tuple(o.text if isinstance(o, Reply) else o.problem for o in outcomes),
        reason=problem,
    )


def _both(first: Better | None, second: Better | None) -> Winner:
    if (first, second) == ("A", "B"):
        return "a"
    return "b" if (first, second) == ("B", "A") else "tie"


def _verdict(outcome: Outcome) -> Better | Unparsed:
    if isinstance(outcome, Failure):
        return Unparsed(f"{outcome.kind}: {outcome.problem}")
    return parse_better(outcome.text)


def compare_estimate(
    chat: Chat, items: Sequence[Sample], a: Sequence[str], b: Sequence[str], config: JudgeConfig
) -> Estimate:
    """Return what :func:`compare_all` can cost at most, without retries; nothing is sent."""
    return chat.estimate([request for row in _rows(items, a, b, config) for request in row])


def _rows(
    items: Sequence[Sample], a: Sequence[str], b: Sequence[str], config: JudgeConfig
) -> list[tuple[Request, ...]]:
    """Return the requests of each pair; equal answers are not asked about."""
    return [
        () if x.strip() == y.strip() else pair_requests(item, x, y, config)
        for item, x, y in zip(items, a, b, strict=True)
    ]


def compare_all(
    chat: Chat,
    items: Sequence[Sample],
    a: Sequence[str],
    b: Sequence[str],
    config: JudgeConfig,
    advance: Advance | None = None,
) -> list[Preference]:
    """Compare two answers an item in both orders; equal answers are a tie unasked.

    An unreadable reply is asked for once more; then the pair has no verdict.
    """
    if not len(items) == len(a) == len(b):
        raise AssayError(
            "not two answers an item", value=f"{len(items)} items, {len(a)} and {len(b)} answers"
        )
    check_model(chat, config)
    rows = _rows(items, a, b, config)
    wanted = {request.digest(chat.identity): request for row in rows for request in row}
    outcomes = _asked(chat, wanted, advance)
    bad = {
        key: replace(wanted[key], repeat=_RETRY)
        for key, o in outcomes.items()
        if isinstance(o, Reply) and isinstance(_verdict(o), Unparsed)
    }
    outcomes |= {key: o for key, o in _asked(chat, bad, advance).items() if isinstance(o, Reply)}
    return [
        read_pair(item, [outcomes[r.digest(chat.identity)] for r in row], config)
        if row
        else _same(item, config)
        for item, row in zip(items, rows, strict=True)
    ]


def _asked(chat: Chat, wanted: dict[str, Request], advance: Advance | None) -> dict[str, Outcome]:
    keys = list(wanted)
    if not keys:
        return {}
    return {keys[i]: outcome for i, outcome in chat.ask(wanted.values(), most=REPLIES, advance=advance)}


def _same(item: Sample, config: JudgeConfig) -> Preference:
    kind = item.type or "untyped"
    method = f"pairwise {version(config)}"
    return Preference(
        item.id, kind, item.group, method, "tie", (None, None), reason="equal answers: not asked"
    )


def summarise_pairs(preferences: Iterable[Preference], *, level: float = 0.9) -> list[PairSummary]:
    """Return wins, ties and losses of a by type, with the rate of wins and the judge's position bias."""
    by_type: dict[str, list[Preference]] = {}
    for preference in preferences:
        by_type.setdefault(preference.type, []).append(preference)
    return [_summary(kind, rows, level) for kind, rows in by_type.items()]


def _summary(kind: str, rows: list[Preference], level: float) -> PairSummary:
    worth = {"a": 1.0, "tie": 0.5, "b": 0.0}
    scored = [(row.group or row.item, worth[row.better]) for row in rows if row.better is not None]
    counts = {word: sum(row.better == word for row in rows) for word in worth}
    mean, se = clustered(scored) if scored else (math.nan, None)
    clusters = len({group for group, _ in scored})
    reach = None if se is None else float(stdtrit(clusters - 1, 0.5 + level / 2)) * se
    places = {"A": "first", "B": "second", "tie": "tie"}
    both = [(places[x], places[y]) for x, y in (row.shown for row in rows) if x is not None and y is not None]
    return PairSummary(
        type=kind,
        n=len(scored),
        wins=counts["a"],
        ties=counts["tie"],
        losses=counts["b"],
        missing=len(rows) - len(scored),
        rate=mean,
        low=None if reach is None else max(0.0, mean - reach),
        high=None if reach is None else min(1.0, mean + reach),
        position=position_bias([x for x, _ in both], [y for _, y in both]) if both else None,
    )
