"""A realistic result, built from a seed: 12 types, two arms, six rungs, three seeds, three metrics."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hostile import NASTY

from assay.core import (
    BASE_ARM,
    OVERALL,
    TASK_TYPES,
    Answer,
    AnswerSheet,
    ArmComparison,
    ArmRow,
    BalancePoint,
    Band,
    BestSize,
    Cost,
    CurveResult,
    DataSummary,
    DoubleDescent,
    Excluded,
    Gain,
    HeldOut,
    NextRuns,
    Point,
    RungAnswer,
    RunRow,
    SourceRow,
    StudyResult,
    Verdict,
    Worth,
)

ARMS = ("random", "balanced")
RUNGS = (100, 300, 1000, 3000, 10000, 30000)
SEEDS = (0, 1, 2)
METRICS = ("score", "loss", "bits_per_byte")
REFUSED = ("translation", "balanced")

_ANSWERS = {
    "en": ("The answer is 42.", "Two plus two makes four.", "", "I cannot say, but 17 seems close.\nSo: 17."),
    "zh": ("答案是四十二。", "二加二等于四。", "", "我不确定，可能是十七。\n所以：17。"),
}


def key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def level(kind: str, metric: str, n: float, arm: str) -> float:
    """The truth: how a type responds to n samples."""
    order = TASK_TYPES.index(kind) if kind in TASK_TYPES else 5
    rate = 0.03 + 0.05 * math.sin(order * 1.3) ** 2
    lift = rate * math.log10(1 + n / 60) * (1.06 if arm == "balanced" else 1.0)
    if order in (3, 6):
        lift = min(lift, 0.16)
    if order == 8:
        lift = 0.1 - 0.04 * math.log10(1 + n / 60)
    score = 0.12 + 0.045 * order + lift
    return {"score": min(score, 0.97), "loss": 3.1 - 2.2 * score, "bits_per_byte": 1.4 - 0.8 * score}[metric]


def build(language: str = "en") -> StudyResult:
    rng = random.Random(7)
    kinds = (OVERALL, *TASK_TYPES)
    return StudyResult(
        name="alpaca-pocket" if language == "en" else "中文数据研究",
        assay_version="0.1.0",
        language=language,
        base={"name": "bigscience/bloomz-7b1-mt", "digest": key("base"), "parameters": 7_069_016_064},
        recipe={
            "batch_size": 64,
            "epochs": 2,
            "learning_rate": 3e-6,
            "schedule": "constant",
            "weight_decay": 0.001,
            "gradient_checkpointing": False,
            "trainer": "full",
        },
        question={"satisfied_at": 0.6, "smallest_gain": 0.01},
        pool=_pool(),
        evaluation=_evaluation(),
        arms=(
            ArmRow(BASE_ARM, "no training", (0,), (0,)),
            ArmRow("random", "uniform over the pool", RUNGS, SEEDS),
            ArmRow(
                "balanced", "equal counts of each source", RUNGS, SEEDS, "equals random at 30,000: whole pool"
            ),
        ),
        points=tuple(_points(kinds, rng)),
        curves=tuple(_curve(k, a, m) for k in kinds for a in ARMS for m in METRICS),
        comparisons=tuple(_comparisons(kinds, rng)),
        runs=tuple(_runs(rng)),
        cost=Cost(532_800, 799_200, 96_412_000, 15_870.0, 2_412.5, "2 × NVIDIA H200 (bf16)"),
        answers=tuple(_answers(rng)),
        answer=_answer(),
        notes=(_NOTE[language],),
        worth=tuple(_worth(kinds)),
        descents=tuple(_descents(kinds)),
        balances=tuple(_balances(kinds)),
        held_out=tuple(
            HeldOut(kind, "random", "score", RUNGS[-1], 0.5 + 0.01 * k, 0.44, 0.58)
            for k, kind in enumerate(kinds)
        ),
    )


def _worth(kinds: tuple[str, ...]) -> Iterator[Worth]:
    for k, kind in enumerate(kinds):
        for arm in ARMS:
            gain = Gain(30_000, 31_000, 0.0021 - 0.0003 * k, 0.0004 - 0.0003 * k, 0.0043 - 0.0003 * k)
            yield Worth(kind, arm, "score", gain, gain.gain / 12.5, None if k == 2 else 0.3)


def _descents(kinds: tuple[str, ...]) -> Iterator[DoubleDescent]:
    for k, kind in enumerate(kinds):
        named = (kind, "random", "score")
        yield (
            DoubleDescent(*named, "nominated", None, 1000, 3000, 0.034, 0.012, None, 0.02, True, 4),
            DoubleDescent(*named, "confirmed", None, 1000, 3000, 0.034, 0.012, 0.003, 0.02, False, 0),
            DoubleDescent(*named, "not seen", None, rise=0.0, p=1.0, visible_rise=0.009),
            DoubleDescent(*named, "cannot tell", "few_rungs"),
            DoubleDescent(*named, "cannot tell", "weak", 1000, 3000, 0.004, 0.44, None, None, False, 4),
        )[k % 5]


def _balances(kinds: tuple[str, ...]) -> Iterator[BalancePoint]:
    for k, kind in enumerate(kinds):
        pair = ("balanced", "random", kind, "score")
        yield (
            BalancePoint(*pair, "meet", 9120, 4000, 20_000, 0.01, by_construction=False),
            BalancePoint(*pair, "meet", 25_000, 14_000, None, 0.01, by_construction=True),
            BalancePoint(*pair, "a stays ahead", None, None, None, 0.01, by_construction=None),
            BalancePoint(*pair, "undecided", None, 6000, None, 0.01, by_construction=None),
        )[k % 4]


def _answer() -> Answer:
    words: dict[str, list[str]] = {}
    for kind in TASK_TYPES:
        words.setdefault(_verdict(kind, "score", "random").word, []).append(kind)
    types = {word: tuple(kinds) for word, kinds in words.items()}
    return Answer("score", "random", "as good", RUNGS[-1], _verdict(OVERALL, "score", "random"), **types)


_NOTE = {
    "en": "arm mined was left out: its rule needs an encoder that is not installed",
    "zh": "方案 mined 未纳入：它的规则需要未安装的编码器",
}


def _points(kinds: tuple[str, ...], rng: random.Random) -> Iterator[Point]:
    for kind in kinds:
        for metric in METRICS:
            yield Point(
                kind,
                0,
                0,
                metric,
                level(kind, metric, 0, "random") - 0.02,
                24,
                0.05,
                BASE_ARM,
                key("base", "eval"),
            )
            for arm in ARMS:
                for n in RUNGS:
                    for seed in SEEDS:
                        value = level(kind, metric, n, arm) + rng.gauss(0, 0.012)
                        se = None if seed == 2 and n == 100 else 0.04
                        yield Point(kind, n, seed, metric, value, 24, se, arm, key(arm, n, seed))


def _curve(kind: str, arm: str, metric: str) -> CurveResult:
    if (kind, arm) == REFUSED:
        return CurveResult(kind, arm, metric, None, None, {}, refused="few_rungs")
    grid = sorted({*(100 * (4 * RUNGS[-1] / 100) ** (i / 59) for i in range(60)), float(RUNGS[-1])})
    mean = [level(kind, metric, n, arm) for n in grid]
    wide = [0.02 + (0.03 * math.log2(max(1.0, n / RUNGS[-1]))) for n in grid]
    low = tuple(m - w for m, w in zip(mean, wide, strict=True))
    high = tuple(m + w for m, w in zip(mean, wide, strict=True))
    band = Band(tuple(grid), tuple(mean), low, high, float(RUNGS[-1]))
    satisfied = 3000.0 if metric == "score" and kind in TASK_TYPES[6:10] else None
    return CurveResult(
        kind,
        arm,
        metric,
        band,
        _verdict(kind, metric, arm),
        {"power law": 0.61, "logistic": 0.3, "flat": 0.09},
        None,
        satisfied,
        best=BestSize(None if kind == "code" else 9000, 3000, 30_000, "undecided", 0.4),
        excluded=(Excluded(100, 5, None, "not_finite"),) if kind == "math" else (),
    )


def _verdict(kind: str, metric: str, arm: str) -> Verdict:
    sign = 1 if metric == "score" else -1
    gain = sign * (level(kind, metric, 60_000, arm) - level(kind, metric, 30_000, arm))
    order = TASK_TYPES.index(kind) if kind in TASK_TYPES else 0
    if order in (3, 6):
        return Verdict("plateau", gain, gain - 0.006, gain + 0.006, 0.03, 0.95, 0.02, 0.01)
    if order == 8:
        return Verdict("falling", gain, gain - 0.01, gain + 0.009, 0.0, 0.07, 0.93, 0.01)
    if order in (5, 11):
        more = NextRuns(30_000 if order == 5 else 60_000, 3, 0.72)
        return Verdict("undecided", gain, gain - 0.03, gain + 0.03, 0.55, 0.35, 0.1, 0.01, more)
    return Verdict("rising", gain, gain - 0.012, gain + 0.013, 0.997, 0.003, 0.0, 0.01)


def _comparisons(kinds: tuple[str, ...], rng: random.Random) -> Iterator[ArmComparison]:
    words = ("better", "worse", "as good", "undecided")
    for metric in METRICS:
        for i, kind in enumerate(kinds):
            for n in RUNGS:
                d = rng.gauss(0.004, 0.01)
                word, correction = words[i % 4], "holm" if kind == OVERALL else "bh"
                yield ArmComparison(
                    "balanced",
                    "random",
                    n,
                    kind,
                    metric,
                    d,
                    d - 0.015,
                    d + 0.015,
                    3,
                    0.01,
                    word,
                    0.03,
                    0.09,
                    correction,  # type: ignore[arg-type]
                )


def _runs(rng: random.Random) -> Iterator[RunRow]:
    for arm in ARMS:
        for n in RUNGS:
            for seed in SEEDS:
                steps = range(0, 2 * n + 1, max(1, n // 30))
                trace = tuple((s, 1.1 + 1.6 * math.exp(-s / 4000) + rng.gauss(0, 0.04)) for s in steps)
                yield RunRow(key(arm, n, seed), arm, seed, n, n, 2 * n, 180 * n, 0.4 * n, trace)


def _answers(rng: random.Random) -> Iterator[AnswerSheet]:
    for kind in TASK_TYPES:
        for item in range(2):
            tongue = ("en", "zh")[item]
            answers = [RungAnswer(BASE_ARM, 0, 0, "…", 0.0, key("base", "eval"))]
            for arm in ARMS:
                for n in RUNGS:
                    score = None if n == 300 else round(rng.random(), 2)
                    answers.append(RungAnswer(arm, n, 0, rng.choice(_ANSWERS[tongue]), score, key(arm, n, 0)))
            prompt = {
                "en": "What is two plus two?\n\nAnswer with one word.",
                "zh": "二加二等于几？请用一个词回答。",
            }
            reference = None if kind == "brainstorming" else {"en": "four", "zh": "四"}[tongue]
            yield AnswerSheet(kind, key(kind, item)[:32], prompt[tongue], reference, tuple(answers))


def _pool() -> DataSummary:
    sources = (
        SourceRow(
            "data/alpaca.jsonl.gz", "alpaca (instruction, input, output)", 52_002, 51_480, 31, 491, key("a")
        ),
        SourceRow(
            "data/belle/train_0.5M_CN.jsonl.zst",
            "belle (instruction, output)",
            20_000,
            19_120,
            0,
            880,
            key("b"),
        ),
    )
    return DataSummary(
        sources,
        70_588,
        {kind: 9_000 - 700 * i for i, kind in enumerate(TASK_TYPES)},
        {"en": 51_480, "zh": 19_108},
        {"alpaca": 51_480, "belle": 19_108},
        {"min": 1.0, "p10": 21.0, "p50": 187.0, "p90": 914.0, "max": 4_181.0},
        12,
    )


def _evaluation() -> DataSummary:
    sources = (SourceRow("eval.jsonl", "assay items", 288, 288, 0, 0, key("e")),)
    return DataSummary(
        sources,
        288,
        dict.fromkeys(TASK_TYPES, 24),
        {"en": 144, "zh": 144},
        {"eval": 288},
        {"min": 1.0, "p10": 2.0, "p50": 14.0, "p90": 80.0, "max": 210.0},
    )


def poisoned() -> StudyResult:
    """The same result with markup in every name and text that a user's data could bring."""
    result = build()
    kind = NASTY
    curves = tuple(replace(c, type=kind) if c.type == "math" else c for c in result.curves)
    points = tuple(replace(p, type=kind) if p.type == "math" else p for p in result.points)
    sheet = result.answers[0]
    answers = tuple(replace(a, answer=NASTY) for a in sheet.answers)
    return replace(
        result,
        name=NASTY,
        points=tuple(replace(p, arm=NASTY) if p.arm == "balanced" else p for p in points),
        curves=tuple(replace(c, arm=NASTY) if c.arm == "balanced" else c for c in curves),
        arms=tuple(
            replace(a, name=NASTY, rule=NASTY, note=NASTY) if a.name == "balanced" else a for a in result.arms
        ),
        runs=tuple(replace(r, arm=NASTY) if r.arm == "balanced" else r for r in result.runs),
        comparisons=tuple(replace(c, a=NASTY, type=kind) for c in result.comparisons),
        answers=(replace(sheet, type=kind, item=NASTY, prompt=NASTY, reference=NASTY, answers=answers),),
        base={NASTY: NASTY},
        recipe={NASTY: NASTY},
        pool=replace(
            result.pool,
            by_type={NASTY: 3},
            by_language={NASTY: 3},
            by_source={NASTY: 3},
            sources=(replace(result.pool.sources[0], place=NASTY, detected=NASTY),),
        ),
        cost=replace(result.cost, device=NASTY),
        notes=(NASTY,),
    )


@pytest.fixture(scope="session")
def result() -> StudyResult:
    return build()


@pytest.fixture(scope="session")
def chinese() -> StudyResult:
    return build("zh")


@pytest.fixture(scope="session")
def nasty() -> StudyResult:
    return poisoned()
