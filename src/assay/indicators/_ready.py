"""Find indicators by name and give them what they need."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from assay.core import AssayError, Plugins, Sample, Text, digest
from assay.indicators._cache import Cache, Stored
from assay.indicators._indicator import Indicator, Measure, Undefined, Value
from assay.indicators._model import MODEL_INDICATORS
from assay.indicators._pool import POOL_INDICATORS
from assay.indicators._provenance import ModelId, models_used, other_models
from assay.indicators._ratings import RATING_INDICATORS, spent_notes
from assay.indicators._rule import RULES, Rule, as_indicator, read_rule
from assay.indicators._text import TEXT_INDICATORS
from assay.indicators._tools import DEFAULT, Advance, Models, Tools

_PIECE = 256
_SETTINGS = ("base", "second", "reward", "dialog", "embedder", "neighbour", "template")
_SLOW = frozenset({"base", "second", "reward", "dialog", "rater"})

INDICATORS: Mapping[str, Indicator] = {
    i.name: i for i in (*TEXT_INDICATORS, *POOL_INDICATORS, *MODEL_INDICATORS, *RATING_INDICATORS)
}
"""Our own indicators by name."""


def _also(found: Indicator) -> str | None:
    if found.direction not in (-1, 0, 1):
        return f"its direction is {found.direction!r}, not 1, 0 or -1"
    return None if found.measure or found.make else "it has neither measure nor make"


PLUGINS: Plugins[Indicator] = Plugins(
    "assay.indicators", "indicator", Indicator, (*INDICATORS, *RULES), _also
)
"""Indicators of other packages by name."""


def _single(name: str) -> Indicator | None:
    """Return the indicator of a name, ours or a plug-in; None where neither is there."""
    return PLUGINS.get(name) or INDICATORS.get(name)


def _part(name: str) -> Indicator:
    found = _single(name)
    if found is None:
        raise PLUGINS.unknown(name)
    return found


def find(name: str) -> Indicator | Rule:
    """Return an indicator (ours or a plug-in), a published rule, or the rule in a file that ends in .json."""
    single = _single(name)
    if single is not None:
        return single
    if name in RULES:
        return RULES[name]
    if name.endswith(".json"):
        rule = read_rule(Path(name))
        for part in rule.coefficients:
            if _single(part) is None:
                raise AssayError("the rule uses an unknown indicator", place=name, value=part)
        return rule
    raise PLUGINS.unknown(name, more=", a rule's file")


def direction(name: str) -> int:
    """Return +1 where more of an indicator is held to be better or nothing is held, -1 where less is."""
    return find(name).direction or 1


def needs(name: str) -> tuple[str, ...]:
    """Return what an indicator or rule needs beyond the text: base, embedder, pool ..."""
    found = find(name)
    if isinstance(found, Indicator):
        return found.needs
    return tuple(dict.fromkeys(need for part in found.coefficients for need in _part(part).needs))


def version(name: str) -> str:
    """Return what changes whenever values of an indicator or rule do, models and pool apart."""
    found = find(name)
    if isinstance(found, Indicator):
        return PLUGINS.identity(name) or str(found.version)
    parts = {part: PLUGINS.identity(part) or _part(part).version for part in found.coefficients}
    return digest([found.revision, parts])


def ready(
    names: Sequence[str],
    models: Models = DEFAULT,
    pool: Iterable[Sample] = (),
    *,
    told: Callable[[int], None] = lambda done: None,
    advance: Advance = lambda done, total, unit: None,
) -> list[Indicator]:
    """Return indicators that can measure, those of the text for no names.

    Those of models go through a batch by length, a few hundred samples at a time: what is measured is in the
    cache from then on, and ``told`` how many samples that were; ``advance`` is told of a training that comes
    before the first sample (less).

    Models are loaded, and indicators that need the whole ``pool`` go through it: it has to be a collection
    or another iterable that can be gone through again, and hold the samples that will be measured.
    Raises :class:`AssayError` for an unknown name, and where a model or the target samples are not there.
    """
    tools = Tools(models, advance)
    made: dict[str, Indicator] = {}

    def get(name: str) -> Indicator:
        if name not in made:
            made[name] = _made(_part(name), tools, pool, told)
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


def _checked(indicator: Indicator) -> Indicator:
    """Return a plug-in whose values are looked at: as many as samples, finite, or undefined with a reason."""

    def wrong(values: Sequence[Value], samples: Sequence[Sample]) -> str | None:
        if len(values) != len(samples):
            return f"{len(values)} values for {len(samples)} samples"
        bad = [v for v in values if not (v.reason if isinstance(v, Undefined) else _finite(v))]
        return f"the value {bad[0]!r}" if bad else None

    def looked_at(measure: Measure) -> Measure:
        def checked(samples: Sequence[Sample]) -> list[Value]:
            values = measure(samples)
            found = wrong(values, samples)
            if found is not None:
                raise AssayError(
                    f"the indicator {indicator.name} gives {found}",
                    place=PLUGINS.entry(indicator.name).place,
                    expected="for each sample a finite number, or Undefined with a reason",
                )
            return values

        return checked

    make, measure = indicator.make, indicator.measure

    def made(tools: Tools, pool: Iterable[Sample]) -> tuple[Measure, str]:
        assert make is not None  # noqa: S101 - used only where it is there
        own, revision = make(tools, pool)
        return looked_at(own), revision

    return dataclasses.replace(
        indicator,
        measure=None if measure is None else looked_at(measure),
        make=None if make is None else made,
    )


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def said_of(name: str, models: Models = DEFAULT) -> tuple[Text, ...]:
    """Return what has to be said of a rule before it measures: its warnings, and models not its own.

    Nothing for an indicator.  Raises :class:`AssayError` where a rule would be applied with other models than
    its own and nobody insists.
    """
    found = find(name)
    if isinstance(found, Indicator):
        return ()
    others = _others(found, Tools(models))
    return (*found.told(), *others)


def used_by(names: Sequence[str], models: Models = DEFAULT) -> dict[str, ModelId]:
    """Return by setting which models (template, target samples ...) indicators take, by name and digest."""
    return models_used([_part(name) for name in names], Tools(models))


def _others(rule: Rule, tools: Tools) -> tuple[Text, ...]:
    if not rule.models:
        return ()
    used = models_used([_part(part) for part in rule.coefficients], tools)
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
    if indicator.name in PLUGINS:
        indicator = _checked(indicator)
    if indicator.make is None:
        return indicator
    if "pool" in indicator.needs and iter(pool) is pool:
        raise AssayError(
            "the pool can be iterated only once",
            place=f"indicator {indicator.name}",
            expected="a list or a dataset",
        )
    measure, revision = indicator.make(tools, pool)
    folder = tools.models.cache
    cache = None
    if folder is not None and revision:
        other = PLUGINS.identity(indicator.name)
        own = f"{revision[:16]}-{digest(other)[:16]}" if other else revision[:16]
        cache = Cache(folder, f"{indicator.name}-v{indicator.version}-{own}")
    slow = bool(_SLOW & set(indicator.needs))
    if slow or (cache is not None and indicator.name in PLUGINS):
        measure = _in_pieces(measure, cache, told if slow else _nobody)
    made = dataclasses.replace(indicator, measure=measure, revision=revision)
    if "rater" in indicator.needs:
        return dataclasses.replace(made, notes=lambda: spent_notes(tools.rater))
    return made


def _nobody(done: int) -> None:
    """Tell nobody: the measure is not one of those whose progress is counted."""


def slow_parts(name: str) -> int:
    """Return for how many indicators, of a rule or one alone, a model goes over each sample's text."""
    found = find(name)
    parts = [found] if isinstance(found, Indicator) else [_part(part) for part in found.coefficients]
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
