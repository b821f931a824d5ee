"""How tasks are generated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from assay.core import TASK_TYPES, AssayError, task_type
from assay.generation._filters import FilterRules
from assay.generation._prompts import EVOLUTIONS
from assay.llm import Sampling

Answers = Literal["given", "missing", "all"]
_FILTERS = FilterRules()
_SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=4096)
_ANSWERING = Sampling(temperature=0.7, top_p=1.0, max_tokens=2048)


@dataclass(frozen=True)
class GenerateConfig:
    """How many tasks, of which kind, and how they are asked for.

    ``n``: tasks wanted, without ``quotas``; ``quotas``: tasks wanted of each type (``n`` is their sum).
    ``per_request``: new tasks asked for at once (BELLE: 10); ``seed_shots`` and ``own_shots``: seed tasks
    and generated ones shown (self-instruct: 6 and 2; as long as none is generated, 8 seeds).  ``window``:
    requests at most in a round; the tasks of one round are not shown before the next.  ``evolve``: rounds of
    Evol-Instruct, so that 1 / (1 + evolve) of the tasks are self-instructed; ``evolutions``: by which
    prompts.  ``answers``: which outputs are asked for in a request of their own: none, those that are
    missing, or all.  ``patience``: rounds in a row that bring nothing before it stops.  ``sampling`` is
    BELLE's by default.
    """

    n: int = 0
    language: str = "en"
    per_request: int = 10
    seed_shots: int = 6
    own_shots: int = 2
    window: int = 32
    seed: int = 0
    quotas: Mapping[str, int] | None = None
    evolve: int = 0
    evolutions: tuple[str, ...] = EVOLUTIONS
    answers: Answers = "missing"
    patience: int = 5
    source: str = "generated"
    filters: FilterRules = _FILTERS
    sampling: Sampling = _SAMPLING
    answering: Sampling = _ANSWERING

    def __post_init__(self) -> None:
        """Raise :class:`AssayError` for numbers out of range and unknown names."""
        if self.quotas is not None:
            object.__setattr__(self, "quotas", _quotas(self.quotas))
            object.__setattr__(self, "n", sum(self.quotas.values()))
        for name, least in (
            ("n", 1), ("per_request", 1), ("window", 1), ("patience", 1), ("evolve", 0), ("seed_shots", 0),
            ("own_shots", 0),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise AssayError(
                    "too few", place=name, value=getattr(self, name), expected=f"at least {least}"
                )
        unknown = [how for how in self.evolutions if how not in EVOLUTIONS]
        if unknown or (self.evolve and not self.evolutions):
            raise AssayError(
                "no such evolution", place="evolutions", value=unknown, expected=", ".join(EVOLUTIONS)
            )
        if self.evolve and self.answers == "given":
            raise AssayError(
                "evolved tasks have no answers yet",
                place="answers",
                value="given",
                expected="missing or all, where tasks are evolved",
            )


def _quotas(given: Mapping[str, int]) -> dict[str, int]:
    quotas: dict[str, int] = {}
    for name, number in given.items():
        kind = task_type(name)
        if kind not in TASK_TYPES or number < 0:
            raise AssayError(
                "no such quota",
                place="quotas",
                value=f"{name}={number}",
                expected="a number, 0 or more, of " + ", ".join(TASK_TYPES),
            )
        quotas[kind] = number
    return {kind: number for kind, number in quotas.items() if number}
