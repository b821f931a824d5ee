"""Find indicators by name and give them what they need."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from assay.core import AssayError, Plugins, Sample, digest
from assay.indicators._cache import Cache, Stored
from assay.indicators._indicator import Indicator, Measure, Undefined, Value
from assay.indicators._model import MODEL_INDICATORS
from assay.indicators._pool import POOL_INDICATORS
from assay.indicators._rule import RULES, Rule, as_indicator, read_rule
from assay.indicators._text import TEXT_INDICATORS
from assay.indicators._tools import DEFAULT, Models, Tools

INDICATORS: Mapping[str, Indicator] = {
    i.name: i for i in (*TEXT_INDICATORS, *POOL_INDICATORS, *MODEL_INDICATORS)
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
                raise AssayError("the rule takes an unknown indicator", place=name, value=part)
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


def ready(names: Sequence[str], models: Models = DEFAULT, pool: Iterable[Sample] = ()) -> list[Indicator]:
    """Return indicators that can measure, those of the text for no names.

    Models are loaded, and indicators that need the whole ``pool`` go through it: it has to be a collection
    or another iterable that can be gone through again, and hold the samples that will be measured.
    Raises :class:`AssayError` for an unknown name, and where a model or the target samples are not there.
    """
    tools = Tools(models)
    made: dict[str, Indicator] = {}

    def get(name: str) -> Indicator:
        if name not in made:
            made[name] = _made(_part(name), tools, pool)
        return made[name]

    found = []
    for name in names or [i.name for i in TEXT_INDICATORS]:
        wanted = find(name)
        if isinstance(wanted, Rule):
            with _explained(wanted, models):
                found.append(as_indicator(wanted, [get(part) for part in wanted.coefficients]))
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


@contextmanager
def _explained(rule: Rule, models: Models) -> Iterator[None]:
    """Say which models a rule was fitted with, where it cannot be had without them."""
    try:
        yield
    except AssayError as error:
        fitted = ", ".join(f"--{setting} {name}" for setting, name in rule.models.items())
        raise AssayError(
            f"the rule {rule.name} cannot be applied: {error.problem}",
            place=error.place,
            value=error.value,
            expected=error.expected,
            hint=f"it was fitted with {fitted}" if fitted else error.hint,
        ) from None


def _made(indicator: Indicator, tools: Tools, pool: Iterable[Sample]) -> Indicator:
    if indicator.name in PLUGINS:
        indicator = _checked(indicator)
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
    if folder is not None and revision:
        other = PLUGINS.identity(indicator.name)
        own = f"{revision[:16]}-{digest(other)[:16]}" if other else revision[:16]
        name = f"{indicator.name}-v{indicator.version}-{own}"
        measure = _remembered(measure, Cache(folder, name))
    return dataclasses.replace(indicator, measure=measure, revision=revision)


def _remembered(measure: Measure, cache: Cache) -> Measure:
    """Measure only what the cache does not know; reasons are remembered like values."""

    def remembered(samples: Sequence[Sample]) -> list[Value]:
        ids = [sample.id for sample in samples]
        known = cache.get(ids)
        missing = {i: s for i, s in zip(ids, samples, strict=True) if i not in known}
        if missing:
            values = measure(list(missing.values()))
            fresh: dict[str, Stored] = {
                i: v.reason if isinstance(v, Undefined) else v for i, v in zip(missing, values, strict=True)
            }
            cache.put(fresh)
            known |= fresh
        return [_value(known[i]) for i in ids]

    return remembered


def _value(stored: Stored) -> Value:
    return Undefined(stored) if isinstance(stored, str) else float(stored)
