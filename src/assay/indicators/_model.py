"""Indicators that a model gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple
from functools import cache

from assay import model
from assay.core import Sample, digest
from assay.indicators._diversity import mtld
from assay.indicators._indicator import Indicator, Measure, Undefined, Value
from assay.indicators._neighbours import neighbours
from assay.indicators._tools import Tools, prompt, whole

_CUT = Undefined("no answer, or the prompt alone is too long for the model")
_NO_ANSWER = Undefined("no answer")
_NO_HELP = Undefined("the prompt makes the answer no easier")
_WARM_UP = 0.05
_WARM_UP_MOST = 5000

Made = tuple[Measure, str]


def _defined(values: Sequence[float | None], reason: Undefined = _CUT) -> list[Value]:
    return [reason if value is None else value for value in values]


def _exp(loss: float) -> float:
    return math.exp(min(loss, 700.0))


def _ppl(tools: Tools, _: Iterable[Sample]) -> Made:
    losses = tools.base

    def measure(samples: Sequence[Sample]) -> list[Value]:
        return [_CUT if loss is None else _exp(loss) for loss in losses.of(samples)]

    return measure, losses.revision


def _tokens(of: Callable[[Sample], str | None]) -> Callable[[Tools, Iterable[Sample]], Made]:
    """Return the maker of a length in the base model's tokens, without marks and template."""

    def make(tools: Tools, _: Iterable[Sample]) -> Made:
        def measure(samples: Sequence[Sample]) -> list[Value]:
            rows = _in_tokens(tools, map(of, samples))
            return [_NO_ANSWER if row is None else float(len(row)) for row in rows]

        return measure, tools.base.revision

    return make


def _in_tokens(tools: Tools, texts: Iterable[str | None]) -> list[list[int] | None]:
    found = list(texts)
    spoken = [text for text in found if text]
    tokenizer = tools.base.tokenizer
    ids = iter(tokenizer(spoken, add_special_tokens=False)["input_ids"] if spoken else ())
    return [None if text is None else next(ids) if text else [] for text in found]


def _mtld_tokens(tools: Tools, _: Iterable[Sample]) -> Made:
    def measure(samples: Sequence[Sample]) -> list[Value]:
        rows = _in_tokens(tools, (s.answer for s in samples))
        return [mtld(list(map(str, row)), unit="tokens") if row else _NO_ANSWER for row in rows]

    return measure, tools.base.revision


def _ratio(
    given: model.Given, of: Callable[[float, float], float]
) -> Callable[[Tools, Iterable[Sample]], Made]:
    """Return the maker of an instruction-following difficulty: after the prompt, and after ``given``.

    Above 1 prompt and answer do not belong together: both papers drop such samples.
    """

    def make(tools: Tools, _: Iterable[Sample]) -> Made:
        losses = tools.base

        def measure(samples: Sequence[Sample]) -> list[Value]:
            found: list[Value] = []
            for after, alone in zip(losses.of(samples), losses.of(samples, given), strict=True):
                if after is None or not alone:
                    found.append(_CUT)
                else:
                    found.append(of(after, alone) if after <= alone else _NO_HELP)
            return found

        return measure, losses.revision

    return make


def _loss_gap(tools: Tools, _: Iterable[Sample]) -> Made:
    first, second = tools.base, tools.second

    def measure(samples: Sequence[Sample]) -> list[Value]:
        pairs = zip(first.of(samples), second.of(samples), strict=True)
        return [_CUT if a is None or b is None else a - b for a, b in pairs]

    return measure, digest([first.revision, second.revision])


def _reward(tools: Tools, _: Iterable[Sample]) -> Made:
    grade, revision = tools.reward
    return lambda samples: _defined(grade(samples), _NO_ANSWER), revision


def _question(name: str) -> Callable[[Tools, Iterable[Sample]], Made]:
    def make(tools: Tools, _: Iterable[Sample]) -> Made:
        dimensions, revision = tools.dialog
        grade = dimensions(name)
        return lambda samples: _defined(grade(samples), _NO_ANSWER), revision

    return make


def _looked_up(ids: Sequence[str], values: Sequence[float], reason: Undefined) -> Measure:
    """Return a measure that knows its values beforehand."""
    found = dict(zip(ids, values, strict=True))

    def measure(samples: Sequence[Sample]) -> list[Value]:
        values = (found.get(sample.id, math.inf) for sample in samples)
        return [value if math.isfinite(value) else reason for value in values]

    return measure


def _knn(tools: Tools, pool: Iterable[Sample]) -> Made:
    ids: list[str] = []
    k = tools.models.neighbour
    distances, _ = neighbours(tools.embed(_noting(pool, ids)), k)
    few = Undefined(f"fewer than {k} other samples")
    return _looked_up(ids, distances[:, k - 1].tolist(), few), ""


def _knn_reference(tools: Tools, _: Iterable[Sample]) -> Made:
    k = tools.models.neighbour
    near = tools.embed(map(whole, tools.reference()))
    few = Undefined(f"fewer than {k} reference samples (--reference)")

    def measure(samples: Sequence[Sample]) -> list[Value]:
        distances, _ = neighbours(tools.embed(map(whole, samples)), k, near)
        return [float(d) if math.isfinite(d) else few for d in distances[:, k - 1]]

    return measure, ""


def _noting(pool: Iterable[Sample], ids: list[str]) -> Iterable[str]:
    for sample in pool:
        ids.append(sample.id)
        yield whole(sample)


def _miwv(tools: Tools, pool: Iterable[Sample]) -> Made:
    """Loss of the answer with the nearest other sample as an example before it, minus the loss without."""
    samples = list({s.id: s for s in pool if s.answer}.values())
    _, rows = neighbours(tools.embed(map(prompt, samples)), 1)
    nearest = {s.id: samples[row] for s, row in zip(samples, rows[:, 0].tolist(), strict=True) if row >= 0}
    losses = tools.base

    def shown(sample: Sample) -> Sample:
        example = nearest[sample.id]
        return Sample.single(f"{prompt(example)}\n\n{example.answer}\n\n{prompt(sample)}", sample.answer)

    def measure(batch: Sequence[Sample]) -> list[Value]:
        usable = [s for s in batch if s.id in nearest]
        plain = dict(zip((s.id for s in usable), losses.of(usable), strict=True))
        helped = dict(zip((s.id for s in usable), losses.of(list(map(shown, usable))), strict=True))
        return [_difference(helped.get(s.id), plain.get(s.id)) for s in batch]

    return measure, digest([losses.revision, tools.embedder.revision, sorted(nearest)])


def _difference(a: float | None, b: float | None) -> Value:
    return _CUT if a is None or b is None else a - b


def _rds(tools: Tools, _: Iterable[Sample]) -> Made:
    losses, target = tools.base, tools.target("rds")
    limit = tools.models.max_tokens
    wanted = model.hidden_means(losses.model, losses.tokenizer, target, max_tokens=limit)

    def measure(samples: Sequence[Sample]) -> list[Value]:
        found = model.hidden_means(losses.model, losses.tokenizer, samples, max_tokens=limit)
        return [float(v) for v in (found @ wanted.T).max(axis=1)]

    return measure, digest([losses.revision, _digest(target)])


def _less(tools: Tools, pool: Iterable[Sample]) -> Made:
    """Warm-up on 5 % of the pool, drawn by the digest of what samples say, when the first is measured."""
    target = tools.target("less")
    drawn = sorted((s for s in pool if s.answer and int(s.id[:8], 16) < _WARM_UP * 2**32), key=lambda s: s.id)
    warm_up = drawn[:_WARM_UP_MOST] or list(target)
    settings = model.InfluenceSettings(max_tokens=tools.models.max_tokens)
    base = model.resolve_base(tools.models.base)

    @cache
    def influence() -> model.Influence:
        return model.Influence(base, warm_up, target, settings, tools.advance)

    revision = digest([tools.base.revision, _digest(warm_up), _digest(target), list(astuple(settings))])
    return lambda samples: _defined(influence().score(samples)), revision


def _digest(samples: Iterable[Sample]) -> str:
    return digest([sample.id for sample in samples])


_TABLE = "INSTRUCTMINING (2307.06290), table 1"
_UNIEVAL = f"{_TABLE}; Zhong et al. 2022 (2210.07197)"
MODEL_INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        "tokens_in", 1, "tokens", 0, ("base",), f"{_TABLE}: Len_in, of the prompt's text",
        make=_tokens(prompt),
    ),
    Indicator(
        "tokens_out", 2, "tokens", 1, ("base",), f"{_TABLE}: Len_out, of the answer's text",
        make=_tokens(lambda sample: sample.answer),
    ),
    Indicator(
        "mtld_tokens", 1, "tokens", 1, ("base",), "McCarthy & Jarvis 2010, over the base model's tokens",
        make=_mtld_tokens,
    ),
    Indicator("ppl", 2, "ratio", 0, ("base",), f"{_TABLE}: PPL, no end mark", make=_ppl),
    Indicator(
        "ifd", 3, "ratio", 1, ("base",), "Li et al. 2024 (2308.12032), equation 4, as their code has it",
        make=_ratio("header", lambda a, b: a / b),
    ),
    Indicator(
        "ifd_ppl", 2, "ratio", 1, ("base",), "Superfiltering, Li et al. 2024 (2402.00530), equation 3",
        make=_ratio("nothing", lambda a, b: _exp(a - b)),
    ),
    Indicator(
        "loss_gap", 2, "nats/token", 1, ("base", "second"), "Mindermann et al. 2022 (2206.07137), equation 3",
        make=_loss_gap,
    ),
    Indicator(
        "miwv", 2, "nats/token", 1, ("base", "embedder", "pool"), "Jiang et al. 2025 (2511.07074)", make=_miwv
    ),
    Indicator("reward", 1, "model's own", 1, ("reward",), f"{_TABLE}: Rew", make=_reward),
    Indicator("knn", 1, "distance", 1, ("embedder", "pool"), f"{_TABLE}: KNN_i, i = 6", make=_knn),
    Indicator(
        "knn_reference", 1, "distance", 0, ("embedder", "reference"), f"{_TABLE}: KNN_i, to a reference",
        make=_knn_reference,
    ),
    Indicator("naturalness", 1, "share", 1, ("dialog",), f"{_UNIEVAL}: Nat", make=_question("naturalness")),
    Indicator("coherence", 1, "share", 1, ("dialog",), f"{_UNIEVAL}: Coh", make=_question("coherence")),
    Indicator(
        "understandability", 1, "share", 1, ("dialog",), f"{_UNIEVAL}: Und",
        make=_question("understandability"),
    ),
    Indicator("rds", 1, "cosine", 1, ("base", "target"), "RDS+, Ivison et al. 2025 (2503.01807)", make=_rds),
    Indicator(
        "less", 2, "cosine", 1, ("base", "target", "pool"),
        "Xia et al. 2024 (2402.04333), section 3, as their code has it", make=_less,
    ),
)  # fmt: skip
"""Indicators that need models."""
