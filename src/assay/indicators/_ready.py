"""Find indicators by name and give them what they need."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from assay.core import AssayError, Sample, digest
from assay.indicators._cache import Cache, Stored
from assay.indicators._indicator import Indicator, Measure, Undefined, Value
from assay.indicators._model import MODEL_INDICATORS
from assay.indicators._pool import POOL_INDICATORS
from assay.indicators._provenance import ModelId, models_used, other_models
from assay.indicators._rule import RULES, Rule, as_indicator, read_rule
from assay.indicators._text import TEXT_INDICATORS
from assay.indicators._tools import DEFAULT, Models, Tools

_PIECE = 256
_SETTINGS = ("base", "second", "reward", "dialog", "embedder", "neighbour", "template")
_SLOW = frozenset({"base", "second", "reward", "dialog"})

INDICATORS: Mapping[str, Indicator] = {
    i.name: i for i in (*TEXT_INDICATORS, *POOL_INDICATORS, *MODEL_INDICATORS)
}
"""All indicators by name."""


def find(name: str) -> Indicator | Rule:
    """Return an indicator, a published rule, or the rule in a file that ends in .json."""
    if name in INDICATORS:
        return INDICATORS[name]
    if name in RULES:
        return RULES[name]
    if name.endswith(".json"):
        rule = read_rule(Path(name))
        for part in rule.coefficients:
            if part not in INDICATORS:
                raise AssayError("the rule takes an unknown indicator", place=name, value=part)
        return rule
    raise AssayError(
        "no such indicator",
        value=name,
        expected="one of " + ", ".join((*INDICATORS, *RULES)) + ", a rule's file",
    )


def direction(name: str) -> int:
    """Return +1 where more of an indicator is held to be better or nothing is held, -1 where less is."""
    return find(name).direction or 1


def needs(name: str) -> tuple[str, ...]:
    """Return what an indicator or rule needs beyond the text: base, embedder, pool ..."""
    found = find(name)
    if isinstance(found, Indicator):
        return found.needs
    return tuple(dict.fromkeys(need for part in found.coefficients for need in INDICATORS[part].needs))


def version(name: str) -> str:
    """Return what changes whenever values of an indicator or rule do, models and pool apart."""
    found = find(name)
    if isinstance(found, Indicator):
        return str(found.version)
    return digest([found.revision, {part: INDICATORS[part].version for part in found.coefficients}])


def ready(
    names: Sequence[str],
    models: Models = DEFAULT,
    pool: Iterable[Sample] = (),
    *,
    told: Callable[[int], None] = lambda done: None,
) -> list[Indicator]:
    """Return indicators that can measure, those of the text for no names.

    Those of models go through a batch by length, a few hundred samples at a time: what is measured is in the
    cache from then on, and ``told`` how many samples that were.

    Models are loaded, and indicators that need the whole ``pool`` go through it: it has to be a collection
    or another iterable that can be gone through again, and hold the samples that will be measured.
    Raises :class:`AssayError` for an unknown name, and where a model or the target samples are not there.
    """
    tools = Tools(models)
    made: dict[str, Indicator] = {}

    def get(name: str) -> Indicator:
        if name not in made:
            made[name] = _made(INDICATORS[name], tools, pool, told)
        return made[name]

    found = []
    for name in names or [i.name for i in TEXT_INDICATORS]:
        wanted = find(name)
        if isinstance(wanted, Rule):
            with _explained(wanted, models):
                parts = [get(part) for part in wanted.coefficients]
            found.append(as_indicator(wanted, parts, _others(wanted, tools)))
        else:
            found.append(get(name))
    return found


def said_of(name: str, models: Models = DEFAULT) -> tuple[str, ...]:
    """Return what has to be said of a rule before it measures: its warnings, and models not its own.

    Nothing for an indicator.  Raises :class:`AssayError` where a rule would be applied with other models than
    its own and nobody insists.
    """
    found = find(name)
    if isinstance(found, Indicator):
        return ()
    others = _others(found, Tools(models))
    return (*(f"{found.name}: {text}" for text in found.warnings), *others)


def used_by(names: Sequence[str], models: Models = DEFAULT) -> dict[str, ModelId]:
    """Return by setting which models (template, target samples ...) indicators take, by name and digest."""
    return models_used([INDICATORS[name] for name in names], Tools(models))


def _others(rule: Rule, tools: Tools) -> tuple[str, ...]:
    if not rule.models:
        return ()
    used = models_used([INDICATORS[part] for part in rule.coefficients], tools)
    return other_models(rule.name, rule.models, used, forced=tools.models.other_models)


@contextmanager
def _explained(rule: Rule, models: Models) -> Iterator[None]:
    """Say which models a rule was fitted with, where it cannot be had without them."""
    try:
        yield
    except AssayError as error:
        fitted = ", ".join(f"--{name} {one.name}" for name, one in rule.models.items() if name in _SETTINGS)
        raise AssayError(
            f"the rule {rule.name} cannot be applied: {error.problem}",
            place=error.place,
            value=error.value,
            expected=error.expected,
            hint=f"it was fitted with {fitted}" if fitted else error.hint,
        ) from None


def _made(
    indicator: Indicator, tools: Tools, pool: Iterable[Sample], told: Callable[[int], None]
) -> Indicator:
    if indicator.make is None:
        return indicator
    if "pool" in indicator.needs and iter(pool) is pool:
        raise AssayError(
            "the pool can be read only once",
            place=f"indicator {indicator.name}",
            expected="a list or a data set",
        )
    measure, revision = indicator.make(tools, pool)
    folder = tools.models.cache
    cache = None
    if folder is not None and revision:
        cache = Cache(folder, f"{indicator.name}-v{indicator.version}-{revision[:16]}")
    if _SLOW & set(indicator.needs):
        measure = _in_pieces(measure, cache, told)
    return dataclasses.replace(indicator, measure=measure, revision=revision)


def slow_parts(name: str) -> int:
    """Return for how many indicators, of a rule or one alone, a model goes over each sample's text."""
    found = find(name)
    parts = [found] if isinstance(found, Indicator) else [INDICATORS[part] for part in found.coefficients]
    return sum(bool(_SLOW & set(part.needs)) for part in parts)


def _in_pieces(measure: Measure, cache: Cache | None, told: Callable[[int], None]) -> Measure:
    """Measure what the cache does not know, by length and in pieces; reasons are remembered like values.

    Texts of like length are padded little, and a kill loses one piece.
    """

    def pieces(samples: Sequence[Sample]) -> list[Value]:
        ids = [sample.id for sample in samples]
        known = {} if cache is None else cache.get(ids)
        missing = {i: s for i, s in zip(ids, samples, strict=True) if i not in known}
        told(len(samples) - len(missing))
        stream = iter(sorted(missing.values(), key=lambda s: sum(len(m.content) for m in s.messages)))
        while piece := list(islice(stream, _PIECE)):
            fresh: dict[str, Stored] = {
                s.id: v.reason if isinstance(v, Undefined) else v
                for s, v in zip(piece, measure(piece), strict=True)
            }
            if cache is not None:
                cache.put(fresh)
            known |= fresh
            told(len(piece))
        return [_value(known[i]) for i in ids]

    return pieces


def _value(stored: Stored) -> Value:
    return Undefined(stored) if isinstance(stored, str) else float(stored)
