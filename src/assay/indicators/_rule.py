"""Rules: the quality of a sample as a weighted sum of its indicators."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.core import AssayError, Sample, digest
from assay.indicators._indicator import Indicator, Undefined, Value


@dataclass(frozen=True)
class Rule:
    """``intercept`` plus the sum of ``coefficients`` times indicators predicts ``predicts``.

    ``direction`` is +1 where more of what is predicted is better, -1 where less is; ``models`` names, for
    settings such as ``reward``, the models that the rule was fitted with.
    """

    name: str
    predicts: str
    direction: int
    intercept: float
    coefficients: Mapping[str, float]
    source: str
    models: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, values: Mapping[str, float]) -> float:
        """Return the prediction for given values of the indicators."""
        return self.intercept + sum(weight * values[name] for name, weight in self.coefficients.items())

    @property
    def revision(self) -> str:
        """Digest of everything that decides values."""
        return digest([self.intercept, dict(self.coefficients)])


# Rew, Len_out, KNN_6, Und, Nat, Coh in the paper's names; lengths are in tokens of the base model.
RULES: Mapping[str, Rule] = {
    "instructmining-v1": Rule(
        "instructmining-v1",
        "log loss",
        -1,
        1.0684,
        {"reward": -0.1498, "tokens_out": 8.257e-5, "knn": -0.9350},
        "INSTRUCTMINING (2307.06290), first version",
        {"reward": "deberta", "embedder": "minilm"},
    ),
    "instructmining-v2": Rule(
        "instructmining-v2",
        "log loss",
        -1,
        0.0274,
        {"reward": -0.0078, "understandability": 0.4421, "naturalness": -0.3212, "coherence": -0.1520},
        "INSTRUCTMINING (2307.06290), second version, equation 4",
        {"reward": "oasst", "dialog": "unieval"},
    ),
}
"""The published rules by name."""

_KEYS = {"name", "predicts", "direction", "intercept", "coefficients", "source", "models"}


def read_rule(path: Path) -> Rule:
    """Read a rule from JSON; keys beside those of :class:`Rule` are provenance and are left alone."""
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        known = {key: value for key, value in data.items() if key in _KEYS}
        rule = Rule(**known)
        fits = rule.direction in (-1, 1) and all(
            isinstance(w, int | float) for w in rule.coefficients.values()
        )
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise AssayError(
            f"the rule cannot be read ({type(error).__name__}: {error})",
            place=str(path),
            expected="JSON with name, predicts, direction, intercept, coefficients, source",
        ) from None
    if not fits:
        raise AssayError(
            "not a rule", place=str(path), expected="direction 1 or -1, coefficients that are numbers"
        )
    return rule


def as_indicator(rule: Rule, parts: Sequence[Indicator]) -> Indicator:
    """Return a rule over ready indicators as an indicator of its own; undefined where one of them is."""

    def measure(samples: Sequence[Sample]) -> list[Value]:
        columns = {part.name: part.measure(samples) for part in parts if part.measure is not None}
        found: list[Value] = []
        for row in range(len(samples)):
            values = {name: column[row] for name, column in columns.items()}
            missing = [f"{n}: {v.reason}" for n, v in values.items() if isinstance(v, Undefined)]
            known = {n: v for n, v in values.items() if not isinstance(v, Undefined)}
            found.append(Undefined(", ".join(missing)) if missing else rule(known))
        return found

    needs = tuple(dict.fromkeys(need for part in parts for need in part.needs))
    return Indicator(rule.name, 1, rule.predicts, rule.direction, needs, rule.source, measure=measure)
