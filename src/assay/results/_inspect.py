"""Logs of inspect-ai, read by its own library."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import AssayError, say
from assay.results._metrics import direction
from assay.results._recipes import facts_of
from assay.results._values import Measure, Run

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

_JSON = "????-??-??T*_*.json"


@dataclass(frozen=True, slots=True)
class InspectReader:
    """``.eval`` files and inspect-ai's JSON logs; a failed evaluation leaves a log too, and is no result."""

    name: str = "inspect"
    version: int = 1
    patterns: tuple[str, ...] = ("*.eval", _JSON)

    def __call__(self, path: Path) -> Iterator[Run] | None:
        """Return the model that a log is of."""
        if not any(fnmatch.fnmatch(path.name, pattern) for pattern in self.patterns):
            return None
        return iter([_run(path, _read(path))])


def _read(path: Path) -> EvalLog:
    try:
        from inspect_ai.log import read_eval_log
    except ImportError:
        raise AssayError("logs of inspect-ai are read by its own library, which is not installed",
                         place=str(path), hint="pip install 'instruct-assay[llm]'") from None  # fmt: skip
    try:
        return read_eval_log(str(path))
    except Exception as error:
        raise AssayError(f"the log cannot be read ({type(error).__name__}: {error})", place=str(path),
                         expected="a log that inspect-ai wrote") from None  # fmt: skip


def _run(path: Path, log: EvalLog) -> Run:
    spec = log.eval
    arguments: dict[str, Any] = dict(spec.model_args or {})
    places = [str(arguments[a]) for a in ("model_path", "model", "peft") if arguments.get(a)]
    names = [*places, spec.model.partition("/")[2], *(spec.tags or ()), str(path)]
    return Run(
        tool="inspect",
        place=str(path),
        names=tuple(name for name in names if name),
        facts=facts_of(dict(spec.metadata or {})),
        measures=tuple(_measures(log)),
        order=str(spec.created),
        unusable=None if log.status == "success" else say("import.inspect.status", status=log.status),
    )


def _measures(log: EvalLog) -> Iterator[Measure]:
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sample in log.samples or ():
        for scorer, score in (sample.scores or {}).items():
            for name, number in _numbers(scorer, score.value):
                if sample.error is None:
                    values[name][str(sample.id)].append(number)
    for place, (name, by_item) in enumerate(values.items()):
        items = {item: sum(found) / len(found) for item, found in by_item.items()}
        yield Measure(
            task=log.eval.task.rpartition("/")[2],
            metric=name,
            value=sum(items.values()) / len(items),
            higher=direction(name) is not False,  # inspect-ai's scores rise where nothing else is known
            n_eval=len(items),
            items=items,
            first=place == 0,
            setup=f"epochs {log.eval.config.epochs}" if (log.eval.config.epochs or 1) > 1 else "",
        )


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a score, by its scorer's name; a score of several parts by theirs too."""
    parts = {f"{name}/{key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
    for key, one in parts.items():
        number = _value(one)
        if number is not None:
            yield key, number


def _value(value: Any) -> float | None:
    """Return inspect-ai's C, P, I or N, or a number; None for what is neither, or was not scored."""
    if isinstance(value, bool | int | float):
        number = float(value)
        return number if number == number else None
    return {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}.get(value) if isinstance(value, str) else None
