"""Rules: the quality of a sample as a weighted sum of its indicators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from assay.core import (
    AssayError,
    Sample,
    Say,
    Text,
    digest,
    read_json,
    say,
    stored_text,
)
from assay.indicators._indicator import Indicator, Undefined, Value
from assay.indicators._provenance import ModelId, Outside, Range


@dataclass(frozen=True, slots=True)
class Square:
    """``weight`` times the square of how many ``spread`` a value lies from ``centre``, at most ``reach``."""

    weight: float
    centre: float
    spread: float
    reach: float

    def __call__(self, value: float) -> float:
        """Return the term of one value."""
        return self.weight * min(abs(value - self.centre) / self.spread, self.reach) ** 2


@dataclass(frozen=True)
class Rule:
    """``intercept`` plus ``coefficients`` times indicators plus ``squares`` of some predicts ``predicts``.

    ``direction`` is +1 where more of what is predicted is better, -1 where less is; ``models`` names, for
    settings such as ``reward``, the models that the rule was fitted with; ``ranges`` the values that its
    indicators had there; ``warnings`` its caveats, to be stated wherever it is used.
    """

    name: str
    predicts: str
    direction: int
    intercept: float
    coefficients: Mapping[str, float]
    source: str
    models: Mapping[str, ModelId] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    warnings: tuple[Text, ...] = ()
    squares: Mapping[str, Square] = field(default_factory=dict)

    def __call__(self, values: Mapping[str, float]) -> float:
        """Return the prediction for given values of the indicators."""
        line = sum(weight * values[name] for name, weight in self.coefficients.items())
        return self.intercept + line + sum(square(values[name]) for name, square in self.squares.items())

    def told(self) -> tuple[Say, ...]:
        """Return the rule's caveats with its name."""
        return tuple(say("note.rule", rule=self.name, text=text) for text in self.warnings)

    @property
    def revision(self) -> str:
        """Digest of everything that decides values."""
        line = [self.intercept, dict(self.coefficients)]
        return digest([*line, {n: asdict(s) for n, s in self.squares.items()}] if self.squares else line)


# Rew, Len_out, KNN_6, Und, Nat, Coh in the paper's names; lengths are in tokens of the base model.
RULES: Mapping[str, Rule] = {
    "instructmining-v1": Rule(
        "instructmining-v1",
        "log loss",
        -1,
        1.0684,
        {"reward": -0.1498, "tokens_out": 8.257e-5, "knn": -0.9350},
        "INSTRUCTMINING (2307.06290), first version",
        {
            "reward": ModelId("deberta"),
            "embedder": ModelId("minilm"),
            "neighbour": ModelId("6"),
            "tokenizer": ModelId("meta-llama/Llama-2-7b-hf"),
        },
    ),
    "instructmining-v2": Rule(
        "instructmining-v2",
        "log loss",
        -1,
        0.0274,
        {"reward": -0.0078, "understandability": 0.4421, "naturalness": -0.3212, "coherence": -0.1520},
        "INSTRUCTMINING (2307.06290), second version, equation 4",
        {"reward": ModelId("oasst"), "dialog": ModelId("unieval")},
    ),
}
"""The published rules by name."""

_KEYS = ("name", "predicts", "direction", "intercept", "coefficients", "source")
BEATS = "verdict.beats"
"""Kind of the verdict of a check that a rule has passed."""


def read_rule(path: Path) -> Rule:
    """Read a rule from JSON; what a rule does not know of is left alone.

    A check that it did not pass is among its warnings, and that a fitted rule has not been tried.
    """
    try:
        data: Any = read_json(path)
        rule = Rule(
            **{key: data[key] for key in _KEYS if key in data},
            models={name: _model(one) for name, one in data.get("models", {}).items()},
            ranges={name: _range(one) for name, one in data.get("ranges", {}).items()},
            squares={name: Square(**one) for name, one in data.get("squares", {}).items()},
            warnings=(*map(stored_text, data.get("warnings", ())), *_unproven(data)),
        )
        fits = rule.direction in (-1, 1) and all(
            isinstance(w, int | float) for w in rule.coefficients.values()
        )
        fits = fits and rule.squares.keys() <= rule.coefficients.keys()
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise AssayError(
            f"the rule cannot be read ({type(error).__name__}: {error})",
            place=str(path),
            expected="JSON with name, predicts, direction, intercept, coefficients, source",
        ) from None
    if not fits:
        raise AssayError(
            "not a rule",
            place=str(path),
            expected="direction 1 or -1, coefficients that are numbers, squares of some of them",
        )
    return rule


def _model(written: str | Mapping[str, str]) -> ModelId:
    return ModelId(written) if isinstance(written, str) else ModelId(written["name"], written["digest"])


def _range(written: Mapping[str, Sequence[float]]) -> Range:
    (low, high), (least, most) = written["samples"], written["subsets"]
    return Range((float(low), float(high)), (float(least), float(most)))


def _unproven(data: Mapping[str, Any]) -> tuple[Text, ...]:
    """Return the verdict of a check that was not passed, or that there was none of a rule that was fitted.

    Files of 0.1.0 have the words alone.
    """
    check = data.get("check")
    if check is None:
        return (say("note.rule.untried"),) if "check" in data else ()
    passed = check["kind"] == BEATS if "kind" in check else str(check["verdict"]).startswith("It beats")
    return (
        () if passed else (say("note.rule.check", verdict=stored_text(check.get("said", check["verdict"]))),)
    )


def as_indicator(rule: Rule, parts: Sequence[Indicator], others: Sequence[Text] = ()) -> Indicator:
    """Return a rule over ready indicators as an indicator of its own; undefined where one of them is.

    Its notes are the rule's warnings, what ``others`` says of foreign models, and how many of the samples
    measured so far lie outside what the rule was fitted on.
    """
    outside = Outside(rule.name, rule.ranges)

    def measure(samples: Sequence[Sample]) -> list[Value]:
        columns = {part.name: part.measure(samples) for part in parts if part.measure is not None}
        found: list[Value] = []
        for row in range(len(samples)):
            values = {name: column[row] for name, column in columns.items()}
            missing = [f"{n}: {v.reason}" for n, v in values.items() if isinstance(v, Undefined)]
            known = {n: v for n, v in values.items() if not isinstance(v, Undefined)}
            outside.see(known)
            found.append(Undefined("; ".join(missing)) if missing else rule(known))
        return found

    def notes() -> tuple[Text, ...]:
        return (*rule.told(), *others, *outside.notes())

    needs = tuple(dict.fromkeys(need for part in parts for need in part.needs))
    return Indicator(
        rule.name, 1, rule.predicts, rule.direction, needs, rule.source, measure=measure, notes=notes
    )
